import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  ConfigError,
  IceError,
  MediaPermissionError,
  PhoneError,
  SessionDescriptionError,
  SignedOutError,
  SipError,
  SocketError,
  UsageError,
  type MediaFailure,
} from "../src/errors.ts";
import { configFromObject, fetchConfig } from "../src/config.ts";
import { acquireLocalMedia, mediaErrorFromException, releaseLocalMedia } from "../src/media.ts";
import { callStatsFromReport } from "../src/stats.ts";

describe("errors", () => {
  const rows: readonly [PhoneError, string][] = [
    [new SipError({ method: "INVITE", status: 486, reasonPhrase: "Busy Here" }), "sip"],
    [new IceError("x"), "ice"],
    [new MediaPermissionError("denied", "x"), "media-permission"],
    [new SessionDescriptionError("x"), "session-description"],
    [new SocketError("x"), "socket"],
    [new SignedOutError("network", "x", { closeCode: 1008 }), "signed-out"],
    [new ConfigError("x"), "config"],
    [new UsageError("x"), "usage"],
  ];
  for (const [error, kind] of rows) {
    test(`${error.name} has the kind ${kind} and an advice`, () => {
      assert.ok(error instanceof PhoneError);
      assert.equal(error.kind, kind);
      assert.match(error.advice, /^[A-Z].*[.]$/);
    });
  }
  test("a SIP error tells status, phrase and the gateway's warning", () => {
    const warnings = [{ code: 304, agent: "gw", text: "no codec in common" }];
    const error = new SipError({ method: "INVITE", status: 488, reasonPhrase: "Not Acceptable Here", warnings });
    assert.equal(error.message, "488 Not Acceptable Here: no codec in common");
  });
  for (const status of [302, 400, 403, 404, 480, 484, 486, 488, 499, 503, 599, 603, 699]) {
    test(`a person learns what to do about ${status}`, () => {
      const error = new SipError({ method: "INVITE", status, reasonPhrase: "" });
      assert.match(error.advice, /^[A-Z].*[.]$/);
    });
  }
  test("380 sends people to another telephone (TS 24.229 §5.1.2A.1.6)", () => {
    const error = new SipError({ method: "INVITE", status: 380, reasonPhrase: "Alternative Service" });
    assert.match(error.advice, /emergency.*another telephone/);
  });

  test("keys that nobody hears are not a callee who is away", () => {
    const error = new SipError({ method: "INFO", status: 480, reasonPhrase: "Temporarily Unavailable" });
    assert.match(error.advice, /on hold.*Press them again/);
  });
  test("403 to REGISTER is about the account, 403 to INVITE is not", () => {
    const advice = (method: string): string => new SipError({ method, status: 403, reasonPhrase: "" }).advice;
    assert.match(advice("REGISTER"), /password/);
    assert.doesNotMatch(advice("INVITE"), /password/);
  });
  test("a time to wait is part of the advice", () => {
    const error = new SipError({ method: "INVITE", status: 503, reasonPhrase: "", retryAfterS: 7 });
    assert.match(error.advice, /wait 7 s/);
  });
});

describe("microphone and camera", () => {
  const rows: readonly [string, MediaFailure][] = [
    ["NotAllowedError", "denied"],
    ["NotFoundError", "no-device"],
    ["NotReadableError", "device-busy"],
    ["OverconstrainedError", "constraints"],
    ["SecurityError", "insecure-page"],
    ["Error", "unknown"],
  ];
  for (const [name, reason] of rows) {
    test(`${name} is ${reason}`, () => {
      const exception = new Error("no");
      exception.name = name;
      assert.equal(mediaErrorFromException(exception).reason, reason);
    });
  }
  const track = { stopped: false, stop(): void { this.stopped = true; } };
  const stream = { getTracks: () => [track] } as unknown as MediaStream;
  test("devices are asked for audio unless told otherwise, and are given back", async () => {
    let asked: unknown;
    const getUserMedia = (constraints: unknown): Promise<MediaStream> => ((asked = constraints), Promise.resolve(stream));
    const media = await acquireLocalMedia({}, { getUserMedia });
    assert.deepEqual(asked, { audio: true, video: false });
    releaseLocalMedia(media);
    assert.equal(track.stopped, true);
  });
  test("the application's own stream is taken without asking and left running", async () => {
    track.stopped = false;
    const media = await acquireLocalMedia({ streams: stream }, undefined);
    releaseLocalMedia(media);
    assert.equal(track.stopped, false);
  });
  test("a refusal is a typed error", async () => {
    const exception = new Error("Permission denied");
    exception.name = "NotAllowedError";
    const getUserMedia = (): Promise<MediaStream> => Promise.reject(exception);
    await assert.rejects(acquireLocalMedia({}, { getUserMedia }), { kind: "media-permission", reason: "denied" });
  });
  test("a page without devices is told why", async () => {
    await assert.rejects(acquireLocalMedia({}, undefined), { kind: "media-permission", reason: "insecure-page" });
  });
  test("neither audio nor video is no call", async () => {
    await assert.rejects(acquireLocalMedia({ audio: false }), { kind: "usage" });
  });
});

