/** What the softphone says of failures, quality and past calls: pure functions of the page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { loggedFromDocument, merged, outcomeOf, type LoggedCall, type Outcome } from "../../softphone/call-log.ts";
import { addressText } from "../../softphone/caller-text.ts";
import { diagnosticsText, type DiagnosticsInput } from "../../softphone/diagnostics-text.ts";
import { detailText, qualityBetween, ratingText } from "../../softphone/quality.ts";
import { troubleFrom } from "../../softphone/trouble.ts";
import { LoginError, MediaPermissionError, SipError, SocketError, type CallStats, type MediaFailure } from "../src/index.ts";

const refused = (status: number, reasonPhrase = "", text?: string): SipError =>
  new SipError({
    method: "INVITE",
    status,
    reasonPhrase,
    warnings: text === undefined ? [] : [{ code: 399, agent: "gateway", text }],
  });

for (const [error, title, advice] of [
  [refused(380, "Alternative Service"), /cannot make emergency calls/, /another telephone now/],
  [refused(403, "Forbidden"), /^This call is not allowed\.$/, /operator/],
  [refused(403, "Forbidden", "no premium numbers"), /^This call is not allowed: no premium numbers\.$/, /operator/],
  [refused(403, "closed at night."), /^This call is not allowed: closed at night\.$/, /operator/],
  [refused(404, "Not Found"), /does not exist/, /what you dialled/],
  [refused(486, "Busy Here"), /busy/, /later/],
  [refused(603, "Decline"), /declined/, /./],
  [refused(418, "Teapot"), /^418 Teapot\.$/, /refused/],
] as const) {
  test(`a call refused with ${error.message}`, () => {
    const trouble = troubleFrom(error);
    assert.match(trouble.title, title);
    assert.match(trouble.advice, advice);
  });
}

test("without a network that is what is told, whatever failed", () => {
  const errors = [new SocketError("lost"), new LoginError({ status: 0, detail: "no reply" })];
  for (const error of errors) assert.match(troubleFrom(error, false).title, /no network/);
  assert.match(troubleFrom(refused(486), false).title, /busy/);
});

test("each failure of microphone and camera has words of its own", () => {
  const reasons: MediaFailure[] = ["denied", "no-device", "device-busy", "constraints", "insecure-page", "unknown"];
  const titles = reasons.map((reason) => troubleFrom(new MediaPermissionError(reason, "x")).title);
  assert.equal(new Set(titles).size, reasons.length);
});

const sample = (packets: number, packetsLost: number, jitterMs = 2, roundTripTimeMs = 20): CallStats => ({
  roundTripTimeMs,
  outbound: [],
  inbound: [
    {
      mid: "r0",
      kind: "audio",
      codec: "opus",
      packets,
      bytes: packets * 80,
      packetsLost,
      jitterMs,
      audioLevel: undefined,
      totalAudioEnergy: undefined,
      framesDecoded: undefined,
    },
  ],
});

for (const [later, rating, detail] of [
  [sample(200, 10), "good", "no loss · 2 ms jitter · 20 ms round trip · Opus"],
  [sample(195, 15), "fair", "5.0 % lost · 2 ms jitter · 20 ms round trip · Opus"],
  [sample(180, 30), "poor", "20.0 % lost · 2 ms jitter · 20 ms round trip · Opus"],
  [sample(200, 10, 90), "poor", "no loss · 90 ms jitter · 20 ms round trip · Opus"],
  [sample(200, 10, 2, 350), "fair", "no loss · 2 ms jitter · 350 ms round trip · Opus"],
  [sample(100, 10), "silent", ""],
] as const) {
  test(`quality is ${rating}: ${detail}`, () => {
    const quality = qualityBetween(sample(100, 10), later, 2000);
    assert.equal(quality.rating, rating);
    assert.equal(detailText(quality), detail);
    assert.notEqual(ratingText(quality.rating), "");
  });
}

test("a line that is new counts from its first packet", () => {
  assert.equal(qualityBetween({ roundTripTimeMs: undefined, inbound: [], outbound: [] }, sample(50, 0), 1000).kbitPerS, 32);
});

test("diagnostics hold no words of the far side or of a refusal", () => {
  const call = {
    direction: "outgoing",
    state: "ended",
    end: { by: "failure", cause: "failed", error: refused(403, "secret-4711", "secret-4711") },
    held: { local: false, remote: false },
    recovering: false,
    answeredAt: undefined,
    target: "sip:secret-4711@ims.example.com",
    diagnostics: () => ({ callId: "abc", states: [], candidates: [], updates: 0, mediaLines: [] }),
  } as unknown as DiagnosticsInput["call"];
  const text = diagnosticsText({
    call,
    stats: sample(1, 0),
    qualities: [qualityBetween(sample(0, 0), sample(100, 1), 2000)],
    userAgent: "Browser/1",
    version: "0.6",
    now: new Date(0),
  });
  const report = JSON.parse(text) as Record<string, unknown>;
  assert.deepEqual(report["end"], { by: "failure", cause: "failed", kind: "sip", status: 403 });
  assert.equal(report["callId"], "abc");
  assert.doesNotMatch(text, /secret/);
});

test("the history of the web service is read, and what is not understood is left out", () => {
  const entry = { call_id: "1", peer: "sip:+4930@ims.example.com;user=phone", direction: "in", began_at: 10, duration_s: 65.437 };
  const calls = loggedFromDocument({
    calls: [{ ...entry, answered_at: 12 }, { ...entry, call_id: "2" }, { ...entry, call_id: "3", elsewhere: true }, 7, {}],
  });
  assert.deepEqual(calls.map(({ outcome }) => outcome), ["answered", "missed", "elsewhere"]);
  assert.deepEqual([calls[0]?.address, calls[0]?.talkS], ["+4930", 65]);
  assert.deepEqual(loggedFromDocument("<html>"), []);
});

for (const [peer, name, address] of [
  ["sip:anonymous@anonymous.invalid", "Anonymous", ""],
  ["sip:Anonymous@carrier.example", "Anonymous", ""],
  ["sip:+4930@carrier.example;user=phone", "+4930", "+4930"],
  ["sip:+49-30@198.51.100.9", "+4930", "+4930"],
  ["tel:+49-30", "+4930", "+4930"],
  ["sip:600;phone-context=ims.example.com@ims.example.com;user=phone", "600", "600"],
  ["sip:600@ims.example.com", "600@ims.example.com", "600@ims.example.com"],
  ["sip:*21%23@ims.example.com", "*21%23@ims.example.com", "*21%23@ims.example.com"],
  ["sip:*21****@ims.example.com;user=phone", "*21****@ims.example.com", ""],
  ["tel:*33****;phone-context=ims.example.com", "*33****", ""],
  ["sip:bob@ims.example.com;transport=tcp", "bob@ims.example.com", "bob@ims.example.com"],
  ["", "Unknown", ""],
] as const) {
  test(`the history shows ${peer || "nobody"} as ${name}`, () => {
    const entry = { call_id: "1", peer, direction: "in", began_at: 10, duration_s: 0 };
    const [call] = loggedFromDocument({ calls: [entry] });
    assert.deepEqual([call?.name, call?.address], [name, address]);
  });
}

test("whom a transfer leads to is a number wherever its domain is", () => {
  assert.equal(addressText("sip:+4930@carrier.example;user=phone"), "+4930");
  assert.equal(addressText("sip:bob@ims.example.com;user=phone?Replaces=1"), "bob@ims.example.com");
});

test("a call that rang at several devices is there once, with what became of it", () => {
  const entry = { call_id: "1", peer: "sip:bob@ims.example.com", direction: "in", began_at: 10, answered_at: 0, duration_s: 0 };
  const answered = { ...entry, answered_at: 15, duration_s: 60, by: "page", why: "BYE", status: 0 };
  const elsewhere = { ...entry, elsewhere: true, by: "core", why: "answered elsewhere", status: 487 };
  const declined = { ...entry, by: "page", why: "refused", status: 603 };
  const missed = { ...entry, by: "core", why: "CANCEL", status: 487 };
  for (const [calls, outcome] of [
    [[elsewhere, answered], "answered"],
    [[answered, elsewhere], "answered"],
    [[missed, declined], "declined"],
    [[{ ...declined, status: 486 }], "declined"],
    [[{ ...declined, status: 480 }], "missed"],
    [[missed, missed], "missed"],
  ] as const) {
    assert.deepEqual(merged([], loggedFromDocument({ calls }), 5).map((call) => call.outcome), [outcome]);
  }
  const toOneself = { ...answered, direction: "out" };
  assert.equal(merged([], loggedFromDocument({ calls: [answered, toOneself] }), 5).length, 2);
});

test("of a call in both histories the page's own entry stays", () => {
  const call = (callId: string, name: string, atMs: number): LoggedCall => ({
    callId, name, atMs, direction: "out", address: name, talkS: 0, outcome: "answered",
  });
  const list = merged([call("1", "Bob", 2)], [call("1", "sip", 2), call("2", "carol", 3)], 5);
  assert.deepEqual(list.map(({ name }) => name), ["carol", "Bob"]);
});

test("what became of a call in both histories is what the best of them says, of one direction each", () => {
  const call = (outcome: Outcome, more: Partial<LoggedCall> = {}): LoggedCall => ({
    callId: "1", name: "sip", address: "sip", atMs: 9, direction: "in", talkS: 0, outcome, ...more,
  });
  const own = (outcome: Outcome, talkS = 0): LoggedCall => call(outcome, { name: "Bob", address: "bob", atMs: 8, talkS });
  for (const [mine, theirs, outcome, talkS] of [
    [own("failed"), [call("missed"), call("answered", { talkS: 60 })], "answered", 60],
    [own("elsewhere"), [call("elsewhere"), call("declined")], "declined", 0],
    [own("answered", 58), [call("elsewhere")], "answered", 58],
  ] as const) {
    assert.deepEqual(merged([mine], theirs, 5), [{ ...mine, outcome, talkS }]);
  }
  const toOneself = merged([own("failed")], [call("answered", { direction: "out", talkS: 60 })], 5);
  assert.deepEqual(toOneself.map(({ direction, outcome }) => [direction, outcome]), [["out", "answered"], ["in", "failed"]]);
});

test("what became of a call of this page", () => {
  assert.equal(outcomeOf({ by: "remote", cause: "hangup" }, true), "answered");
  assert.equal(outcomeOf({ by: "remote", cause: "missed" }, false), "missed");
  assert.equal(outcomeOf({ by: "remote", cause: "answered-elsewhere" }, false), "elsewhere");
  assert.equal(outcomeOf({ by: "remote", cause: "declined-elsewhere" }, false), "declined");
  assert.equal(outcomeOf({ by: "failure", cause: "failed" }, false), "failed");
});
