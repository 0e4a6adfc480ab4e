import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { endOfCancelledCall } from "../src/call-end.ts";
import { callerFromFields, identitiesFromText, numberFromUri, type Caller } from "../src/caller.ts";
import type { IncomingCall } from "../src/incoming-call.ts";
import type { Phone } from "../src/phone.ts";
import { reasonsFromFields } from "../src/sip-headers.ts";
import { close, registeredPhone, settled } from "./phone-on-wire.ts";
import { Wire } from "./wire.ts";

// Node.js has no media; these calls never come to it.
Object.assign(globalThis, { MediaStream: class { getTracks = (): never[] => []; } });

const OFFER = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 111\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n";

function request(method: string, lines: readonly string[] = [], body = "", callId = "in-1"): string {
  return [
    `${method} sip:alice@ims.example.com SIP/2.0`,
    `Via: SIP/2.0/WS gw.example;branch=z9hG4bK${callId}`,
    "From: <sip:carol@ims.example.com>;tag=carol",
    "To: <sip:alice@ims.example.com>",
    `Call-ID: ${callId}`,
    `CSeq: 1 ${method}`,
    "Contact: <sip:gw.example;transport=ws>",
    ...lines,
    ...(body === "" ? [] : ["Content-Type: application/sdp"]),
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

async function called(wire: Wire, lines: readonly string[] = []): Promise<{ phone: Phone; call: IncomingCall }> {
  const phone = await registeredPhone(wire);
  const call = await new Promise<IncomingCall>((resolve) => {
    phone.on("call", resolve);
    wire.deliver(request("INVITE", ["Supported: 100rel", ...lines], OFFER));
  });
  assert.equal((await wire.next()).startLine, "SIP/2.0 100 Trying");
  return { phone, call };
}

describe("an INVITE to the page", () => {
  test("is refused with 480 without ringing when nobody listens for calls", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    wire.deliver(request("INVITE"));
    const lines = [(await wire.next()).startLine, (await wire.next()).startLine];
    assert.deepEqual(lines, ["SIP/2.0 100 Trying", "SIP/2.0 480 Temporarily Unavailable"]);
    await close(phone, wire);
  });

  test("rings: an unreliable 180 with one Allow that names UPDATE", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire);
    const ringing = await wire.next();
    assert.equal(ringing.startLine, "SIP/2.0 180 Ringing");
    assert.equal(ringing.headers("allow").length, 1);
    assert.match(ringing.header("allow"), /\bUPDATE\b/);
    assert.match(ringing.header("supported"), /\b100rel\b/);
    assert.equal(ringing.header("require"), "");
    assert.deepEqual([call.state, call.direction, call.offersVideo], ["alerting", "incoming", false]);
    assert.deepEqual(phone.calls, [call]);
    await call.reject();
    await wire.next();
    await close(phone, wire);
  });

  test("that requires 100rel rings here, but gets no 180: it would need an answer nobody gave", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire, ["Require: 100rel"]);
    await settled();
    assert.deepEqual([call.state, wire.silent], ["alerting", true]);
    await call.reject();
    await wire.next();
    await close(phone, wire);
  });

  for (const [status, line] of [
    [undefined, "486 Busy Here"],
    [603, "603 Decline"],
    [480, "480 Temporarily Unavailable"],
  ] as const) {
    test(`is refused with ${line}`, async () => {
      const wire = new Wire();
      const { phone, call } = await called(wire);
      await wire.next();
      await call.reject(status === undefined ? {} : { status });
      assert.equal((await wire.next()).startLine, `SIP/2.0 ${line}`);
      assert.deepEqual([call.state, call.end], ["ended", { by: "local", cause: "declined" }]);
      await assert.rejects(call.reject(), { kind: "usage" });
      await assert.rejects(call.answer(), { kind: "usage" });
      await close(phone, wire);
    });
  }

  test("is not refused with what is no refusal", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire);
    await wire.next();
    for (const status of [200, 302, 700, 486.5]) await assert.rejects(call.reject({ status }), { kind: "usage" });
    assert.equal(call.state, "alerting");
    await call.hangup();
    assert.equal((await wire.next()).startLine, "SIP/2.0 480 Temporarily Unavailable");
    await close(phone, wire);
  });

  test("goes on ringing when there is no microphone", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire);
    await wire.next();
    const states: string[] = [];
    call.onState((state) => states.push(state));
    await assert.rejects(call.answer(), { kind: "media-permission" });
    assert.deepEqual(states, ["answering", "alerting"]);
    await call.reject();
    await wire.next();
    await close(phone, wire);
  });

  for (const [reason, cause] of [
    ['Reason: SIP;cause=200;text="Call completed elsewhere"', "answered-elsewhere"],
    ["Reason: SIP;cause=603", "declined-elsewhere"],
    ["X-None: 1", "missed"],
  ] as const) {
    test(`is cancelled with "${reason}": ${cause}`, async () => {
      const wire = new Wire();
      const { phone, call } = await called(wire);
      await wire.next();
      wire.deliver(request("CANCEL", [reason]));
      const lines = [(await wire.next()).startLine, (await wire.next()).startLine].sort();
      assert.deepEqual(lines, ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
      assert.equal(call.end?.cause, cause);
      assert.equal(call.end.by, "remote");
      assert.deepEqual(phone.calls, []);
      await close(phone, wire);
    });
  }

  test("is one of several, each of which ends by itself", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire);
    await wire.next();
    wire.deliver(request("INVITE", [], OFFER, "in-2"));
    await wire.next();
    await wire.next();
    assert.equal(phone.calls.length, 2);
    await call.reject();
    assert.match((await wire.next()).header("call-id"), /^in-1$/);
    assert.deepEqual(phone.calls.map((other) => other.diagnostics().callId), ["in-2"]);
    await phone.calls[0]?.hangup();
    await wire.next();
    await close(phone, wire);
  });

  test("that is not answered yet ends with the socket", async () => {
    const wire = new Wire();
    const { phone, call } = await called(wire);
    await wire.next();
    wire.break();
    assert.deepEqual([call.end?.cause, call.end?.error?.kind], ["failed", "socket"]);
    await phone.close();
  });

  test("that nobody answers and the network forgets is given up and missed", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const wire = new Wire();
      const { phone, call } = await called(wire);
      await wire.next();
      mock.timers.tick(200_000);
      assert.equal((await wire.next()).startLine, "SIP/2.0 480 Temporarily Unavailable");
      await settled();
      assert.equal(call.end?.cause, "missed");
      await close(phone, wire);
    } finally {
      mock.timers.reset();
    }
  });
});

