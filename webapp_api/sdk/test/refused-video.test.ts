/** A camera that the far side takes no line of is given back, and not offered by a later change. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { captured, FakeStream, FakeTrack, sdpWith } from "./browser.ts";
import { answered, AUDIO, phoneOnWire, placed, quiet, ringing } from "./call-on-wire.ts";
import { SipError } from "../src/errors.ts";
import { responseTo, type Message } from "./wire.ts";

const WITHOUT_VIDEO = sdpWith(["audio", "recvonly"], ["video", "inactive", 0]);

const kindsOf = (offer: Message): string[] => [...offer.body.matchAll(/^m=(\w+)/gm)].map(([, kind = ""]) => kind);
const camera = (): string | undefined => captured.at(-1)?.getVideoTracks()[0]?.readyState;

describe("video that the far side does not take", () => {
  test("is over when the call is answered so, and may be added again", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const seen: boolean[] = [];
    const call = await placed(wire, phone, { video: true }, WITHOUT_VIDEO, (made) => {
      made.on("media", () => seen.push(made.sendsVideo));
    });
    assert.deepEqual([call.state, call.sendsVideo, seen, camera()], ["established", false, [false], "ended"]);
    assert.deepEqual(call.localStream?.getTracks().map(({ kind }) => kind), ["audio"]);
    void call.hold().catch(() => undefined);
    const hold = await wire.next();
    assert.deepEqual(kindsOf(hold), ["audio"]);
    wire.deliver(responseTo(hold, "200 OK", [], AUDIO));
    await wire.next();
    void call.addVideo().catch(() => undefined);
    assert.deepEqual(kindsOf(await wire.next()), ["audio", "video"]);
  });

  test("leaves the application's own camera alone", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const own = new FakeStream([new FakeTrack("audio"), new FakeTrack("video")]);
    const call = await placed(wire, phone, { streams: own as unknown as MediaStream }, WITHOUT_VIDEO);
    assert.equal(call.sendsVideo, false);
    assert.deepEqual(own.getTracks().map(({ readyState }) => readyState), ["live", "live"]);
  });

  test("cannot be added", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await placed(wire, phone, {}, AUDIO);
    const adding = assert.rejects(call.addVideo(), SipError);
    wire.deliver(responseTo(await wire.next(), "200 OK", [], WITHOUT_VIDEO));
    await adding;
    assert.deepEqual([call.sendsVideo, camera(), call.state], [false, "ended", "established"]);
  });

  test("is refused once, and taken later, from the same camera of the application", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await placed(wire, phone, {}, AUDIO);
    const streams = new FakeStream([new FakeTrack("video")]) as unknown as MediaStream;
    const refused = assert.rejects(call.addVideo({ streams }), SipError);
    wire.deliver(responseTo(await wire.next(), "200 OK", [], WITHOUT_VIDEO));
    await refused;
    await wire.next();
    const added = call.addVideo({ streams });
    wire.deliver(responseTo(await wire.next(), "200 OK", [], sdpWith(["audio", "recvonly"], ["video", "recvonly"])));
    await added;
    assert.equal(call.sendsVideo, true);
  });

  test("was not offered: the application's stream has a camera, which a hold does not show", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone);
    const own = new FakeStream([new FakeTrack("audio"), new FakeTrack("video")]);
    await answered(wire, call, { streams: own as unknown as MediaStream });
    assert.deepEqual([call.offersVideo, call.sendsVideo], [false, false]);
    void call.hold().catch(() => undefined);
    assert.deepEqual(kindsOf(await wire.next()), ["audio"]);
    await quiet();
  });
});
