/** What the console makes of a call's trace: ladder, session descriptions with their differences, quality. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { rungsOf } from "../../console/ladder.ts";
import { qualityOf, ticks } from "../../console/quality-series.ts";
import { MOST_LINES, sdpDiff } from "../../console/sdp-diff.ts";
import { bodyOfMessage, choiceIn, isSdp, sdpOf } from "../../console/sdp-texts.ts";
import { traceFrom, tracePath, type Trace } from "../../console/trace.ts";

const SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
const message = (line: string, body = ""): string => `${line}\r\nCall-ID: c\r\n\r\n${body}`;

function traced(entries: readonly object[], more: object = {}): Trace {
  return traceFrom({ key: "k", call_id: "c", began_at: 100, direction: "from_page", entries, ...more });
}

const CALL = traced([
  { at: 100, what: "sip", leg: "page", incoming: true, name: "INVITE", text: message("INVITE sip:b@d SIP/2.0", SDP), values: { cseq: "1 INVITE" } },
  { at: 100.001, what: "decision", name: "way", why: "the client takes UPDATE", values: { way: "answer-then-update" } },
  { at: 100.002, what: "relay", name: "offer", values: { ms: 1.25, flags: ["a"] }, text: SDP, result: SDP.replace("4000", "5000") },
  { at: 100.003, what: "state", name: "INVITE", values: { dialog: "early" } },
  { at: 100.01, what: "sip", leg: "trunk:carrier", name: "INVITE", text: message("INVITE sip:b@c SIP/2.0", SDP.replace("4000", "6000")) },
  { at: 100.5, what: "sip", leg: "trunk:carrier", incoming: true, name: "486 Busy Here", text: message("SIP/2.0 486 Busy Here") },
  { at: 100.6, what: "sip", leg: "page", name: "486 Busy Here", text: "" },
  { at: 101, what: "unheard-of" },
]); // prettier-ignore

test("a trace is asked for by the whole name of its call", () => {
  for (const key of ["/x@y", "x@y", ".", "..", "a//b", "a b+c&d=e?f#g"]) {
    const url = new URL(`/api${tracePath(key)}`, "https://gateway.example.com");
    assert.deepEqual([url.pathname, url.searchParams.get("key")], ["/api/operator/trace", key]);
  }
});

test("the ladder has messages in their columns, and what happened between them", () => {
  const rungs = rungsOf(CALL);
  assert.deepEqual(rungs.map(({ kind, lane, arrow, title }) => [kind, lane, arrow, title]), [
    ["sip", "page", "right", "INVITE (SDP)"],
    ["decision", "", "", "way: answer-then-update"],
    ["relay", "", "", "offer"],
    ["state", "", "", "INVITE"],
    ["sip", "far", "right", "INVITE (SDP)"],
    ["sip", "far", "left", "486 Busy Here"],
    ["sip", "page", "left", "486 Busy Here"],
  ]);
  assert.deepEqual(rungs.map(({ spoken }) => spoken), [
    "page to gateway:", "gateway decides:", "media relay:", "state of the call:",
    "gateway to trunk carrier:", "trunk carrier to gateway:", "gateway to page:",
  ]); // prettier-ignore
  assert.deepEqual(rungs.map(({ isFailure }) => isFailure), [false, false, false, false, false, true, true]);
  assert.equal(rungs[1]?.note, "the client takes UPDATE");
  assert.equal(rungs[2]?.note, "1.3 ms");
  assert.deepEqual(rungs[2]?.details.map(([name]) => name), ["Values", "SDP given", "SDP that came of it"]);
  assert.deepEqual(rungs[6]?.details[0], ["Message", "(not kept)"]);
});

test("challenges and glare are no failures, an error of the relay is", () => {
  const failing = (entry: object): boolean | undefined => rungsOf(traced([{ at: 1, ...entry }]))[0]?.isFailure;
  for (const name of ["401 Unauthorized", "407 Proxy", "487 Request Terminated", "491 Pending", "200 OK", "INVITE"]) {
    assert.equal(failing({ what: "sip", leg: "core", name }), false, name);
  }
  assert.equal(failing({ what: "sip", leg: "core", name: "302 Moved" }), true);
  assert.equal(failing({ what: "relay", name: "offer", why: "timeout" }), true);
});

test("descriptions are paired through the gateway and the relay", () => {
  const { texts, pairs } = sdpOf(CALL);
  assert.deepEqual(texts.map(({ label }) => label), [
    "+0.000 s INVITE, from the page",
    "+0.002 s given to the relay, offer",
    "+0.002 s from the relay, offer",
    "+0.010 s INVITE, to the trunk carrier",
  ]);
  assert.deepEqual(pairs, [
    { label: "Page → core, through the gateway", before: 0, after: 3 },
    { label: "+0.002 s relay: offer", before: 1, after: 2 },
  ]);
});

test("what was chosen stays, whatever comes later", () => {
  const sip = (at: number, leg: string, incoming: boolean, name: string): object => ({ at, what: "sip", leg, incoming, name, text: message("X", `${SDP}a=${leg}${name}\r\n`) }); // prettier-ignore
  const relay = (at: number, name: string): object => ({ at, what: "relay", name, text: SDP, result: SDP });
  const begin = [sip(100, "core", true, "INVITE"), relay(100.1, "offer"), sip(100.2, "page", false, "INVITE")];
  const ringing = sdpOf(traced(begin));
  const answered = sdpOf(traced([...begin, sip(105, "page", true, "200"), relay(105.1, "answer"), sip(105.2, "core", false, "200")]));
  assert.equal(answered.pairs[0]?.label, "Page → core, through the gateway");
  for (const [at, { label, before, after }] of ringing.pairs.entries()) {
    const found = choiceIn(answered, ringing, { pair: at, before, after });
    assert.equal(answered.pairs[found.pair]?.label, label);
    assert.deepEqual([found.before, found.after], [before, after]);
  }
  assert.deepEqual(choiceIn(answered, ringing, { pair: -1, before: 1, after: 3 }), { pair: -1, before: 1, after: 3 });
  const late = sdpOf(traced([sip(99.9, "core", true, "INVITE"), ...begin]));
  assert.deepEqual(choiceIn(late, ringing, { pair: -1, before: 1, after: 3 }), { pair: -1, before: 2, after: 4 });
});

test("a call without descriptions has none", () => {
  assert.deepEqual(sdpOf(traced([{ at: 1, what: "sip", leg: "page", incoming: true, name: "INVITE", text: "INVITE" }])), { texts: [], pairs: [] });
});

test("the description is found in a body, and in one of several parts", () => {
  assert.equal(bodyOfMessage(message("INVITE x SIP/2.0", SDP)), SDP);
  const parts = `--b\r\nContent-Type: application/sdp\r\n\r\n${SDP}--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n`;
  const body = bodyOfMessage(`INVITE x SIP/2.0\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n${parts}`);
  assert.ok(isSdp(body));
  assert.ok(!body.includes("hello"));
  assert.equal(bodyOfMessage("BYE x SIP/2.0\r\nCall-ID: c"), "");
  assert.ok(!isSdp("<b>v=0</b>"));
});

test("lines are the same, changed, only before or only after", () => {
  const after = "v=0\r\no=- 2 2 IN IP4 198.51.100.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=audio 5000 RTP/AVP 0\r\n";
  assert.deepEqual(
    sdpDiff(`${SDP}a=ptime:20\r\n`, after).map(({ kind, before, after: line }) => [kind, before || line]),
    [
      ["same", "v=0"], ["changed", "o=- 1 1 IN IP4 192.0.2.1"], ["same", "s=-"], ["same", "t=0 0"],
      ["added", "a=ice-lite"], ["changed", "m=audio 4000 RTP/AVP 0"], ["removed", "a=ptime:20"],
    ],
  ); // prettier-ignore
  assert.deepEqual(sdpDiff("", ""), []);
  assert.ok(sdpDiff(SDP, SDP.replaceAll("\r\n", "\n")).every(({ kind }) => kind === "same"));
});

test("each side of a comparison is the text itself, in its order", () => {
  const texts = ["a=1\na=2\nb=1\na=2\nc=", "b=1\na=2\na=3\nc=\nd=", "x", "", "a=2\na=1"];
  for (const before of texts) {
    for (const after of texts) {
      const rows = sdpDiff(before, after);
      const side = (kind: string, name: "before" | "after"): string => rows.filter((row) => row.kind !== kind).map((row) => row[name]).join("\n");
      assert.equal(side("added", "before"), before);
      assert.equal(side("removed", "after"), after);
    }
  }
});

test("a description without end is shown at once", () => {
  const lines = Array.from({ length: MOST_LINES + 1 }, (_, at) => `a=candidate:${at}`);
  const began = performance.now();
  const rows = sdpDiff(lines.join("\n"), [...lines, "a=end"].join("\n"));
  assert.ok(performance.now() - began < 200);
  assert.deepEqual(rows.at(-1), { kind: "changed", before: "", after: "a=end" });
});

test("quality by medium and leg, wherever the figures are", () => {
  const series = qualityOf(
    traced([
      { at: 105, what: "quality", leg: "ims", name: "audio", values: { packets: 10, heard: { mos: 4.1, loss_percent: 1, jitter_ms: null } } },
      { at: 105, what: "quality", leg: "wic", name: "audio", values: { packets: 12, mos: 4.3, loss_percent: 0, jitter_ms: 3 } },
      { at: 110, what: "quality", leg: "wic", name: "audio", values: { packets: 20, mos: "NaN" } },
    ]),
  );
  assert.deepEqual(series.map(({ medium, leg, points }) => [medium, leg, points.length]), [["audio", "wic", 2], ["audio", "ims", 1]]);
  assert.deepEqual(series[0]?.points[0], { afterS: 5, mos: 4.3, lossPercent: 0, jitterMs: 3, packets: 12 });
  assert.deepEqual(series[0]?.points[1], { afterS: 10, mos: undefined, lossPercent: undefined, jitterMs: undefined, packets: 20 });
  assert.deepEqual(series[1]?.points[0], { afterS: 5, mos: 4.1, lossPercent: 1, jitterMs: undefined, packets: 10 });
});

test("a point is what was heard since the one before, where the trace has that", () => {
  const heard = { samples: 360, mos: 4.3, loss_percent: 0, jitter_ms: 3 };
  const recent = { packets: 3000, mos: 2.2, loss_percent: 30, jitter_ms: 80 };
  const [series] = qualityOf(
    traced([
      { at: 105, what: "quality", leg: "wic", name: "audio", values: { packets: 90_000, heard, recent } },
      { at: 110, what: "quality", leg: "wic", name: "audio", values: { packets: 93_000, heard, recent: null } },
    ]),
  );
  assert.deepEqual(series?.points[0], { afterS: 5, mos: 2.2, lossPercent: 30, jitterMs: 80, packets: 90_000 });
  assert.deepEqual(series?.points[1], { afterS: 10, mos: undefined, lossPercent: undefined, jitterMs: undefined, packets: 93_000 });
});

test("an estimate is no point", () => {
  const heard = { samples: 0, mos: 4.39, mos_source: "estimated", loss_percent: 0, jitter_ms: 0 };
  const [series] = qualityOf(traced([{ at: 105, what: "quality", leg: "wic", name: "audio", values: { packets: 250, heard } }]));
  assert.deepEqual(series?.points[0], { afterS: 5, mos: undefined, lossPercent: undefined, jitterMs: undefined, packets: 250 });
});

test("axes are marked at round numbers up to the highest value", () => {
  assert.deepEqual(ticks(5), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(ticks(20), [0, 5, 10, 15, 20]);
  assert.equal(ticks(0).length, 2);
  assert.deepEqual(ticks(130), [0, 50, 100, 150]);
});

test("verdicts come with the gravest first, and what is not understood is empty", () => {
  const { verdicts } = traced([], { verdicts: [{ code: "n", gravity: "note" }, { code: "c", gravity: "cause", says: "x", because: ["1", 2], do: "y" }, null] });
  assert.deepEqual(verdicts[0], { code: "c", gravity: "cause", says: "x", because: ["1"], advice: "y" });
  assert.deepEqual(verdicts.map(({ gravity }) => gravity), ["cause", "note", "note"]);
  assert.deepEqual(traceFrom({}).entries, []);
});
