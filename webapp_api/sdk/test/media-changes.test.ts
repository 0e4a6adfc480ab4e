import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { releaseLocalMedia, withoutTracks, withTrack, type LocalMedia } from "../src/media.ts";
import { MediaChanges } from "../src/media-changes.ts";
import type { MediaSession } from "../src/media-session.ts";

class Track {
  enabled = true;
  stopped = false;
  readonly kind: "audio" | "video";

  constructor(kind: "audio" | "video") {
    this.kind = kind;
  }

  stop(): void {
    this.stopped = true;
  }
}

class Stream {
  readonly #tracks: Track[];

  constructor(tracks: Track[] = []) {
    this.#tracks = [...new Set(tracks)];
  }

  getTracks(): Track[] {
    return [...this.#tracks];
  }

  getVideoTracks(): Track[] {
    return this.#tracks.filter(({ kind }) => kind === "video");
  }
}

Object.assign(globalThis, { MediaStream: Stream });

function streamOf(...tracks: Track[]): MediaStream {
  return new Stream(tracks) as unknown as MediaStream;
}

/** The media changes of a call that sends `media`; the person gives devices when the test says so. */
class RunningCall {
  media: LocalMedia;
  over = false;
  /** Ends each wait for a device. */
  give: (...tracks: Track[]) => void = () => undefined;
  asked = 0;
  attach: () => Promise<void> = () => Promise.resolve();
  agree: () => Promise<void> = () => Promise.resolve();
  readonly sent = new Map<string, unknown>();
  readonly changes: MediaChanges;

  constructor(...tracks: Track[]) {
    this.media = { stream: streamOf(...tracks), borrowed: false };
    const lines = {
      wish: () => ({ send: false, receive: true }),
      setTrack: (kind: string, track: unknown) => this.sent.set(kind, track),
      exchangeTrack: (kind: string, _old: unknown, track: unknown) => this.sent.set(kind, track),
      setWish: () => undefined,
      attach: () => this.attach(),
    };
    this.changes = new MediaChanges({
      session: () => ({ lines }) as unknown as MediaSession,
      localMedia: () => this.media,
      onLocalMedia: (media) => (this.media = media),
      isOver: () => this.over,
      renegotiate: async ({ change }) => {
        change?.();
        await this.agree();
      },
      onHold: () => undefined,
      onVideoOffered: () => undefined,
    });
    const getUserMedia = (): Promise<MediaStream> => {
      this.asked += 1;
      return new Promise((resolve) => (this.give = (...given) => resolve(streamOf(...given))));
    };
    Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia } }, configurable: true });
  }

  end(): void {
    this.over = true;
    releaseLocalMedia(this.media);
  }
}

describe("video added from a stream", () => {
  test("whose camera the call has already goes off with the call, and with the video", async () => {
    for (const finish of ["end", "removeVideo"] as const) {
      const [microphone, camera] = [new Track("audio"), new Track("video")];
      const call = new RunningCall(microphone, camera);
      await call.changes.addVideo({ streams: streamOf(camera) });
      if (finish === "end") call.end();
      else await call.changes.removeVideo();
      assert.deepEqual([camera.stopped, microphone.stopped], [true, finish === "end"]);
    }
  });

  test("of the application's own is left on", async () => {
    const [microphone, camera] = [new Track("audio"), new Track("video")];
    const call = new RunningCall(microphone);
    await call.changes.addVideo({ streams: streamOf(camera) });
    call.end();
    assert.deepEqual([microphone.stopped, camera.stopped], [true, false]);
  });
});

test("a microphone that came while video was agreed on is kept, and released with the call", async () => {
  const [microphone, other, camera] = [new Track("audio"), new Track("audio"), new Track("video")];
  const call = new RunningCall(microphone);
  let agreed: () => void = () => undefined;
  call.agree = () => new Promise((resolve) => (agreed = resolve));
  const added = call.changes.addVideo({ streams: streamOf(camera) });
  const changed = call.changes.useDevice("audio", {});
  call.give(other);
  await changed;
  agreed();
  await added;
  assert.deepEqual(call.media.stream.getTracks(), [other, camera]);
  call.end();
  assert.deepEqual([microphone.stopped, other.stopped], [true, true]);
});

