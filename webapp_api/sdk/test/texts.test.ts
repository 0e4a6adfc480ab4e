import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, test } from "node:test";

import { dtmfRelayFromText, dtmfRelayToText, Digits, signalsFromText, untilHeard } from "../src/dtmf.ts";
import { UsageError } from "../src/errors.ts";
import { Emitter } from "../src/events.ts";
import { directionOf } from "../src/media-lines.ts";
import { pendingDelayMs } from "../src/renegotiation.ts";
import { statusFromSipfrag } from "../src/transfer.ts";
import { candidateFromText, IceGathering } from "../src/ice-gathering.ts";
import { bundleGroups, directionsByMid, linesWithoutCandidates, offers, receives, sends, splitsDirections, withBundleGroups } from "../src/sdp.ts";
import {
  reasonsFromFields,
  retryAfterFromText,
  warningsFromText,
  warningToText,
  withSingleAllow,
} from "../src/sip-headers.ts";
import { addressOfRecordFromText, targetUriFromText } from "../src/target.ts";
import { VERSION } from "../src/version.ts";

describe("Allow", () => {
  test("there is one, it names UPDATE and PRACK, and other header fields stay", () => {
    const headers = withSingleAllow(["Contact: <sip:a@b>", "allow : INVITE", "Allow: ACK,BYE", "X-Allow: yes"]);
    const allow = headers.filter((header) => /^allow\b/i.test(header));
    assert.equal(allow.length, 1);
    assert.match(allow[0] ?? "", /\bPRACK\b.*\bUPDATE\b/);
    assert.deepEqual(headers.slice(0, 2), ["Contact: <sip:a@b>", "X-Allow: yes"]);
  });
});

describe("Warning (RFC 3261 §20.43)", () => {
  test("several values and quoted characters are read", () => {
    assert.deepEqual(warningsFromText('304 gw.example "no \\"codec\\"", 399 198.51.100.1:5060 "second, with comma"'), [
      { code: 304, agent: "gw.example", text: 'no "codec"' },
      { code: 399, agent: "198.51.100.1:5060", text: "second, with comma" },
    ]);
  });
  test("what is not a warning is left out", () => {
    assert.deepEqual(warningsFromText("busy"), []);
  });
  test("a written warning is read back, without characters that would break the header", () => {
    const warning = { code: 399, agent: "sdk", text: 'a "bad"\r\nline' };
    const [read] = warningsFromText(warningToText(warning).replace("Warning: ", ""));
    assert.deepEqual(read, { ...warning, text: "a 'bad'''line" });
  });
});

describe("Reason (RFC 3326)", () => {
  test("protocol, cause and text are read", () => {
    assert.deepEqual(reasonsFromFields(['Q.850 ;cause=16 ;text="Normal \\"clearing\\""']), [
      { protocol: "Q.850", cause: 16, text: 'Normal "clearing"' },
    ]);
  });
  test("one line may hold several, with commas in their texts; what is broken is left out", () => {
    const reasons = reasonsFromFields(['Q.850;cause=16;text="a, b", SIP;cause=200', "", "(broken)", "SIP;cause=603"]);
    assert.deepEqual(
      reasons.map(({ protocol, cause, text }) => [protocol, cause, text]),
      [["Q.850", 16, "a, b"], ["SIP", 200, undefined], ["SIP", 603, undefined]],
    );
  });
});

test("Retry-After is seconds, with a comment or parameters behind", () => {
  assert.equal(retryAfterFromText("120 (in a meeting);duration=60"), 120);
  assert.equal(retryAfterFromText(undefined), undefined);
  assert.equal(retryAfterFromText("soon"), undefined);
});

