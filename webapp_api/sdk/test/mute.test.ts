/** Who mutes before there is anything to mute is not heard. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { captured, sdpWith, withholdPermission } from "./browser.ts";
import { answered, AUDIO, phoneOnWire, placed, quiet, ringing } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

const microphone = (): boolean | undefined => captured.at(-1)?.getAudioTracks()[0]?.enabled;

describe("what is muted before it is there", () => {
  test("stays so in a call that the page makes, and is heard again when the person wants it", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const grant = withholdPermission();
    const call = phone.call("bob");
    assert.equal(call.muted("audio"), false);
    call.mute("audio", true);
    assert.equal(call.muted("audio"), true);
    grant();
    await wire.next();
    assert.deepEqual([call.muted("audio"), microphone()], [true, false]);
    call.mute("audio", false);
    assert.deepEqual([call.muted("audio"), microphone()], [false, true]);
  });

  test("stays so in a call that comes in", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone);
    call.mute("audio", true);
    await answered(wire, call);
    assert.deepEqual([call.muted("audio"), microphone()], [true, false]);
  });

  test("is not muted when the person thinks better of it", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = phone.call("bob");
    call.mute("audio", true);
    call.mute("audio", false);
    await wire.next();
    assert.deepEqual([call.muted("audio"), microphone()], [false, true]);
  });

  test("stays so for a camera that is added", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await placed(wire, phone, {}, AUDIO);
    call.mute("video", true);
    const added = call.addVideo();
    const offer = await wire.next();
    const camera = captured.at(-1)?.getVideoTracks()[0];
    assert.deepEqual([call.muted("video"), camera?.enabled], [true, false]);
    wire.deliver(responseTo(offer, "200 OK", [], sdpWith(["audio", "recvonly"], ["video", "recvonly"])));
    await added;
    await quiet();
    assert.deepEqual([call.muted("video"), camera?.enabled], [true, false]);
    assert.deepEqual([call.muted("audio"), call.sendsVideo], [false, true]);
  });
});
