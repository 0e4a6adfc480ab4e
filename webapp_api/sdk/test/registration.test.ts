import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, mock, test } from "node:test";

import { SipError, type PhoneError } from "../src/errors.ts";
import { Phone } from "../src/phone.ts";
import { configFromObject } from "../src/config.ts";
import { responseTo, Wire, type Message } from "./wire.ts";

const CONFIG = configFromObject({ wssUrl: "wss://gw.example/sip", domain: "ims.example.com" });
const CHALLENGE = (nonce: string): string => `WWW-Authenticate: Digest realm="ims.example.com", nonce="${nonce}", algorithm=MD5, qop="auth"`;

async function openPhone(wire: Wire, credentials: { password: string } | { token: () => string } = { password: "secret" }): Promise<Phone> {
  return Phone.open(CONFIG, { config: CONFIG, user: "alice", ...credentials }, { transportConstructor: wire.transportConstructor });
}

function granted(register: Message, expiresS = 600): string {
  return responseTo(register, "200 OK", [`Contact: ${register.header("contact").split(";expires")[0]};expires=${expiresS}`]);
}

function isRightAnswer(register: Message, nonce: string): boolean {
  const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
  const authorization = register.header("authorization");
  const field = (name: string): string => new RegExp(`${name}="?([^",]+)`).exec(authorization)?.[1] ?? "";
  const ha1 = md5("alice@ims.example.com:ims.example.com:secret");
  const ha2 = md5("REGISTER:sip:ims.example.com");
  return field("response") === md5(`${ha1}:${nonce}:${field("nc")}:${field("cnonce")}:auth:${ha2}`);
}

describe("registration", () => {
  test("a digest challenge is answered", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const states: string[] = [phone.state];
    phone.onState((state) => states.push(state));
    const registered = phone.register();
    const first = await wire.next();
    assert.equal(first.startLine, "REGISTER sip:ims.example.com SIP/2.0");
    wire.deliver(responseTo(first, "401 Unauthorized", [CHALLENGE("n1")]));
    const second = await wire.next();
    assert.ok(isRightAnswer(second, "n1"));
    wire.deliver(granted(second));
    await registered;
    assert.deepEqual(states, ["connected", "registering", "registered"]);
    await closed(phone, wire);
  });

  test("a second challenge with a fresh nonce is answered", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = phone.register();
    for (const nonce of ["n1", "n2"]) {
      wire.deliver(responseTo(await wire.next(), "401 Unauthorized", [CHALLENGE(nonce)]));
      const answer = await wire.next();
      assert.ok(isRightAnswer(answer, nonce));
      wire.deliver(nonce === "n2" ? granted(answer) : responseTo(answer, "401 Unauthorized", [CHALLENGE("other")]));
    }
    await registered;
    await closed(phone, wire);
  });

  test("credentials that are refused again and again end in a typed error after three rounds", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = assert.rejects(phone.register(), { kind: "sip", status: 401, method: "REGISTER" });
    for (let count = 0; count < 6; count += 1) {
      wire.deliver(responseTo(await wire.next(), "401 Unauthorized", [CHALLENGE(`n${count}`)]));
    }
    await registered;
    assert.equal(wire.silent, true);
    assert.equal(phone.state, "connected");
    await phone.close();
  });

  test("an algorithm this client cannot do is not tried again", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = assert.rejects(phone.register(), { kind: "sip", status: 401 });
    const challenge = 'WWW-Authenticate: Digest realm="ims.example.com", nonce="n", algorithm=SHA-256';
    wire.deliver(responseTo(await wire.next(), "401 Unauthorized", [challenge]));
    await registered;
    assert.equal(wire.silent, true);
    await phone.close();
  });

  test("a refusal carries the gateway's warning", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = phone.register();
    wire.deliver(responseTo(await wire.next(), "403 Forbidden", ['Warning: 399 gw "account is blocked"']));
    await assert.rejects(registered, { message: "403 Forbidden: account is blocked" });
    await phone.close();
  });

  test("a 200 that grants no time is refused instead of registering again for ever", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = phone.register();
    const register = await wire.next();
    const contact = register.header("contact").split(";expires")[0];
    wire.deliver(responseTo(register, "200 OK", [`Contact: ${contact}`, "Expires: 600"]));
    await assert.rejects(registered, SipError);
    const removal = await wire.next();
    assert.match(removal.header("contact"), /;expires=0$/);
    wire.deliver(responseTo(removal, "200 OK"));
    await phone.close();
    assert.equal(wire.silent, true);
  });

  test("a Bearer token goes with each REGISTER, fetched anew, and with the removal", async () => {
    const wire = new Wire();
    let count = 0;
    const phone = await openPhone(wire, { token: () => `t${(count += 1)}` });
    for (const token of ["t1", "t2"]) {
      const registered = phone.register();
      const register = await wire.next();
      assert.deepEqual(register.headers("authorization"), [`Bearer ${token}`]);
      wire.deliver(granted(register));
      await registered;
    }
    const removed = phone.unregister();
    const removal = await wire.next();
    assert.deepEqual(removal.headers("authorization"), ["Bearer t3"]);
    wire.deliver(responseTo(removal, "200 OK"));
    await removed;
    assert.equal(phone.state, "connected");
    await phone.close();
  });

  test("it is refreshed at 80 % of the granted time, and a refusal then is told", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const wire = new Wire();
      const phone = await openPhone(wire);
      const errors: PhoneError[] = [];
      phone.on("error", (error) => errors.push(error));
      const registered = phone.register();
      wire.deliver(granted(await wire.next(), 100));
      await registered;
      mock.timers.tick(79_999);
      assert.equal(wire.silent, true);
      mock.timers.tick(1);
      wire.deliver(granted(await wire.next(), 100));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(phone.state, "registered");
      mock.timers.tick(80_000);
      const told = new Promise<PhoneError>((resolve) => phone.on("error", resolve));
      wire.deliver(responseTo(await wire.next(), "503 Service Unavailable", ["Retry-After: 5"]));
      assert.match((await told).advice, /wait 5 s/);
      assert.equal(phone.state, "connected");
      assert.equal(errors.length, 1);
      await phone.close();
    } finally {
      mock.timers.reset();
    }
  });
});