describe("configuration", () => {
  const GOOD = { wssUrl: "wss://gw.example/sip", domain: "ims.example.com" };
  test("two members are enough", () => {
    assert.deepEqual(configFromObject(GOOD), {
      ...GOOD,
      iceServers: [],
      iceGatheringTimeoutMs: 1000,
      version: "",
      features: {},
      login: { password: false, guest: false, oidc: false },
    });
  });
  const BAD: readonly [string, unknown][] = [
    ["wssUrl", { ...GOOD, wssUrl: "https://gw.example" }],
    ["domain", { ...GOOD, domain: "sip:x" }],
    ["iceServers", { ...GOOD, iceServers: [{ urls: "http://x" }] }],
    ["iceGatheringTimeoutMs", { ...GOOD, iceGatheringTimeoutMs: 0 }],
    ["version", { ...GOOD, version: 1 }],
    ["features", { ...GOOD, features: { video: "yes" } }],
    ["login", { ...GOOD, login: { guest: "yes" } }],
    ["not an object", null],
    ["not an object", []],
  ];
  for (const [words, value] of BAD) {
    test(`${JSON.stringify(value)} is refused because of ${words}`, () => {
      assert.throws(
        () => configFromObject(value),
        (error) => error instanceof ConfigError && error.message.includes(words),
      );
    });
  }
  test("it is fetched, never from a cache", async () => {
    let cache: RequestCache | undefined;
    const config = await fetchConfig("/config.json", (_url, init) => {
      cache = init?.cache;
      return Promise.resolve(Response.json(GOOD));
    });
    assert.equal(config.wssUrl, GOOD.wssUrl);
    assert.equal(cache, "no-store");
  });
  const REPLIES: readonly [string, () => Promise<Response>][] = [
    ["HTTP 503", () => Promise.resolve(new Response("", { status: 503 }))],
    ["not JSON", () => Promise.resolve(new Response("<html>"))],
    ["cannot be fetched", () => Promise.reject(new TypeError("offline"))],
  ];
  for (const part of ["reply", "body"] as const) {
    test(`a ${part} that does not come in time is a typed error`, async (context) => {
      const late = new AbortController();
      const timeout = context.mock.method(AbortSignal, "timeout", () => late.signal);
      const fetcher: typeof fetch = (_url, init) => {
        const aborted = new Promise<never>((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(late.signal.reason));
        });
        return part === "reply" ? aborted : Promise.resolve(new Response(new ReadableStream({ pull: () => aborted })));
      };
      const failed = assert.rejects(fetchConfig("/config.json", fetcher), { kind: "config", message: /cannot be fetched/ });
      assert.deepEqual(timeout.mock.calls.map(({ arguments: [ms] }) => ms), [15_000]);
      late.abort(new DOMException("signal timed out", "TimeoutError"));
      await failed;
    });
  }
  test("a browser that knows no time limits gets a typed error", async (context) => {
    context.mock.method(AbortSignal, "timeout", () => {
      throw new TypeError("AbortSignal.timeout is not a function");
    });
    await assert.rejects(fetchConfig("/config.json", () => Promise.resolve(Response.json(GOOD))), { kind: "config" });
  });
  for (const [words, reply] of REPLIES) {
    test(`a reply that fails is a typed error: ${words}`, async () => {
      await assert.rejects(fetchConfig("/config.json", reply), (error) => {
        return error instanceof ConfigError && error.message.includes(words);
      });
    });
  }
});

test("statistics are told per line", () => {
  const stats = callStatsFromReport([
    ["c", { type: "codec", mimeType: "audio/opus" }],
    ["p", { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.02 }],
    ["i", { type: "inbound-rtp", kind: "audio", mid: "r0", codecId: "c", packetsReceived: 5, jitter: 0.003 }],
    ["o", { type: "outbound-rtp", kind: "audio", mid: "0", codecId: "c", packetsSent: 7, bytesSent: 70 }],
    ["x", { type: "transport" }],
  ]);
  assert.equal(stats.roundTripTimeMs, 20);
  assert.deepEqual(
    stats.inbound.map(({ mid, codec, packets, jitterMs }) => ({ mid, codec, packets, jitterMs })),
    [{ mid: "r0", codec: "opus", packets: 5, jitterMs: 3 }],
  );
  assert.deepEqual(stats.outbound, [{ mid: "0", kind: "audio", codec: "opus", packets: 7, bytes: 70 }]);
});
