/** What the console knows of calls: running ones by answers and events, failures by cause, alarms, addresses. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { alarmText } from "../../console/alarms.ts";
import { ApiError, asker, isForOperators, logOut, pathWith } from "../../console/api.ts";
import { Failures, failureFrom } from "../../console/causes.ts";
import { hearAnew, newDesk } from "../../console/desk.ts";
import { EventFeed, waitMs, type FeedHandlers } from "../../console/event-feed.ts";
import { hashOf, routeFromHash } from "../../console/route.ts";
import { membersOf } from "../../console/members.ts";
import { CallCounts, callsAfter, hearingOf, hearingText } from "../../console/running-calls.ts";
import { addressText, causeText, durationText, endText, offsetText } from "../../console/words.ts";

const answered = { key: "k1", call_id: "c1", owner: "sip:alice@d", peer: "tel:+49301", direction: "out", kinds: ["audio"], dialog: "confirmed", since: 100, node: "relay1", gateway: "gw1", page: { by: "page", media: { audio: { mos: 4.31, loss_percent: 1.54, jitter_ms: 4.4, round_trip_ms: null } } }, far: { by: "trunk:acme", media: {} } }; // prettier-ignore
const ringing = { key: "k2", call_id: "c2", owner: "sip:bob@d", peer: "sip:x@d", direction: "in", kinds: ["audio", "video"], dialog: "early", since: 200, node: "", gateway: "gw1" }; // prettier-ignore
const calls = [ringing, answered];
const begins = { type: "call_started", key: "k3", call_id: "c3", impu: "sip:carol@d", peer: "sip:y@d", direction: "out", node: "gw2", at: 300 }; // prettier-ignore

test("each side says what it hears, as far as it is known", () => {
  assert.equal(hearingText(hearingOf(answered.page) ?? assert.fail()), "MOS 4.3, loss 1.5 %, jitter 4 ms");
  assert.equal(hearingOf(answered.far), undefined);
});

test("an estimate is said to be one, and is no loss and no jitter", () => {
  const sound = { mos: 4.39, mos_source: "estimated", loss_percent: 0, jitter_ms: 0, round_trip_ms: null };
  assert.equal(hearingText(hearingOf({ media: { audio: sound } }) ?? assert.fail()), "MOS 4.4 (estimated)");
});

test("events add, change and end calls", () => {
  const more = callsAfter(calls, begins, true) ?? assert.fail();
  assert.deepEqual(more.map(({ key }) => key), ["k3", "k2", "k1"]);
  assert.deepEqual([more[0]?.["owner"], more[0]?.["gateway"], more[0]?.["since"], more[0]?.["dialog"]], ["sip:carol@d", "gw2", 300, "none"]);
  const talking = callsAfter(more, { ...begins, type: "call_answered" }, true) ?? assert.fail();
  assert.deepEqual(talking.map(({ dialog }) => dialog), ["confirmed", "early", "confirmed"]);
  const fewer = callsAfter(talking, { ...begins, type: "call_ended" }, true) ?? assert.fail();
  assert.deepEqual(fewer, calls);
  assert.equal(callsAfter(fewer, { ...begins, type: "call_ended" }, true), undefined);
  assert.equal(callsAfter(calls, { type: "registered", impu: "sip:a@d" }, true), undefined);
});

test("a call that begins is on no page but the first one", () => {
  assert.equal(callsAfter(calls, begins, false), undefined);
  assert.equal(callsAfter(calls, { type: "call_answered", key: "k2" }, false)?.[0]?.["dialog"], "confirmed");
});

test("an event of the past does not take a call back to an earlier state", () => {
  assert.equal(callsAfter(calls, { type: "call_ringing", key: "k1" }, true), undefined);
  assert.equal(callsAfter(calls, { type: "call_started", key: "k2" }, true), undefined);
});

test("quality that is told takes the place of what was known", () => {
  const wic = { rating: "poor", packets: 250, mos: 2.1, loss_percent: 9, jitter_ms: 30, round_trip_ms: 80 };
  const event = { type: "call_quality", key: "k1", quality: { audio: { wic, ims: null } } };
  const [, call] = callsAfter(calls, event, true) ?? assert.fail();
  const [page, far] = [membersOf(call?.["page"]), membersOf(call?.["far"])];
  assert.equal(hearingText(hearingOf(page) ?? assert.fail()), "MOS 2.1, loss 9.0 %, jitter 30 ms, round trip 80 ms");
  assert.equal(hearingOf(far), undefined);
  assert.deepEqual([page["by"], far["by"]], ["page", "trunk:acme"]);
  assert.equal(callsAfter(calls, { ...event, key: "k9" }, true), undefined);
});

test("counts follow events that are newer than the answer", () => {
  const counts = new CallCounts();
  counts.apply(begins);
  assert.equal(counts.total, undefined);
  const gateways = [{ gateway: "gw1", calls: 2 }, { gateway: "gw2", calls: 3 }, { gateway: "gw3", calls: null }];
  counts.replace({ gateways, calls: 5, counted_at: { gw1: 400, gw2: 299 } });
  counts.apply(begins);
  counts.apply({ ...begins, node: "gw1" });
  assert.deepEqual([counts.byGateway(), counts.total], [[["gw1", 2], ["gw2", 4]], 6]);
  counts.apply({ ...begins, type: "call_ended" });
  assert.deepEqual(counts.byGateway(), [["gw1", 2], ["gw2", 3]]);
  counts.replace({ gateways: [{ gateway: "gw1", calls: null }], calls: null, counted_at: {} });
  assert.deepEqual([counts.byGateway(), counts.total], [[], undefined]);
});

for (const [name, call, cause] of [
  ["busy", { type: "call_ended", answered_at: 0, status: 486, by: "core", why: "" }, "486 Busy"],
  ["a status without words of ours", { type: "call_ended", answered_at: 0, status: 418, by: "core", why: "I am a teapot" }, "418 I am a teapot"],
  ["refused at once", { type: "call_refused", why: "too many calls at once" }, "Refused: too many calls at once"],
  ["ended by the gateway in the middle", { type: "call_ended", answered_at: 5, status: 0, by: "gateway", why: "no media" }, "No media"],
  ["ended by an operator", { type: "call_ended", answered_at: 5, status: 0, by: "gateway", why: "ended by the operator" }, undefined],
  ["ended by the user on another page", { type: "call_ended", answered_at: 5, status: 0, by: "gateway", why: "ended by the user" }, undefined],
  ["given up by the user on another page", { type: "call_ended", answered_at: 0, status: 480, by: "gateway", why: "ended by the user" }, undefined],
  ["forbidden to go on by an operator", { type: "call_forbidden", why: "ended by the operator" }, undefined],
  ["a recorded call", { answered_at: 0, status: 503, by: "core", why: "" }, "503 No capacity"],
  ["given up by the caller", { type: "call_ended", answered_at: 0, status: 487, by: "page", why: "" }, undefined],
  ["given up while the far end refused", { type: "call_ended", answered_at: 0, status: 408, by: "page", why: "CANCEL" }, undefined],
  ["answered on another device", { type: "call_ended", answered_at: 0, status: 0, by: "core", why: "answered elsewhere" }, undefined],
  ["an ordinary end", { type: "call_ended", answered_at: 5, status: 0, by: "page", why: "" }, undefined],
  ["another event", { type: "call_started" }, undefined],
] as const) {
  test(`failure or not: ${name}`, () => assert.equal(failureFrom({ ...call, at: 1 })?.cause, cause));
}

test("failures are counted by cause for an hour", () => {
  const failures = new Failures();
  const add = (key: string, at: number, status: number): void => {
    const failure = failureFrom({ type: "call_ended", key, call_id: key, ended_at: at, status, by: "core" });
    assert.ok(failure !== undefined);
    failures.add(failure);
  };
  add("a", 100, 486);
  add("b", 3000, 486);
  add("c", 2900, 486);
  add("d", 3100, 404);
  assert.deepEqual(failures.counts(3650), [
    { cause: "486 Busy", count: 3, lastAtS: 3000, lastKey: "b" },
    { cause: "404 Number not found", count: 1, lastAtS: 3100, lastKey: "d" },
  ]);
  assert.deepEqual(failures.counts(3701).map(({ count }) => count), [2, 1]);
});

test("a call that was forbidden and then ended is one failure", () => {
  const failures = new Failures();
  for (const call of [
    { type: "call_forbidden", call_id: "c", at: 10, why: "too long" },
    { type: "call_ended", call_id: "c", key: "k", ended_at: 11, answered_at: 5, by: "gateway", why: "too long" },
    { type: "call_forbidden", call_id: "d", at: 12, why: "too long" },
  ]) {
    const failure = failureFrom(call);
    if (failure !== undefined) failures.add(failure);
  }
  assert.deepEqual(failures.counts(20).map(({ cause, lastKey }) => [cause, lastKey]), [["Refused: too long", "d"], ["Too long", "k"]]);
});

test("what is told again after a new login counts once", () => {
  const unexpected = (): never => assert.fail();
  const desk = newDesk({ ask: unexpected, tell: unexpected, complain: unexpected, confirm: unexpected });
  const listen = (): void => {
    hearAnew(desk);
    desk.failures.add(failureFrom({ type: "call_ended", key: "a", call_id: "a", ended_at: 10, status: 486, by: "core" }) ?? assert.fail());
    desk.alarms.add({ type: "login_locked", address: "198.51.100.7", at: 10 });
  };
  listen();
  listen();
  assert.deepEqual([desk.failures.counts(20).map(({ count }) => count), desk.alarms.recent(20).length], [[1], 1]);
});

for (const [event, text] of [
  [{ type: "fraud_alarm", impu: "sip:a@d", what: "premium", calls: 21 }, /sip:a@d made 21 calls \(premium\)/],
  [{ type: "fraud_alarm", user_class: "guest", what: "denied", calls: 5 }, /users of the class guest/],
  [{ type: "login_locked", address: "198.51.100.7" }, /198\.51\.100\.7 is locked out/],
  [{ type: "address_banned", address: "198.51.100.7", why: "too many failed logins" }, /198\.51\.100\.7 is banned: too many failed logins/],
  [{ type: "trunk_down", trunk: "carrier", next_hop: "sip:1.2.3.4", why: "503", node: "gw1" }, /carrier: sip:1\.2\.3\.4 is down: 503, seen by gw1/],
  [{ type: "trunk_registration", trunk: "carrier", state: "waiting", why: "403" }, /registration is waiting: 403/],
  [{ type: "trunk_registration", trunk: "carrier", state: "registered" }, /^$/],
  [{ type: "call_started" }, /^$/],
] as const) {
  test(`alarm: ${JSON.stringify(event)}`, () => assert.match(alarmText(event), text));
}

test("addresses of pages go both ways, whatever is in a key", () => {
  for (const key of ["a@b;to", "x/y#z?q=1", "%", "ümläut <b>"]) {
    assert.deepEqual(routeFromHash(hashOf("call", { key })), { page: "call", key, query: {} });
  }
  const query = { impu: "sip:a@d", failed: "true" };
  assert.deepEqual(routeFromHash(hashOf("past", { query: { ...query, call_id: "" } })), { page: "past", key: "", query });
  assert.equal(routeFromHash("").page, "overview");
  assert.equal(routeFromHash("#/__proto__").page, "overview");
  assert.equal(routeFromHash("#/call").page, "calls");
  assert.equal(routeFromHash("#/call/%E0%A4").key, "%E0%A4");
});

test("words", () => {
  assert.equal(durationText(7.9), "0:07");
  assert.equal(durationText(4327), "1:12:07");
  assert.equal(offsetText(0.0124), "+0.012 s");
  assert.equal(offsetText(-0.0002), "+0.000 s");
  assert.equal(offsetText(-1.5), "−1.500 s");
  assert.equal(addressText("<sip:+49301@d;user=phone>"), "+49301@d");
  assert.equal(addressText(""), "unknown");
  assert.equal(causeText({ by: "gateway", why: "", status: 0 }), "Ended by the gateway");
  assert.equal(endText({ by: "core", why: "busy", status: 486 }), "Ended by the core with 486: busy.");
  assert.equal(pathWith("/x", { a: "", b: "1&2" }), "/x?b=1%262");
  assert.equal(pathWith("/x", { a: "" }), "/x");
});

test("a refusal is told in the service's words", async () => {
  const answers = (status: number, body: string): typeof fetch => () => Promise.resolve(new Response(body, { status }));
  const refused = asker(answers(403, '{"detail": "This is for operators."}'))("GET", "/x");
  await assert.rejects(refused, { name: "ApiError", status: 403, message: "This is for operators." });
  await assert.rejects(asker(answers(502, "<html>"))("GET", "/x"), { status: 502, message: /HTTP 502/ });
  await assert.rejects(asker(() => Promise.reject(new TypeError("no network")))("GET", "/x"), (error) => error instanceof ApiError && error.status === 0);
});

test("an account without the role is told from everything else that is forbidden", async () => {
  const source = await readFile(new URL("../../services.py", import.meta.url), "utf8");
  const [, detail = ""] = /^FOR_OPERATORS: Final = "(.*)"$/m.exec(source) ?? [];
  assert.notEqual(detail, "");
  assert.equal(isForOperators(new ApiError(403, detail)), true);
  assert.equal(isForOperators(new ApiError(403, "Not now.")), false, "a banned address");
});

test("a logout is over when a second attempt finds nobody, and else says why not", async () => {
  const answers = (...statuses: number[]) => asker(() => Promise.resolve(new Response(null, { status: statuses.shift() ?? 204 })));
  await logOut(answers(204));
  await logOut(answers(503, 204));
  await assert.rejects(logOut(answers(503, 502)), { status: 502 });
});

/** A WebSocket that does what the test says. */
class Line {
  readonly url: string;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(url: string) {
    this.url = url;
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  close(): void {
    this.onclose?.({ code: 1005 });
  }
}

/** Somebody who listens: what was heard, and the lines that were opened. */
function listener(): { heard: unknown[]; lines: Line[]; feed: EventFeed } {
  const lines: Line[] = [];
  const heard: unknown[] = [];
  const handlers: FeedHandlers = {
    onEvent: (event) => heard.push(event["type"]),
    onStart: (cut) => heard.push(`start ${cut}`),
    onGap: () => heard.push("gap"),
    onState: (state) => heard.push(state),
    onOver: (code) => heard.push(code),
  };
  const open = (url: string): WebSocket => {
    const line = new Line(url);
    lines.push(line);
    return line as unknown as WebSocket;
  };
  return { heard, lines, feed: new EventFeed({ url: "wss://x/e", handlers, open, random: () => 1 }) };
}

test("who hears nothing for longer than signs of life are apart begins anew, once", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { heard, lines, feed } = listener();
  lines[0]?.say({ type: "position", seq: "7-1", gap: false });
  t.mock.timers.tick(45_000);
  lines[0]?.say({ type: "position", seq: "7-2", gap: false });
  t.mock.timers.tick(49_000);
  assert.deepEqual(heard, ["connecting", "live", "start false", "live"]);
  t.mock.timers.tick(1000);
  lines[0]?.onclose?.({ code: 1006 });
  t.mock.timers.tick(500);
  assert.deepEqual(heard.slice(4), ["waiting", "connecting"]);
  assert.deepEqual(lines.map(({ url }) => url), ["wss://x/e?after=0-0", "wss://x/e?after=7-2"]);
  t.mock.timers.tick(50_000);
  assert.deepEqual(heard.slice(6), ["waiting"], "the service need not answer at all");
  feed.close();
  t.mock.timers.tick(60_000);
  assert.equal(lines.length, 2);
});

test("who listens goes on after an interruption, and stops when the session is over", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { heard, lines } = listener();
  lines[0]?.say({ type: "position", seq: "0-0", gap: true });
  lines[0]?.say({ type: "call_started", seq: "7-1" });
  lines[0]?.say({ type: "dtmf" });
  lines[0]?.onclose?.({ code: 1006 });
  t.mock.timers.tick(500);
  lines[1]?.say({ type: "position", seq: "7-1", gap: true });
  lines[1]?.onclose?.({ code: 4401 });
  t.mock.timers.tick(60_000);
  assert.deepEqual(lines.map(({ url }) => url), ["wss://x/e?after=0-0", "wss://x/e?after=7-1"]);
  assert.deepEqual(heard, [
    "connecting", "live", "start true", "call_started", "dtmf", "waiting", "connecting", "live", "gap", "over", 4401,
  ]); // prettier-ignore
});

test("waits grow, and end at a quarter of a minute", () => {
  assert.deepEqual([0, 1, 2, 9, 99].map((failures) => waitMs(failures, 1)), [500, 1000, 2000, 15_000, 15_000]);
  assert.equal(waitMs(0, 0), 250);
});