describe("the caller", () => {
  const FROM = '"Carol" <sip:carol@ims.example.com>;tag=1';
  const rows: readonly [string, Parameters<typeof callerFromFields>[0], Partial<Caller>][] = [
    [
      "is who the network asserts, not who the caller says",
      { from: FROM, assertedIdentities: ['"Dave" <sip:dave@ims.example.com>'], privacy: [] },
      { uri: "sip:dave@ims.example.com", displayName: "Dave", asserted: true, withheld: false },
    ],
    [
      "is From when nothing is asserted",
      { from: FROM, assertedIdentities: [], privacy: ["none"] },
      { uri: "sip:carol@ims.example.com", displayName: "Carol", number: undefined, asserted: false },
    ],
    [
      "may be asserted twice, as a name and as a number",
      {
        from: "<sip:x@y>;tag=1",
        assertedIdentities: ["<sip:dave@ims.example.com>, <tel:+1-555-0100;verstat=TN-Validation-Passed>"],
        privacy: [],
      },
      { uri: "sip:dave@ims.example.com", number: "+15550100", verification: "passed" },
    ],
    [
      "has a name from From when the assertion is only an address",
      { from: FROM, assertedIdentities: ["<sip:+15550100@ims.example.com;user=phone>"], privacy: [] },
      { displayName: "Carol", number: "+15550100" },
    ],
    [
      "is not shown when privacy is asked for, even if the network left the name in",
      { from: FROM, assertedIdentities: ["<sip:dave@ims.example.com>"], privacy: ["critical; id"] },
      { uri: undefined, displayName: undefined, number: undefined, withheld: true },
    ],
    [
      "is withheld when From is anonymous",
      { from: '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1', assertedIdentities: [], privacy: [] },
      { uri: undefined, displayName: undefined, withheld: true, asserted: false },
    ],
    [
      "has a number that failed the network's check",
      { from: "<sip:+1555;verstat=TN-Validation-Failed@ims.example.com;user=phone>;tag=1", assertedIdentities: [], privacy: [] },
      { uri: "sip:+1555@ims.example.com;user=phone", number: "+1555", verification: "failed" },
    ],
    [
      "has a number nobody checked",
      { from: "<tel:+1555;verstat=No-TN-Validation>;tag=1", assertedIdentities: [], privacy: [] },
      { uri: "tel:+1555", verification: "none" },
    ],
    ...['"Your Bank ;verstat=TN-Validation-Passed" <sip:mallory@x>;tag=1', '<sip:mallory@x>;tag=1;verstat=TN-Validation-Passed',
      'sip:mallory@x;verstat=TN-Validation-Passed;tag=1', '<sip:mallory@x>;a="b, <sip:bank@x;verstat=TN-Validation-Passed>"']
      .map((from): (typeof rows)[number] => [
        `is not verified because it writes so beside its address: ${from}`,
        { from, assertedIdentities: [], privacy: [] },
        { uri: "sip:mallory@x", verification: undefined },
      ]),
    [
      "is not verified by what stands in an asserted name, nor by From beside it",
      {
        from: "<tel:+1555;verstat=TN-Validation-Passed>;tag=1",
        assertedIdentities: ['"Bank ;verstat=TN-Validation-Passed" <sip:mallory@x>'],
        privacy: [],
      },
      { uri: "sip:mallory@x", verification: undefined },
    ],
    [
      "is unknown when the header cannot be read",
      { from: "nonsense", assertedIdentities: ["<javascript:alert(1)>"], privacy: [] },
      { uri: undefined, displayName: undefined, withheld: true },
    ],
  ];
  for (const [title, fields, expected] of rows) {
    test(title, () => {
      const caller = callerFromFields(fields);
      for (const [name, value] of Object.entries(expected)) {
        assert.equal(caller[name as keyof Caller], value, name);
      }
    });
  }

  test("addresses are read with quotes, commas and escapes in the name, or without brackets", () => {
    assert.deepEqual(identitiesFromText('"Doe, \\"J\\"" <sip:j@x>, Bob B <tel:+1>, sip:plain@y;tag=3'), [
      { uri: "sip:j@x", displayName: 'Doe, "J"' },
      { uri: "tel:+1", displayName: "Bob B" },
      { uri: "sip:plain@y", displayName: undefined },
    ]);
  });

  test("a name of digits is a number only when it says so", () => {
    assert.equal(numberFromUri("sip:1234@x"), undefined);
    assert.equal(numberFromUri("sip:1234@x;user=phone"), "1234");
    assert.equal(numberFromUri("tel:+1-555-(01)"), "+155501");
  });
});

test("a cancelled call without a usable Reason is missed", () => {
  for (const fields of [[], ["Q.850;cause=16"], ["SIP;cause=487"], ["SIP"]]) {
    assert.equal(endOfCancelledCall(reasonsFromFields(fields)).cause, "missed");
  }
});