describe("another device", () => {
  test("takes the place of the one before, muted as it was", async () => {
    const [microphone, other] = [new Track("audio"), new Track("audio")];
    microphone.enabled = false;
    const call = new RunningCall(microphone);
    const changed = call.changes.useDevice("audio", {});
    call.give(other);
    await changed;
    assert.deepEqual([microphone.stopped, other.stopped, other.enabled], [true, false, false]);
    call.end();
    assert.equal(other.stopped, true);
  });

  test("is muted by who mutes while the line takes it, and heard when it is the other way round", async () => {
    for (const muted of [true, false]) {
      const [microphone, other] = [new Track("audio"), new Track("audio")];
      microphone.enabled = muted;
      const call = new RunningCall(microphone);
      call.attach = async () => call.changes.mute("audio", muted);
      const changed = call.changes.useDevice("audio", {});
      call.give(other);
      await changed;
      assert.deepEqual([other.enabled, call.changes.muted("audio")], [!muted, muted]);
    }
  });

  test("that was asked for last stays while the line takes the one before, and is muted by who mutes that", async () => {
    const [microphone, second, third] = [new Track("audio"), new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    let taken: () => void = () => undefined;
    call.attach = () => new Promise((resolve) => (taken = resolve));
    const changed = call.changes.useDevice("audio", {});
    call.give(second);
    await new Promise((resolve) => setImmediate(resolve));
    const last = call.changes.useDevice("audio", {});
    call.give(third);
    await new Promise((resolve) => setImmediate(resolve));
    call.changes.mute("audio", true);
    call.attach = () => Promise.resolve();
    taken();
    await Promise.all([changed, last]);
    assert.deepEqual([call.changes.muted("audio"), third.enabled, third.stopped], [true, false, false]);
    assert.deepEqual([microphone.stopped, second.stopped, call.sent.get("audio")], [true, true, third]);
    assert.deepEqual(call.media.stream.getTracks(), [third]);
  });

  test("that was asked for last stays when it comes first: the other one is given back", async () => {
    const [microphone, late, last] = [new Track("audio"), new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    const first = call.changes.useDevice("audio", {});
    const giveLate = call.give;
    const second = call.changes.useDevice("audio", {});
    call.give(last);
    await second;
    giveLate(late);
    await first;
    assert.deepEqual([microphone.stopped, late.stopped, last.stopped, call.sent.get("audio")], [true, true, false, last]);
    assert.deepEqual(call.media.stream.getTracks(), [last]);
  });

  test("that is not to be had takes no other one's place", async () => {
    const [microphone, other] = [new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    const first = call.changes.useDevice("audio", {});
    const give = call.give;
    const failed = assert.rejects(call.changes.useDevice("audio", {}), { kind: "usage" });
    call.give();
    await failed;
    give(other);
    await first;
    assert.deepEqual([microphone.stopped, other.stopped, call.sent.get("audio")], [true, false, other]);
  });

  test("for a call that ends while the person is asked is given back", async () => {
    const [microphone, other] = [new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    const changed = assert.rejects(call.changes.useDevice("audio", {}), { kind: "call-ended" });
    call.end();
    call.give(other);
    await changed;
    assert.equal(other.stopped, true);
  });

  test("for a call that ends while the line takes it is given back", async () => {
    const [microphone, other] = [new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    call.attach = async () => call.end();
    const changed = assert.rejects(call.changes.useDevice("audio", {}), { kind: "call-ended" });
    call.give(other);
    await changed;
    assert.equal(other.stopped, true);
  });

  test("for a call that is over is not asked for", async () => {
    const call = new RunningCall(new Track("audio"));
    call.end();
    const changed = assert.rejects(call.changes.useDevice("audio", {}), { kind: "call-ended" });
    call.give(new Track("audio"));
    await changed;
    assert.equal(call.asked, 0);
  });

  test("that the line does not take is given back, and the one before goes on", async () => {
    const [microphone, other] = [new Track("audio"), new Track("audio")];
    const call = new RunningCall(microphone);
    call.attach = () => Promise.reject(new Error("InvalidModificationError"));
    const changed = assert.rejects(call.changes.useDevice("audio", {}), /InvalidModificationError/);
    call.give(other);
    await changed;
    assert.deepEqual([other.stopped, microphone.stopped, call.sent.get("audio")], [true, false, microphone]);
  });
});

test("a track that comes back after it was taken away belongs to who brings it", () => {
  const camera = new Track("video") as unknown as MediaStreamTrack & Track;
  const first = withTrack({ stream: streamOf(new Track("audio")), borrowed: false }, camera, true);
  releaseLocalMedia(withTrack({ ...first, stream: streamOf() }, camera, false));
  assert.equal(camera.stopped, false);
  releaseLocalMedia(withoutTracks(first, "video"));
  assert.equal(camera.stopped, true);
});
