/** Who mutes before there is anything to mute is not heard. */

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { captured, FakePeerConnection, FakeStream, FakeTrack, sdpWith, withholdPermission } from "./browser.ts";
import { answered, AUDIO, phoneOnWire, placed, quiet, ringing } from "./call-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { responseTo, type Wire } from "./wire.ts";

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

  test("is seen when the person wants it before the far side has agreed", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await placed(wire, phone, {}, AUDIO);
    await call.mute("video", true);
    const added = call.addVideo();
    const offer = await wire.next();
    await call.mute("video", false);
    wire.deliver(responseTo(offer, "200 OK", [], sdpWith(["audio", "recvonly"], ["video", "recvonly"])));
    await added;
    assert.deepEqual([call.muted("video"), captured.at(-1)?.getVideoTracks()[0]?.enabled], [false, true]);
  });
});

interface Talking {
  readonly wire: Wire;
  readonly track: FakeTrack;
  /** Another call that sends the stream. */
  readonly place: () => Promise<{ readonly call: OutgoingCall; readonly sender: Sender }>;
}

type Sender = ReturnType<FakePeerConnection["getTransceivers"]>[number]["sender"];

/** A page that gives a stream of its own to its calls. */
async function page(context: TestContext): Promise<Talking> {
  const { wire, phone } = await phoneOnWire(context);
  const track = new FakeTrack("audio");
  const streams = new FakeStream([track]) as unknown as MediaStream;
  const place = async (): Promise<{ call: OutgoingCall; sender: Sender }> => {
    const call = await placed(wire, phone, { streams }, AUDIO);
    const sender = FakePeerConnection.made.at(-1)?.getTransceivers()[0]?.sender;
    assert.ok(sender !== undefined && sender.track === track);
    return { call, sender };
  };
  return { wire, track, place };
}

const refuse = (): Promise<void> => Promise.reject(new DOMException("no", "InvalidModificationError"));

function assertSilent({ track }: Sender, of: FakeTrack): FakeTrack {
  assert.ok(track !== null && track !== of && of.clones.includes(track));
  assert.equal(track.enabled, false);
  return track;
}

async function agree(wire: Wire, change: Promise<void>): Promise<void> {
  wire.deliver(responseTo(await wire.next(), "200 OK", [], AUDIO));
  await change;
  await wire.next(); // the ACK
}

describe("a stream of the page's own", () => {
  test("is muted in one call, and heard in the other", async (context) => {
    const { track, place } = await page(context);
    const [one, other] = [await place(), await place()];
    await one.call.mute("audio", true);
    const silence = assertSilent(one.sender, track);
    assert.deepEqual([one.call.muted("audio"), other.call.muted("audio")], [true, false]);
    assert.deepEqual([other.sender.track === track, track.enabled], [true, true]);
    await other.call.mute("audio", true);
    await other.call.mute("audio", false);
    assert.deepEqual([one.call.muted("audio"), other.call.muted("audio")], [true, false]);
    assert.equal(one.sender.track, silence);
    await one.call.mute("audio", false);
    assert.deepEqual([one.sender.track === track, silence.readyState], [true, "ended"]);
  });

  test("that the page mutes itself stays so", async (context) => {
    const { track, place } = await page(context);
    const { call, sender } = await place();
    track.enabled = false;
    assert.equal(call.muted("audio"), false);
    await call.mute("audio", true);
    await call.mute("audio", false);
    assert.deepEqual([sender.track === track, track.enabled, call.muted("audio")], [true, false, false]);
  });

  test("is silent from the start where it was muted before it was there", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const track = new FakeTrack("audio");
    const call = phone.call("bob", { streams: new FakeStream([track]) as unknown as MediaStream });
    void call.mute("audio", true);
    wire.deliver(responseTo(await wire.next(), "200 OK", ["Contact: <sip:gw.example;transport=ws>"], AUDIO));
    await quiet();
    const sender = FakePeerConnection.made.at(-1)?.getTransceivers()[0]?.sender;
    assert.ok(sender !== undefined);
    assertSilent(sender, track);
    await call.mute("audio", false);
    assert.deepEqual([sender.track === track, track.enabled], [true, true]);
  });

  test("is heard again when it is neither held nor muted", async (context) => {
    const { wire, track, place } = await page(context);
    const { call, sender } = await place();
    await call.mute("audio", true);
    await agree(wire, call.hold());
    await agree(wire, call.resume());
    assertSilent(sender, track);
    await agree(wire, call.hold());
    await call.mute("audio", false);
    assertSilent(sender, track);
    await agree(wire, call.resume());
    assert.equal(sender.track, track);
  });

  test("is as it was wished for last, however long the browser takes", async (context) => {
    const { track, place } = await page(context);
    const { call, sender } = await place();
    const replace = sender.replaceTrack;
    sender.replaceTrack = async (other) => {
      await new Promise((resolve) => setImmediate(resolve));
      await replace(other);
    };
    void call.mute("audio", true);
    void call.mute("audio", false);
    await call.mute("audio", true);
    assertSilent(sender, track);
    void call.mute("audio", false);
    void call.mute("audio", true);
    await call.mute("audio", false);
    assert.equal(sender.track, track);
  });

  test("says so when silence cannot take its place", async (context) => {
    const { track, place } = await page(context);
    const { call, sender } = await place();
    sender.replaceTrack = refuse;
    await assert.rejects(call.mute("audio", true), { kind: "session-description" });
    assert.deepEqual([call.muted("audio"), sender.track === track], [false, true]);
    assert.deepEqual(track.clones.map(({ readyState }) => readyState), ["ended"]);
  });

  test("is muted by a later wish, though one before it fails", async (context) => {
    const { track, place } = await page(context);
    const { call, sender } = await place();
    const replace = sender.replaceTrack;
    sender.replaceTrack = () => {
      sender.replaceTrack = replace;
      return refuse();
    };
    const failed = assert.rejects(call.mute("audio", true), { kind: "session-description" });
    await call.mute("audio", true);
    await failed;
    assertSilent(sender, track);
    assert.equal(call.muted("audio"), true);
  });

  test("that the page stops while it is muted is given back with the next wish", async (context) => {
    const { track, place } = await page(context);
    const { call } = await place();
    await call.mute("audio", true);
    track.stop();
    await call.mute("audio", true);
    assert.deepEqual(track.clones.map(({ readyState }) => readyState), ["ended"]);
    assert.equal(call.muted("audio"), true);
  });

  test("is left on by a call that ends while it is muted, and nothing is left of the silence", async (context) => {
    const { wire, track, place } = await page(context);
    const { call, sender } = await place();
    await call.mute("audio", true);
    const over = call.hangup();
    wire.deliver(responseTo(await wire.next(), "200 OK"));
    await over;
    assert.deepEqual(track.clones.map(({ readyState }) => readyState), ["ended"]);
    assert.deepEqual([track.readyState, track.enabled], ["live", true]);
    await call.mute("audio", false);
    assert.notEqual(sender.track, track);
  });

  test("whose place a device takes leaves it muted", async (context) => {
    const { track, place } = await page(context);
    const { call, sender } = await place();
    await call.mute("audio", true);
    await call.useDevice("audio", {});
    const device = captured.at(-1)?.getAudioTracks()[0];
    assert.deepEqual([call.muted("audio"), device?.enabled, sender.track?.enabled], [true, false, false]);
    await call.mute("audio", false);
    assert.ok(device !== undefined && sender.track === device);
    assert.deepEqual([call.muted("audio"), device.enabled, track.readyState], [false, true, "live"]);
  });
});

