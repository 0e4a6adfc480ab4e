import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, mock, test } from "node:test";

import { SipError, SocketError } from "../src/errors.ts";
import { Phone } from "../src/phone.ts";
import { refreshDelayS } from "../src/registration.ts";
import { close, CONFIG, granted, openPhone, registeredPhone, settled } from "./phone-on-wire.ts";
import { responseTo, Wire, type Message } from "./wire.ts";

const CHALLENGE = (nonce: string): string => `WWW-Authenticate: Digest realm="ims.example.com", nonce="${nonce}", algorithm=MD5, qop="auth"`;

function isRightAnswer(register: Message, nonce: string): boolean {
  const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
  const authorization = register.header("authorization");
  const field = (name: string): string => new RegExp(`${name}="?([^",]+)`).exec(authorization)?.[1] ?? "";
  const ha1 = md5("alice@ims.example.com:ims.example.com:secret");
  const ha2 = md5("REGISTER:sip:ims.example.com");
  return field("response") === md5(`${ha1}:${nonce}:${field("nc")}:${field("cnonce")}:auth:${ha2}`);
}

/** Answer the REGISTER that takes the registration away, which comes next. */
async function confirmRemoval(wire: Wire): Promise<void> {
  const removal = await wire.next();
  assert.match(removal.header("contact") + removal.header("expires"), /0$/);
  wire.deliver(responseTo(removal, "200 OK"));
}

describe("registration", () => {
  test("one that is still being made is removed as soon as it stands", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const states: string[] = [];
    phone.onState((state) => states.push(state));
    const registered = phone.register();
    const removed = phone.unregister();
    wire.deliver(granted(await wire.next()));
    await registered;
    await confirmRemoval(wire);
    await removed;
    assert.deepEqual(states, ["registering", "registered", "connected"]);
    await phone.close();
  });

  test("one that is being refreshed is removed when that is done", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    context.mock.timers.tick(300_000);
    const refresh = await wire.next();
    const removed = phone.unregister();
    await settled();
    assert.ok(wire.silent);
    wire.deliver(granted(refresh));
    await confirmRemoval(wire);
    await removed;
    assert.equal(phone.state, "connected");
    context.mock.timers.tick(600_000);
    await settled();
    assert.ok(wire.silent);
  });

  test("one whose refresh waits for a token is removed, and not made again", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const wire = new Wire();
    let asked = 0;
    let give: (token: string) => void = () => undefined;
    const token = (): string | Promise<string> => (++asked === 2 ? new Promise<string>((done) => (give = done)) : "t");
    const phone = await registeredPhone(wire, { token });
    context.mock.timers.tick(300_000);
    await settled();
    const removed = phone.unregister();
    await confirmRemoval(wire);
    await removed;
    give("late");
    await settled();
    context.mock.timers.tick(600_000);
    await settled();
    assert.ok(wire.silent);
  });

  test("one whose refresh takes long is removed after it, though nobody waits any more", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    context.mock.timers.tick(300_000);
    const refresh = await wire.next();
    const removed = phone.unregister();
    await settled();
    context.mock.timers.tick(4000);
    await removed;
    assert.ok(wire.silent);
    wire.deliver(granted(refresh));
    await confirmRemoval(wire);
    await settled();
    assert.ok(wire.silent);
  });

  test("one that is asked for right after its removal stands", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const removed = phone.unregister();
    const registered = phone.register();
    wire.deliver(granted(await wire.next()));
    await Promise.all([removed, registered]);
    await settled();
    assert.ok(wire.silent);
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });

  test("one that is asked for while a removal is on its way follows it", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const removed = phone.unregister();
    const removal = await wire.next();
    const registered = phone.register();
    await settled();
    assert.ok(wire.silent);
    wire.deliver(responseTo(removal, "200 OK"));
    wire.deliver(granted(await wire.next()));
    await Promise.all([removed, registered]);
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });

  test("one that is asked for during a refresh follows it", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    context.mock.timers.tick(300_000);
    const refresh = await wire.next();
    const registered = phone.register();
    await settled();
    assert.ok(wire.silent);
    wire.deliver(granted(refresh));
    wire.deliver(granted(await wire.next()));
    await registered;
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });

  test("one that is under way ends with the phone", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = phone.register();
    const refused = assert.rejects(registered, SocketError);
    await wire.next();
    const closed = phone.close();
    for (let s = 0; s < 10; s += 1) {
      context.mock.timers.tick(1000);
      await settled();
    }
    await Promise.all([refused, closed]);
  });

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
    await close(phone, wire);
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
    await close(phone, wire);
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

  const PERIODS: readonly [number, number][] = [
    [600_000, 599_400],
    [3600, 3000],
    [1201, 601],
    [1200, 600],
    [600, 300],
    [60, 30],
  ];
  for (const [grantedS, delayS] of PERIODS) {
    test(`${grantedS} s are refreshed after ${delayS} s (TS 24.229 §5.1.1.4.1)`, () => {
      assert.equal(refreshDelayS(grantedS), delayS);
    });
  }

  test("it is refreshed at half the granted time, with the same instance, reg-id and Call-ID", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const wire = new Wire();
      const phone = await openPhone(wire);
      const registered = phone.register();
      const first = await wire.next();
      wire.deliver(granted(first, 100));
      await registered;
      mock.timers.tick(49_999);
      assert.equal(wire.silent, true);
      mock.timers.tick(1);
      const refresh = await wire.next();
      assert.match(first.header("contact"), /;reg-id=1;\+sip\.instance="<urn:uuid:[0-9a-f-]{36}>"/);
      assert.equal(refresh.header("contact"), first.header("contact"));
      assert.equal(refresh.header("call-id"), first.header("call-id"));
      assert.match(refresh.header("supported"), /\boutbound\b/);
      wire.deliver(granted(refresh, 100));
      await settled();
      assert.equal(phone.state, "registered");
      await close(phone, wire);
    } finally {
      mock.timers.reset();
    }
  });
});

describe("socket", () => {
  test("its loss ends a pending registration; the application registers again when it is back", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const wire = new Wire();
      const phone = await openPhone(wire);
      const registered = assert.rejects(phone.register(), { kind: "socket" });
      await wire.next();
      wire.break();
      await registered;
      assert.equal(phone.state, "reconnecting");
      assert.throws(() => phone.call("bob"), { kind: "socket" });
      await assert.rejects(phone.register(), { kind: "socket" });
      mock.timers.tick(1000);
      await settled();
      assert.equal(phone.state, "connected");
      assert.equal(wire.silent, true);
      const again = phone.register();
      wire.deliver(granted(await wire.next()));
      await again;
      await close(phone, wire);
      assert.equal(phone.state, "closed");
    } finally {
      mock.timers.reset();
    }
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
