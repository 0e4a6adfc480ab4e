/** Who takes video away while it is being added is not seen. */

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { captured, FakePeerConnection, sdpWith, withholdPermission, type FakeTrack } from "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet } from "./call-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { responseTo, type Wire } from "./wire.ts";

const VIDEO = sdpWith(["audio", "recvonly"], ["video", "recvonly"]);

async function talking(context: TestContext): Promise<{ wire: Wire; call: OutgoingCall }> {
  const { wire, phone } = await phoneOnWire(context);
  const call = await placed(wire, phone, {}, AUDIO);
  FakePeerConnection.made.at(-1)?.to("connected");
  return { wire, call };
}

/** The far side agrees to the next offer. */
async function agreed(wire: Wire, answer: string): Promise<void> {
  const offer = await wire.next();
  assert.match(offer.startLine, /^INVITE /);
  wire.deliver(responseTo(offer, "200 OK", [], answer));
  assert.match((await wire.next()).startLine, /^ACK /);
}

const camera = (): FakeTrack | undefined => captured.at(-1)?.getVideoTracks()[0];

describe("video taken away", () => {
  test("while the person is asked for the camera", async (context) => {
    const { wire, call } = await talking(context);
    const grant = withholdPermission();
    const added = assert.rejects(call.addVideo(), { kind: "usage" });
    const removed = call.removeVideo();
    await agreed(wire, AUDIO);
    await removed;
    grant();
    await added;
    await quiet();
    assert.deepEqual([camera()?.readyState, call.sendsVideo, wire.silent], ["ended", false, true]);
  });

  test("while the camera waits for the change before it", async (context) => {
    const { wire, call } = await talking(context);
    const held = call.hold();
    const added = assert.rejects(call.addVideo(), { kind: "usage" });
    await quiet();
    const removed = call.removeVideo();
    await agreed(wire, AUDIO);
    await agreed(wire, AUDIO);
    await Promise.all([held, added, removed]);
    assert.deepEqual([camera()?.readyState, call.sendsVideo, wire.silent], ["ended", false, true]);
  });

  test("may be added again, though the first is still asked for", async (context) => {
    const { wire, call } = await talking(context);
    const grant = withholdPermission();
    const first = assert.rejects(call.addVideo(), { kind: "usage" });
    const removed = call.removeVideo();
    await agreed(wire, AUDIO);
    await removed;
    const second = call.addVideo();
    await agreed(wire, VIDEO);
    await second;
    const shown = camera();
    grant();
    await first;
    assert.notEqual(camera(), shown);
    assert.deepEqual([camera()?.readyState, shown?.readyState, call.sendsVideo], ["ended", "live", true]);
  });

  test("is there still when that is refused, and not added a second time", async (context) => {
    const { wire, call } = await talking(context);
    const first = call.addVideo();
    await agreed(wire, VIDEO);
    await first;
    const shown = camera();
    const removed = assert.rejects(call.removeVideo(), { kind: "sip", status: 488 });
    const offer = await wire.next();
    const second = assert.rejects(call.addVideo(), { kind: "usage", message: /sends video already/ });
    await quiet();
    wire.deliver(responseTo(offer, "488 Not Acceptable Here"));
    await Promise.all([removed, second]);
    assert.notEqual(camera(), shown);
    assert.deepEqual([camera()?.readyState, shown?.readyState, call.sendsVideo], ["ended", "live", true]);
    assert.equal(call.localStream?.getVideoTracks().length, 1);
  });
});

test("video that is being added is not added twice", async (context) => {
  const { wire, call } = await talking(context);
  const before = captured.length;
  const added = call.addVideo();
  await assert.rejects(call.addVideo(), { kind: "usage", message: /sends video already/ });
  await agreed(wire, VIDEO);
  await added;
  assert.deepEqual([captured.length - before, call.sendsVideo], [1, true]);
});
