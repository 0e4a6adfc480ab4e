/** What the silence of a hold is made of is given back with its device. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FakePeerConnection, FakeStream, FakeTrack } from "./browser.ts";
import { MediaLines } from "../src/media-lines.ts";

async function heldLines(): Promise<{ lines: MediaLines; camera: FakeTrack; use: (track?: FakeTrack) => void }> {
  const camera = new FakeTrack("video");
  const stream = new FakeStream([new FakeTrack("audio"), camera]);
  const lines = new MediaLines(new FakePeerConnection() as unknown as RTCPeerConnection, {
    stream: stream as unknown as MediaStream,
    silenced: () => false,
    oneWay: true,
    receiveVideo: true,
  });
  await lines.prepareOffer();
  lines.setHeld(true);
  await lines.prepareOffer();
  const use = (track?: FakeTrack): void => lines.setTrack("video", track as unknown as MediaStreamTrack | undefined);
  return { lines, camera, use };
}

const statesOf = ({ clones }: FakeTrack): string[] => clones.map(({ readyState }) => readyState);

describe("a camera on hold", () => {
  test("goes out when video ends", async () => {
    const { lines, camera, use } = await heldLines();
    assert.deepEqual(statesOf(camera), ["live"]);
    use(undefined);
    lines.setWish("video", { send: false, receive: false });
    await lines.prepareOffer();
    assert.deepEqual(statesOf(camera), ["ended"]);
  });

  test("goes out when another one takes its place, which sends black as well", async () => {
    const { lines, camera, use } = await heldLines();
    const other = new FakeTrack("video");
    use(other);
    await lines.attach("video");
    assert.deepEqual([statesOf(camera), statesOf(other)], [["ended"], ["live"]]);
    assert.equal(other.clones[0]?.enabled, false);
  });

  test("goes out when it is not taken", async () => {
    const { lines, use } = await heldLines();
    const before = lines.snapshot();
    const other = new FakeTrack("video");
    use(other);
    await lines.prepareOffer();
    await lines.restore(before);
    assert.deepEqual(statesOf(other), ["ended"]);
  });
});

test("a call that cannot be resumed sends the silence it sent before", async () => {
  const { lines, camera } = await heldLines();
  const before = lines.snapshot();
  for (const { sender } of FakePeerConnection.made.at(-1)?.getTransceivers() ?? []) {
    sender.replaceTrack = () => Promise.reject(new DOMException("no", "InvalidModificationError"));
  }
  lines.setHeld(false);
  await assert.rejects(lines.prepareOffer(), { name: "InvalidModificationError" });
  await lines.restore(before);
  assert.deepEqual(statesOf(camera), ["live"]);
});

test("a camera that another one had replaced, and that is there again, is the one to go back to", async () => {
  const { lines, camera, use } = await heldLines();
  const [first, other] = [camera, new FakeTrack("video")] as unknown as [MediaStreamTrack, MediaStreamTrack];
  await FakePeerConnection.made.at(-1)?.createOffer();
  const silenced = (track: unknown): boolean => (track as FakeTrack).clones.some(({ readyState }) => readyState === "live");
  const before = lines.snapshot();
  lines.exchangeTrack("video", first, other);
  await lines.restore(before);
  assert.deepEqual([silenced(first), silenced(other)], [false, true]);
  use(camera);
  await lines.restore(lines.snapshot());
  assert.deepEqual([silenced(first), silenced(other)], [true, false]);
});
