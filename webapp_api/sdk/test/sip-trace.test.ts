/** SIP messages for the eyes of a person: the phone tells them as they are, the softphone masks what is secret. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { MASK, redactSip, titleOfSip } from "../../softphone/sip-redaction.ts";
import { Phone, type SipMessage } from "../src/index.ts";
import { CONFIG, granted } from "./phone-on-wire.ts";
import { messageFromText, responseTo } from "./wire.ts";

const SECRET = "Zk3p-T0ken_of.the+page/42==";
const FLOW = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-ab";
const SDP = "v=0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:8mon\r\na=fingerprint:sha-256 07:62\r\n";

function request(lines: readonly string[], body = "", method = "INVITE"): string {
  const head = [`${method} sip:+49301@ims.example;user=phone SIP/2.0`, "From: <sip:alice@ims.example>;tag=a", "To: <sip:bob@ims.example>"];
  return [...head, "Call-ID: c1", `CSeq: 7 ${method}`, ...lines, `Content-Length: ${body.length}`, "", body].join("\r\n");
}

function parts(type: string): string {
  return `--b\r\nContent-Type: application/sdp\r\n\r\n${SDP}\r\n--b\r\nContent-Type: ${type}\r\n\r\n${FLOW}\r\n--b--\r\n`;
}

for (const [what, message, left] of [
  ["a token", request([`Authorization: Bearer ${SECRET}`]), `Authorization: Bearer ${MASK}\r\n`],
  ["a token in small letters", request([`authorization : bearer ${SECRET}`]), `bearer ${MASK}\r\n`],
  ["a token on the next line", request(["Authorization: Bearer", ` ${SECRET}`, "Allow: ACK"]), "\r\nAllow: ACK\r\n"],
  ["a token elsewhere", request([`X-Seen: Bearer ${SECRET}`]), `Bearer ${MASK}`],
  ["an unknown scheme", request([`Proxy-Authorization: Secret ${SECRET}`]), "\r\nContent-Length"],
  [
    "digest credentials",
    request([`Authorization: Digest username="a", realm="ims.example", nonce="${SECRET}",\r\n response="${SECRET}", cnonce=${SECRET}, nc=00000001`]),
    'Digest username="a", realm="ims.example", nonce=***, response=***, cnonce=***, nc=00000001\r\n',
  ],
  ["a challenge", request([`WWW-Authenticate: Digest realm="ims.example", nonce="${SECRET}", algorithm=MD5`]), "algorithm=MD5\r\n"],
  ["a Bearer challenge", request(['WWW-Authenticate: Bearer realm="ims.example", error="invalid_token"']), 'realm="ims.example", error="invalid_token"'],
  ["where the page is", request([`P-Access-Network-Info: IEEE-802.11;i-wlan-node-id=${SECRET}`]), "IEEE-802.11;***\r\n"],
  ["the cell of whoever calls", request([`Cellular-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=${SECRET}`]), "3GPP-E-UTRAN-FDD;***\r\n"],
  ["a flow token", request([`Route: <sip:${FLOW}@gw.example;lr>,<sip:orig@scscf.example;lr>`]), `<sip:${MASK}@gw.example;lr>,<sip:orig@`],
  ["a password of an address", request([`Refer-To: <sip:carol:${FLOW}@ims.example>`]), `<sip:carol:${MASK}@ims.example>`],
  ["a token of an address", request([`Refer-To: <sip:carol@ims.example;token=${FLOW}>`]), `;token=${MASK}>`],
  ["digits to be dialled after the answer", request([`Refer-To: <sip:+49301@ims.example;postd=${FLOW}>`]), `;postd=${MASK}>`],
  ["an ICE password", request(["Content-Type: application/sdp"], `${SDP}a=ice-pwd:${FLOW}\r\n`), `a=ice-pwd:${MASK}\r\n`],
  [
    "a media key",
    request(["Content-Type: application/sdp"], `${SDP}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${FLOW}|2^31\r\n`),
    `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${MASK}\r\n`,
  ],
  ["a key of old", request(["Content-Type: application/sdp"], `${SDP}k=base64:${FLOW}\r\n`), `k=${MASK}\r\n`],
  ["a digit", request(["Content-Type: application/dtmf-relay"], `Signal=${FLOW}\r\nDuration=100`, "INFO"), "application/dtmf-relay\r\n"],
  ["a digit, behind lines of another kind", request([], `Signal=${FLOW}`, "INFO").replaceAll("\r\n", "\n"), "CSeq: 7 INFO\n"],
  ["a text", request(["Content-Type: text/plain"], FLOW, "MESSAGE"), "text/plain\r\n"],
  ["the answer to a digit", request([], `Signal=${FLOW}`, "INFO").replace(/^INFO .*?\r/, "SIP/2.0 200 OK\r"), "CSeq: 7 INFO\r\n"],
  ["a USSD request", request(["Content-Type: application/vnd.3gpp.ussd+xml"], `<ussd-string>${FLOW}</ussd-string>`), "ussd+xml\r\n"],
  ["a USSD request beside a description", request(["Content-Type: multipart/mixed;boundary=b"], parts("application/vnd.3gpp.ussd+xml")), SDP],
  ["a text beside a description", request(['c: multipart/mixed;boundary="b"'], parts("text/plain")), SDP],
  ["a part without a type", request(["c: multipart/mixed;boundary=b"], parts("text/plain").replace("Content-Type: text/plain", "X: y")), SDP],
  ["parts that cannot be told apart", request(["Content-Type: multipart/mixed"], parts("text/plain")), "multipart/mixed\r\n"],
  ["what the network says at the end of USSD", request(["Content-Type: application/vnd.3gpp.ussd+xml"], FLOW, "BYE"), "CSeq: 7 BYE\r\n"],
  ["a caller's place", request(["Content-Type: application/pidf+xml"], FLOW, "PUBLISH"), "pidf+xml\r\n"],
  ["what follows a service code", request([`P-X: <sip:*123*${FLOW}%23;phone-context=a@b;user=dialstring>`]), "sip:*123****;phone-context=a@b;user"],
] as const) {
  test(`${what} is not shown, and nothing else is lost`, () => {
    const shown = redactSip(message);
    assert.ok(!shown.includes(SECRET) && !shown.includes(FLOW), shown);
    assert.ok(shown.includes(left), shown);
    assert.ok(shown.includes("<sip:alice@ims.example>;tag=a"));
    assert.equal(redactSip(shown), shown);
  });
}

test("what no secret is stays as it is", () => {
  const message = request(["Content-Type: application/sdp", "Contact: <sip:x1y2@abc.invalid;transport=ws>;expires=600"], SDP);
  assert.equal(redactSip(message), message);
  const ofParts = request(["Content-Type: multipart/mixed;boundary=b"], parts("application/resource-lists+xml"));
  assert.equal(redactSip(ofParts), ofParts);
});

test("a message is named by its method, or its status and what it answers", () => {
  assert.equal(titleOfSip(request([])), "INVITE");
  assert.equal(titleOfSip("SIP/2.0 183 Session Progress\r\nCSeq: 2 INVITE\r\n\r\n"), "183 Session Progress (INVITE)");
  assert.equal(titleOfSip("SIP/2.0 200 OK\r\n\r\n"), "200 OK");
});

test("a phone tells every message as it is on the wire, and writes none to the console", async (t) => {
  const written = ["log", "debug", "info", "warn", "error"].map((name) => t.mock.method(console, name as "log", () => undefined));
  const { WebSocket: real } = globalThis;
  globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
  t.after(() => (globalThis.WebSocket = real));
  const told: SipMessage[] = [];
  const phone = await Phone.open(CONFIG, { config: CONFIG, user: "alice", token: SECRET });
  phone.on("sip", (message) => told.push(message));
  const registered = phone.register();
  const reply = granted(messageFromText(await FakeSocket.last.sent()));
  FakeSocket.last.deliver(reply);
  await registered;
  assert.deepEqual(told.map(({ sent }) => sent), [true, false]);
  assert.ok(told[0]?.text.startsWith("REGISTER ") && told[0].text.includes(`Authorization: Bearer ${SECRET}\r\n`));
  assert.equal(told[1]?.text, reply);
  const closing = phone.close();
  FakeSocket.last.deliver(responseTo(messageFromText(await FakeSocket.last.sent()), "200 OK"));
  await closing;
  assert.deepEqual(written.map(({ mock }) => mock.callCount()), [0, 0, 0, 0, 0]);
});

/** A WebSocket to nowhere. */
class FakeSocket extends EventTarget {
  static last: FakeSocket;
  readyState = 0;
  readonly #sent: string[] = [];
  #waiting: ((text: string) => void) | undefined;

  constructor() {
    super();
    FakeSocket.last = this;
    queueMicrotask(() => {
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    });
  }

  send(text: string): void {
    this.#sent.push(text);
    this.#waiting?.(this.#sent.shift() ?? "");
    this.#waiting = undefined;
  }

  async sent(): Promise<string> {
    return this.#sent.shift() ?? new Promise((resolve) => (this.#waiting = resolve));
  }

  deliver(data: string): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  close(): void {
    this.readyState = 3;
    this.dispatchEvent(new CloseEvent("close", { code: 1000, wasClean: true }));
  }
}