/** A call that sends a microphone and a camera of the page's own. */
async function seen(context: TestContext): Promise<{ call: OutgoingCall; tracks: FakeTrack[]; senders: Sender[] }> {
  const { wire, phone } = await phoneOnWire(context);
  const tracks = [new FakeTrack("audio"), new FakeTrack("video")];
  const streams = new FakeStream(tracks) as unknown as MediaStream;
  const call = await placed(wire, phone, { streams }, sdpWith(["audio", "sendrecv"], ["video", "sendrecv"]));
  const senders = FakePeerConnection.made.at(-1)?.getTransceivers().map(({ sender }) => sender) ?? [];
  assert.deepEqual(senders.map(({ track }, index) => track === tracks[index]), [true, true]);
  return { call, tracks, senders };
}

describe("a line that fails leaves the other kind muted", () => {
  for (const [failing, other] of [["audio", "video"], ["video", "audio"]] as const) {
    for (const before of [false, true]) {
      test(`${other}, muted ${before ? "before" : "with it"}, where ${failing} cannot be`, async (context) => {
        const { call, tracks, senders } = await seen(context);
        const index = (kind: string): number => tracks.findIndex((track) => track.kind === kind);
        if (before) await call.mute(other, true);
        (senders[index(failing)] as Sender).replaceTrack = refuse;
        const muted = call.mute(other, true);
        await assert.rejects(call.mute(failing, true), { kind: "session-description" });
        await muted;
        assert.deepEqual([call.muted(other), call.muted(failing)], [true, false]);
        assertSilent(senders[index(other)] as Sender, tracks[index(other)] as FakeTrack);
        assert.equal(senders[index(failing)]?.track, tracks[index(failing)]);
        assert.deepEqual(tracks[index(failing)]?.clones.map(({ readyState }) => readyState), ["ended"]);
      });
    }
  }

  test("and a device on its line, which is not given back", async (context) => {
    const { call, senders } = await seen(context);
    const [line, failing] = senders as [Sender, Sender];
    failing.replaceTrack = refuse;
    const replace = line.replaceTrack;
    let failed: Promise<void> | undefined;
    line.replaceTrack = (other) => {
      failed ??= assert.rejects(call.mute("video", true), { kind: "session-description" });
      return replace(other);
    };
    await call.useDevice("audio", {});
    await failed;
    const device = captured.at(-1)?.getAudioTracks()[0];
    assert.deepEqual([line.track === device, device?.readyState, failed !== undefined], [true, "live", true]);
  });
});