describe("socket", () => {
  test("its loss is a state, an error, and the end of a pending registration", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const errors: PhoneError[] = [];
    phone.on("error", (error) => errors.push(error));
    const registered = assert.rejects(phone.register(), { kind: "socket" });
    await wire.next();
    wire.break();
    await registered;
    assert.equal(phone.state, "disconnected");
    assert.deepEqual(errors.map(({ kind }) => kind), ["socket"]);
    assert.throws(() => phone.call("bob"), { kind: "socket" });
    await assert.rejects(phone.register(), { kind: "socket" });
    await phone.close();
    assert.equal(phone.state, "closed");
  });

  test("one that never opens is a typed error", async () => {
    const wire = new Wire();
    const refusing = class extends wire.transportConstructor {
      override connect(): Promise<void> {
        return Promise.reject(new Error("refused"));
      }
    };
    const opened = Phone.open(CONFIG, { config: CONFIG, user: "alice", password: "x" }, { transportConstructor: refusing });
    await assert.rejects(opened, { kind: "socket" });
  });
});

test("an INVITE to this page is refused with 480 without ringing", async () => {
  const wire = new Wire();
  const phone = await openPhone(wire);
  const registered = phone.register();
  const register = await wire.next();
  wire.deliver(granted(register));
  await registered;
  const contact = /<(sip:[^>;]+)/.exec(register.header("contact"))?.[1] ?? "";
  wire.deliver(
    [
      `INVITE ${contact} SIP/2.0`,
      "Via: SIP/2.0/WS gw.example;branch=z9hG4bKin",
      "From: <sip:carol@ims.example.com>;tag=carol",
      "To: <sip:alice@ims.example.com>",
      "Call-ID: in-1",
      "CSeq: 1 INVITE",
      "Contact: <sip:gw.example;transport=ws>",
      "Content-Length: 0",
      "",
      "",
    ].join("\r\n"),
  );
  const lines = [(await wire.next()).startLine, (await wire.next()).startLine];
  assert.deepEqual(lines, ["SIP/2.0 100 Trying", "SIP/2.0 480 Temporarily Unavailable"]);
  await closed(phone, wire);
});

async function closed(phone: Phone, wire: Wire): Promise<void> {
  const closing = phone.close();
  wire.deliver(responseTo(await wire.next(), "200 OK"));
  await closing;
  assert.equal(phone.state, "closed");
}