describe("directions of a session description", () => {
  test("a line with port 0 offers nothing", () => {
    const sdp = "v=0\r\nm=audio 4000 X 0\r\nm=video 0 X 0\r\n";
    assert.deepEqual([offers(sdp, "audio"), offers(sdp, "video")], [true, false]);
  });
  const SDP = "v=0\r\ns=-\r\na=recvonly\r\nm=audio 9 X 0\r\na=mid:0\r\nm=audio 9 X 0\r\na=mid:r0\r\na=sendonly\r\n";
  test("an m-line has its own direction, else the session's", () => {
    assert.deepEqual([...directionsByMid(SDP)], [
      ["0", "recvonly"],
      ["r0", "sendonly"],
    ]);
  });
  test("without any direction it is sendrecv", () => {
    assert.deepEqual([...directionsByMid("v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n")], [["0", "sendrecv"]]);
  });
  test("only sendrecv and recvonly receive", () => {
    const all = ["sendrecv", "sendonly", "recvonly", "inactive", undefined] as const;
    assert.deepEqual(all.map(receives), [true, false, true, false, false]);
  });
  test("a line for each direction of one kind is what one-way clients have", () => {
    const lines = (...directions: string[]): string =>
      `v=0\r\n${directions.map((direction) => `m=audio 9 X 0\r\na=${direction}\r\n`).join("")}`;
    assert.equal(splitsDirections(lines("sendonly", "recvonly")), true);
    assert.equal(splitsDirections(lines("sendrecv")), false);
    assert.equal(splitsDirections(lines("sendonly") + "m=video 9 X 0\r\na=recvonly\r\n"), false);
  });
  test("only sendrecv and sendonly send", () => {
    const all = ["sendrecv", "sendonly", "recvonly", "inactive", undefined] as const;
    assert.deepEqual(all.map(sends), [true, true, false, false, false]);
  });
});

