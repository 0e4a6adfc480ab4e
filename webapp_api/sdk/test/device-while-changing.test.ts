/** A microphone that is changed while an offer is open stays, whatever becomes of the offer. */

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { captured, FakePeerConnection, type FakeTrack } from "./browser.ts";
import { AUDIO, quiet, talking } from "./call-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { granted, settled } from "./phone-on-wire.ts";
import { responseTo, type Message, type Wire } from "./wire.ts";

const sent = (): FakeTrack | null | undefined => FakePeerConnection.made.at(-1)?.getTransceivers()[0]?.sender.track;

/** The call sends from a new microphone; its track. */
async function changed(call: OutgoingCall): Promise<FakeTrack | undefined> {
  await call.useDevice("audio", {});
  const track = captured.at(-1)?.getAudioTracks()[0];
  assert.equal(track?.readyState, "live");
  return track;
}

async function nextInvite(wire: Wire): Promise<Message> {
  for (let tick = 0; tick < 100 && wire.silent; tick += 1) {
    mock.timers.tick(50);
    await settled();
  }
  const message = await wire.next();
  return message.startLine.startsWith("INVITE ") ? message : nextInvite(wire);
}

describe("a microphone changed while an offer is open", () => {
  test("goes on when the offer is refused", async (context) => {
    const { wire, call } = await talking(context);
    const refused = assert.rejects(call.hold(), { kind: "sip", status: 488 });
    const hold = await nextInvite(wire);
    const microphone = await changed(call);
    wire.deliver(responseTo(hold, "488 Not Acceptable Here"));
    await refused;
    assert.ok(microphone !== undefined && sent() === microphone);
    assert.equal(call.held.local, false);
  });

  test("goes on when the offer crosses one of the far side, and after it all", async (context) => {
    const { wire, call } = await talking(context);
    const held = call.hold();
    const hold = await nextInvite(wire);
    const microphone = await changed(call);
    wire.deliver(responseTo(hold, "491 Request Pending"));
    await quiet();
    wire.deliver(responseTo(await nextInvite(wire), "200 OK", [], AUDIO));
    await held;
    assert.ok(microphone?.clones.some((silence) => silence === sent()));
    const resumed = call.resume();
    wire.deliver(responseTo(await nextInvite(wire), "200 OK", [], AUDIO));
    await resumed;
    assert.equal(sent(), microphone);
  });

  test("goes on when the socket is lost under an ICE restart", async (context) => {
    const { wire, call } = await talking(context);
    FakePeerConnection.made.at(-1)?.to("failed");
    await nextInvite(wire);
    const microphone = await changed(call);
    wire.break();
    await quiet();
    mock.timers.tick(1000);
    wire.deliver(granted(await wire.next()));
    await quiet();
    assert.equal(call.state, "established");
    assert.ok(microphone !== undefined && sent() === microphone);
  });

  test("may be changed again, and the newest goes on", async (context) => {
    const { wire, call } = await talking(context);
    await changed(call);
    const refused = assert.rejects(call.hold(), { kind: "sip", status: 488 });
    const hold = await nextInvite(wire);
    await changed(call);
    const microphone = await changed(call);
    wire.deliver(responseTo(hold, "488 Not Acceptable Here"));
    await refused;
    assert.ok(microphone !== undefined && sent() === microphone);
  });
});
