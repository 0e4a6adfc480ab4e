/** A replaceTrack that the connection's close leaves open, as Firefox does: nobody waits for it, and no device stays on. */

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { captured, FakePeerConnection, FakeStream, FakeTrack, withholdPermission } from "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import type { MediaRequest } from "../src/media.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { responseTo } from "./wire.ts";

interface Talking {
  readonly call: OutgoingCall;
  readonly hangup: () => Promise<void>;
}

async function talking(context: TestContext, request: MediaRequest = {}): Promise<Talking> {
  const { wire, phone } = await phoneOnWire(context);
  const call = await placed(wire, phone, request, AUDIO);
  leaveOpen();
  const hangup = async (): Promise<void> => {
    const over = call.hangup();
    wire.deliver(responseTo(await wire.next(), "200 OK"));
    await over;
  };
  return { call, hangup };
}

function leaveOpen(): void {
  for (const { sender } of FakePeerConnection.made.at(-1)?.getTransceivers() ?? []) {
    sender.replaceTrack = () => new Promise(() => undefined);
  }
}

describe("a call that ends while a track is being replaced", () => {
  for (const late of [false, true]) {
    test(`gives back both microphones, the second one granted ${late ? "after" : "before"} the end`, async (context) => {
      const { call, hangup } = await talking(context);
      const first = assert.rejects(call.useDevice("audio", {}), { kind: "call-ended" });
      await quiet();
      const grant = withholdPermission();
      const second = assert.rejects(call.useDevice("audio", {}), { kind: "call-ended" });
      if (!late) grant();
      await quiet();
      await hangup();
      grant();
      await Promise.all([first, second]);
      const states = captured.slice(-2).flatMap((stream) => stream.getAudioTracks().map(({ readyState }) => readyState));
      assert.deepEqual(states, ["ended", "ended"]);
    });
  }

  test("may be muted afterwards", async (context) => {
    const track = new FakeTrack("audio");
    const { call, hangup } = await talking(context, { streams: new FakeStream([track]) as unknown as MediaStream });
    const muted = call.mute("audio", true);
    await quiet();
    await hangup();
    await muted;
    await call.mute("audio", false);
    assert.deepEqual(track.clones.map(({ readyState }) => readyState), ["ended"]);
  });

  test("is not waited for by whoever answers it", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone, { lines: ["Supported: 100rel"] });
    const prepared = call.prepare();
    while (!wire.silent) await wire.next();
    await quiet();
    leaveOpen();
    assert.equal(FakePeerConnection.made.at(-1)?.getTransceivers().length, 1);
    prepared.catch(() => undefined);
    const answer = call.answer();
    await quiet();
    wire.deliver(requestFrom("CANCEL").replace("CANCEL1", "INVITE1"));
    await answer;
    assert.deepEqual([call.end?.by, captured.at(-1)?.getAudioTracks()[0]?.readyState], ["remote", "ended"]);
  });
});