describe("transports of a session description", () => {
  const line = (mid: string, port = 9, more = ""): string => `m=audio ${port} X 0\r\na=mid:${mid}\r\n${more}`;
  const offer = `v=0\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=x\r\n${line("0")}${line("1")}${line("2")}`;
  test("an offer gets the groups that were agreed, and no other", () => {
    const made = withBundleGroups(offer, [["0", "1"]]);
    assert.deepEqual(bundleGroups(made), [["0", "1"]]);
    assert.equal(made, `v=0\r\nt=0 0\r\na=x\r\na=group:BUNDLE 0 1\r\n${line("0")}${line("1")}${line("2")}`);
    assert.deepEqual(bundleGroups(withBundleGroups(offer, [])), []);
    assert.deepEqual(bundleGroups(withBundleGroups(offer, [["0"], ["1", "2"]])), [["0"], ["1", "2"]]);
  });
  test("a line that is switched off is in no group", () => {
    const off = offer.replace(line("1"), line("1", 0));
    assert.deepEqual(bundleGroups(withBundleGroups(off, [["0", "1"], ["1"]])), [["0"]]);
  });
  test("candidates are missing on each line with a transport of its own", () => {
    const with0 = offer.replace(line("0"), line("0", 9, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"));
    assert.deepEqual(linesWithoutCandidates(offer, []), [0, 1, 2]);
    assert.deepEqual(linesWithoutCandidates(with0, [["0", "1"]]), [2]);
    assert.deepEqual(linesWithoutCandidates(with0.replace(line("2"), line("2", 0)), [["0", "1"]]), []);
  });
});

describe("DTMF", () => {
  test("a body names signal and duration", () => {
    assert.equal(dtmfRelayToText("#", 100), "Signal=#\r\nDuration=100\r\n");
  });
  test("a body that came", () => {
    assert.deepEqual(dtmfRelayFromText("Signal=d\r\nDuration=220\r\n"), { signal: "D", durationMs: 220 });
    assert.deepEqual(dtmfRelayFromText("Signal= *\n"), { signal: "*", durationMs: 160 });
    for (const body of ["", "Signal=16", "Signal=12", "x Signal=1"]) assert.equal(dtmfRelayFromText(body), undefined);
  });
  test("tones go as telephone-events where the browser can, else one by one in INFO", async () => {
    const bodies: string[] = [];
    const sendInfo = async (body: string): Promise<void> => void bodies.push(body);
    const played: unknown[] = [];
    const dtmf = { canInsertDTMF: true, toneBuffer: "", insertDTMF: (...what: unknown[]) => played.push(what) };
    const connection = { getSenders: () => [{ dtmf: null }, { dtmf }] } as unknown as RTCPeerConnection;
    await new Digits().send("1d", { durationMs: 100, gapMs: 50 }, connection, sendInfo);
    assert.deepEqual([played, bodies], [[["1D", 100, 50]], []]);
    dtmf.canInsertDTMF = false;
    await new Digits().send("1d", { durationMs: 100 }, connection, sendInfo);
    assert.deepEqual(bodies, [dtmfRelayToText("1", 100), dtmfRelayToText("D", 100)]);
  });
  test("the first tone waits for the media path", async () => {
    const connection = Object.assign(new EventTarget(), { connectionState: "connecting" });
    let heard = false;
    const waiting = untilHeard(connection as unknown as RTCPeerConnection).then(() => (heard = true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(heard, false);
    connection.connectionState = "connected";
    connection.dispatchEvent(new Event("connectionstatechange"));
    await waiting;
    await untilHeard(connection as unknown as RTCPeerConnection);
    await untilHeard(undefined);
  });
  test("signals are taken one by one, upper case", () => {
    assert.deepEqual(signalsFromText("1a#*"), ["1", "A", "#", "*"]);
  });
  for (const tones of ["", "12E", "1 2"]) {
    test(`"${tones}" is refused`, () => assert.throws(() => signalsFromText(tones), UsageError));
  }
  for (const durationMs of [39, 6001, 99.5, NaN]) {
    test(`a duration of ${durationMs} ms is refused`, () => {
      assert.throws(() => dtmfRelayToText("1", durationMs), UsageError);
    });
  }
});

describe("targets", () => {
  const rows: readonly [typed: string, uri: string][] = [
    ["bob", "sip:bob@ims.example.com"],
    [" bob@other.example ", "sip:bob@other.example"],
    ["sip:bob@other.example;transport=tcp", "sip:bob@other.example;transport=tcp"],
    ["+1 (555) 010-0100", "sip:+15550100100@ims.example.com;user=phone"],
    ["(555) 010-0100", "sip:5550100100@ims.example.com"],
    ["(555)010-0100", "sip:5550100100@ims.example.com"],
    ["(+49) 30/1234", "sip:+49301234@ims.example.com;user=phone"],
    ["+1\u00a0555\u2011010\u20130100", "sip:+15550100100@ims.example.com;user=phone"],
    ["+49 (0)30 1234", "sip:+49301234@ims.example.com;user=phone"],
    ["(+49)(0)30/1234", "sip:+49301234@ims.example.com;user=phone"],
    ["tel:+353(0)1-234", "sip:+3531234@ims.example.com;user=phone"],
    ["+39 (0)6 1234", "sip:+39061234@ims.example.com;user=phone"],
    ["+49 30 (0)1234", "sip:+493001234@ims.example.com;user=phone"],
    ["(0)30 1234", "sip:0301234@ims.example.com"],
    ["tel:+1-555-010-0100", "sip:+15550100100@ims.example.com;user=phone"],
    ["100", "sip:100@ims.example.com"],
    ["*21#", "sip:*21%23@ims.example.com"],
    ["#31#+49301234567", "sip:%2331%23+49301234567@ims.example.com"],
    ["*21*+49301234567#", "sip:*21*+49301234567%23@ims.example.com"],
  ];
  for (const [typed, uri] of rows) {
    test(`"${typed}" is ${uri}`, () => assert.equal(targetUriFromText(typed, "ims.example.com"), uri));
  }
  for (const typed of ["", "  ", "bob@", "@host", "a@b@c", "sips:bob@host", "tel:bob", "bob smith", "sip:bob", "#31#++49", "#31+", "*#+#"]) {
    test(`"${typed}" is refused`, () => assert.throws(() => targetUriFromText(typed, "d.example"), UsageError));
  }
  test("no pattern looks behind: Safari before 16.4 would refuse the whole module", async () => {
    const sources = new URL("../src/", import.meta.url);
    for (const file of await readdir(sources)) assert.doesNotMatch(await readFile(new URL(file, sources), "utf8"), /\(\?<[=!]/, file);
  });
  test("an address of record has no user=phone", () => {
    assert.equal(addressOfRecordFromText("+15550100100", "d.example"), "sip:+15550100100@d.example");
  });
});

describe("ICE gathering", () => {
  const HOST = "candidate:1 1 udp 2122260223 192.0.2.2 43158 typ host generation 0";
  const REFLEXIVE = "candidate:2 1 udp 1686052607 203.0.113.9 5000 typ srflx raddr 192.0.2.2 rport 43158";
  function gathered(hasServers: boolean, ...lines: readonly (readonly [string, number])[]): IceGathering {
    const gathering = new IceGathering(hasServers);
    gathering.begin([...new Set(lines.map(([, mediaLine]) => mediaLine))]);
    for (const [line, mediaLine] of lines) {
      const candidate = candidateFromText(line, mediaLine);
      assert.ok(candidate);
      gathering.add(candidate);
    }
    return gathering;
  }
  test("a candidate line is read", () => {
    assert.deepEqual(candidateFromText(REFLEXIVE, 1), {
      type: "srflx",
      protocol: "udp",
      address: "203.0.113.9",
      port: 5000,
      mediaLine: 1,
    });
    assert.equal(candidateFromText("", 0), undefined);
  });
  test("the reflexive address is known once a STUN server answered", () => {
    assert.equal(gathered(true, [HOST, 0]).reflexiveAddress, undefined);
    assert.deepEqual(gathered(true, [HOST, 0], [REFLEXIVE, 0]).reflexiveAddress, { address: "203.0.113.9", port: 5000 });
  });
  test("host candidates do not suffice while a STUN server may answer", () => {
    assert.equal(gathered(true, [HOST, 0]).suffices, false);
  });
  test("a reflexive candidate for each line suffices", () => {
    assert.equal(gathered(true, [HOST, 0], [REFLEXIVE, 0]).suffices, true);
    assert.equal(gathered(true, [HOST, 0], [REFLEXIVE, 0], [HOST, 1]).suffices, false);
    assert.equal(gathered(true, [HOST, 0], [REFLEXIVE, 0], [HOST, 1], [REFLEXIVE, 1]).suffices, true);
  });
  test("in a later round only the lines that gather anew count", () => {
    const gathering = gathered(true, [HOST, 0], [REFLEXIVE, 0]);
    gathering.finish();
    gathering.begin([1]);
    assert.equal(gathering.suffices, false);
    const candidate = candidateFromText(REFLEXIVE, 1);
    assert.ok(candidate);
    gathering.add(candidate);
    assert.equal(gathering.suffices, true);
    assert.equal(gathering.candidates.length, 3);
  });
  test("without servers the browser decides", () => {
    assert.equal(gathered(false, [HOST, 0], [REFLEXIVE, 0]).suffices, false);
  });
});

describe("events", () => {
  test("a listener hears until it is taken off", () => {
    const emitter = new Emitter<{ state: string }>();
    const heard: string[] = [];
    const off = emitter.on("state", (state) => heard.push(state));
    emitter.emit("state", "a");
    off();
    emitter.emit("state", "b");
    assert.deepEqual(heard, ["a"]);
  });
});

test("the version is the package's", async () => {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  assert.equal(VERSION, (JSON.parse(text) as { version: string }).version);
});

test("SIP.js is pinned exactly, in the one version the extension was proven with", async () => {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  assert.equal((JSON.parse(text) as { devDependencies: Record<string, string> }).devDependencies["sip.js"], "0.21.2");
});

describe("transfers", () => {
  test("the status in a sipfrag is read, with and without a reason", () => {
    assert.deepEqual(statusFromSipfrag("SIP/2.0 486 Busy Here\r\n"), { status: 486, reasonPhrase: "Busy Here" });
    assert.deepEqual(statusFromSipfrag("SIP/2.0 200"), { status: 200, reasonPhrase: "" });
    assert.equal(statusFromSipfrag("HTTP/1.1 200 OK"), undefined);
  });
});

describe("offers that cross (RFC 3261 §14.1)", () => {
  test("who owns the Call-ID waits 2.1 to 4 s, the other side 0 to 2 s, in steps of 10 ms", () => {
    assert.deepEqual([0, 0.5, 1].map((random) => pendingDelayMs(true, random)), [2100, 3050, 4000]);
    assert.deepEqual([0, 0.5, 1].map((random) => pendingDelayMs(false, random)), [0, 1000, 2000]);
    assert.equal(pendingDelayMs(true, 0.123) % 10, 0);
  });
});

test("a line that sends and receives has a direction for each", () => {
  const all = [[true, true], [true, false], [false, true], [false, false]] as const;
  assert.deepEqual(all.map(([sending, receiving]) => directionOf(sending, receiving)), [
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
  ]);
});
