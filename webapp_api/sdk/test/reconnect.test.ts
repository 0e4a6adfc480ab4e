import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { LoginError, SignedOutError, SocketError, type PhoneError } from "../src/errors.ts";
import type { Phone } from "../src/phone.ts";
import type { Wait } from "../src/reconnector.ts";
import { AUDIO, placed, quiet } from "./call-on-wire.ts";
import { close, granted, openPhone, registeredPhone, settled } from "./phone-on-wire.ts";
import { responseTo, Wire } from "./wire.ts";

interface Diary {
  readonly states: string[];
  readonly errors: PhoneError[];
  readonly waits: Wait[];
}

function watch(phone: Phone): Diary {
  const diary: Diary = { states: [], errors: [], waits: [] };
  phone.onState((state) => diary.states.push(state));
  phone.on("error", (error) => diary.errors.push(error));
  phone.on("reconnecting", (wait) => diary.waits.push(wait));
  return diary;
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

describe("a registered phone that loses its socket", () => {
  test("connects and registers again by itself, as the same instance, with a fresh token", async () => {
    const wire = new Wire();
    let count = 0;
    const phone = await openPhone(wire, { token: () => `t${(count += 1)}` });
    const registered = phone.register();
    const first = await wire.next();
    wire.deliver(granted(first));
    await registered;
    const diary = watch(phone);
    wire.break();
    mock.timers.tick(1000);
    const again = await wire.next();
    assert.equal(wire.connections, 2);
    assert.equal(again.header("contact"), first.header("contact"));
    assert.equal(again.header("authorization"), "Bearer t2");
    wire.deliver(granted(again));
    await settled();
    assert.deepEqual(diary.states, ["reconnecting", "registered"]);
    assert.deepEqual(diary.errors, []);
    await close(phone, wire);
  });

  test("tries again and again while nobody listens, and gives up in time", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 10 } });
    const diary = watch(phone);
    wire.reachable = false;
    wire.break();
    for (let second = 0; second < 10; second += 1) {
      mock.timers.tick(1000);
      await settled();
    }
    assert.deepEqual(diary.states, ["reconnecting", "disconnected"]);
    assert.ok(diary.waits.length >= 3 && diary.waits.length <= 5, String(diary.waits.length));
    assert.deepEqual(diary.waits.map(({ attempt }) => attempt), diary.waits.map((_, index) => index + 1));
    assert.deepEqual(diary.errors.map(({ kind }) => kind), ["socket"]);
    await phone.close();
  });

  test("does not try when the application does not want it", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 0 } });
    const diary = watch(phone);
    wire.break();
    mock.timers.tick(60_000);
    await settled();
    assert.equal(wire.connections, 1);
    assert.deepEqual(diary.states, ["disconnected"]);
    assert.ok(diary.errors[0] instanceof SocketError);
    await phone.close();
  });

  test("that gave its registration up while the socket stood hears of the socket's end", async () => {
    for (const [code, state] of [[1006, "disconnected"], [4401, "signed-out"]] as const) {
      const wire = new Wire();
      const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 0 } });
      const diary = watch(phone);
      mock.timers.tick(300_000);
      wire.deliver(responseTo(await wire.next(), "503 Service Unavailable"));
      await settled();
      assert.deepEqual(diary.states, ["disconnected"]);
      wire.break(code);
      await settled();
      assert.equal(phone.state, state);
      await phone.close();
    }
  });

  test("goes on when the new socket breaks before the REGISTER is answered", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const diary = watch(phone);
    wire.break();
    mock.timers.tick(1000);
    const lost = await wire.next();
    wire.break();
    await settled();
    mock.timers.tick(2000);
    const again = await wire.next();
    assert.notEqual(again.header("call-id"), lost.header("call-id"), "the old transaction still waits for its response");
    assert.equal(again.header("contact"), lost.header("contact"));
    wire.deliver(granted(again));
    await settled();
    assert.deepEqual(diary.states, ["reconnecting", "registered"]);
    await close(phone, wire);
  });

  test("waits as long as a 503 asks for, and keeps the socket", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    wire.break();
    mock.timers.tick(1000);
    wire.deliver(responseTo(await wire.next(), "503 Service Unavailable", ["Retry-After: 20"]));
    await settled();
    mock.timers.tick(19_999);
    await settled();
    assert.equal(wire.silent, true);
    mock.timers.tick(1);
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.deepEqual([phone.state, wire.connections], ["registered", 2]);
    await close(phone, wire);
  });

  test("drops a socket on which the REGISTER gets no reply", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    wire.break();
    mock.timers.tick(1000);
    await wire.next();
    mock.timers.tick(32_000);
    await settled();
    mock.timers.tick(2000);
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.deepEqual([phone.state, wire.connections], ["registered", 3]);
    await close(phone, wire);
  });

  for (const status of ["401 Unauthorized", "403 Forbidden", "404 Not Found"]) {
    test(`is signed out when the new REGISTER gets ${status}`, async () => {
      const wire = new Wire();
      const phone = await registeredPhone(wire, { token: () => "t" });
      const diary = watch(phone);
      wire.break();
      mock.timers.tick(1000);
      wire.deliver(responseTo(await wire.next(), status));
      await settled();
      assert.deepEqual(diary.states, ["reconnecting", "signed-out"]);
      const [error] = diary.errors;
      assert.ok(error instanceof SignedOutError && error.reason === "credentials");
      mock.timers.tick(600_000);
      assert.equal(wire.silent, true);
      await phone.close();
    });
  }

  test("is signed out when no token is to be had any more", async () => {
    const wire = new Wire();
    let tokens = ["t1"];
    const token = (): string => tokens.pop() ?? assert.fail("the web session is over");
    const phone = await registeredPhone(wire, { token });
    const diary = watch(phone);
    wire.break();
    mock.timers.tick(1000);
    await settled();
    assert.deepEqual(diary.states, ["reconnecting", "signed-out"]);
    const [error] = diary.errors;
    assert.ok(error instanceof SignedOutError && error.reason === "token");
    await close(phone, wire);
  });

  test("asks again for a token when its source cannot be reached", async () => {
    const wire = new Wire();
    const answers: (() => string)[] = [
      () => "t1",
      () => { throw new TypeError("Failed to fetch"); },
      () => "t2",
    ];
    const phone = await registeredPhone(wire, { token: () => (answers.shift() ?? assert.fail())() });
    wire.break();
    mock.timers.tick(1000);
    await settled();
    mock.timers.tick(2000);
    const register = await wire.next();
    assert.equal(register.header("authorization"), "Bearer t2");
    wire.deliver(granted(register));
    await settled();
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });
});

describe("a token source that is a login at the web service", () => {
  async function lose(status: number): Promise<{ wire: Wire; phone: Phone; diary: Diary }> {
    const wire = new Wire();
    const answers: (() => string)[] = [
      () => "t1",
      () => { throw new LoginError({ status, detail: "not now" }); },
      () => "t2",
    ];
    const phone = await registeredPhone(wire, { token: () => (answers.shift() ?? assert.fail())() });
    const diary = watch(phone);
    wire.break();
    mock.timers.tick(1000);
    await settled();
    return { wire, phone, diary };
  }

  for (const status of [0, 429, 500, 503]) {
    test(`is asked again after ${status}`, async () => {
      const { wire, phone } = await lose(status);
      mock.timers.tick(2000);
      wire.deliver(granted(await wire.next()));
      await settled();
      assert.equal(phone.state, "registered");
      await close(phone, wire);
    });
  }

  for (const status of [401, 403]) {
    test(`has ended the sign-in with ${status}`, async () => {
      const { wire, phone, diary } = await lose(status);
      const [error] = diary.errors;
      assert.ok(error instanceof SignedOutError && error.reason === "token");
      assert.deepEqual([phone.state, error.message], ["signed-out", "not now"]);
      await close(phone, wire);
    });
  }
});

describe("a gateway that closes the socket for good", () => {
  for (const code of [1008, 4000, 4999]) {
    test(`with ${code} signs the phone out, which does not come back`, async () => {
      const wire = new Wire();
      const phone = await registeredPhone(wire);
      const diary = watch(phone);
      wire.break(code);
      mock.timers.tick(600_000);
      await settled();
      assert.equal(wire.connections, 1);
      assert.deepEqual(diary.states, ["signed-out"]);
      const [error] = diary.errors;
      assert.ok(error instanceof SignedOutError);
      assert.deepEqual([error.reason, error.closeCode], ["network", code]);
      assert.throws(() => phone.call("bob"), { kind: "socket" });
      await phone.close();
    });
  }

  for (const code of [1000, 1001, 1006, 1012, 1013, 4404]) {
    test(`${code} is no reason to stay away`, async () => {
      const wire = new Wire();
      const phone = await registeredPhone(wire);
      wire.break(code);
      mock.timers.tick(4000);
      wire.deliver(granted(await wire.next()));
      await settled();
      assert.equal(phone.state, "registered");
      await close(phone, wire);
    });
  }

  test("tells a registration that was under way", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const registered = assert.rejects(phone.register(), { kind: "signed-out", closeCode: 4001 });
    await wire.next();
    wire.break(4001);
    await registered;
    assert.equal(phone.state, "signed-out");
    await phone.close();
  });
});

describe("a gateway that closes a socket on which nothing is registered (1008)", () => {
  test("has the phone back when there are tokens again, and its call goes on", async () => {
    const wire = new Wire();
    let away = false;
    const token = (): string => {
      if (away) throw new LoginError({ status: 503, detail: "Redis is away" });
      return "t";
    };
    const phone = await registeredPhone(wire, { token });
    const call = await placed(wire, phone, {}, AUDIO);
    const diary = watch(phone);
    away = true;
    wire.break();
    for (let second = 0; second < 10; second += 1) {
      mock.timers.tick(1000);
      await quiet();
    }
    assert.deepEqual([wire.connections, wire.silent], [2, true]);
    wire.break(1008);
    away = false;
    for (let second = 0; second < 20 && wire.silent; second += 1) {
      mock.timers.tick(1000);
      await quiet();
    }
    const register = await wire.next();
    assert.match(register.startLine, /^REGISTER /);
    wire.deliver(granted(register));
    await quiet();
    assert.deepEqual([diary.states, diary.errors, wire.connections], [["reconnecting", "registered"], [], 3]);
    assert.equal(call.state, "established");
    wire.reachable = false;
    wire.break();
    await phone.close();
  });

  test("while the first token is waited for leaves the phone as one that may register again", async () => {
    const wire = new Wire();
    const tokens = [new Promise<string>(() => undefined), Promise.resolve("t")];
    const phone = await openPhone(wire, { token: () => tokens.shift() ?? assert.fail() });
    const diary = watch(phone);
    const refused = assert.rejects(phone.register(), { kind: "socket" });
    await settled();
    wire.break(1008);
    await refused;
    assert.deepEqual([diary.states, diary.errors], [["registering", "disconnected"], []]);
    const registered = phone.register();
    wire.deliver(granted(await wire.next()));
    await registered;
    await close(phone, wire);
  });

  test("of a phone that has given its registration up reports nothing more", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 0 } });
    mock.timers.tick(300_000);
    wire.deliver(responseTo(await wire.next(), "503 Service Unavailable"));
    await settled();
    const diary = watch(phone);
    wire.break(1008);
    await settled();
    assert.deepEqual([phone.state, diary.states, diary.errors], ["disconnected", [], []]);
    await phone.close();
  });
});

describe("a refresh", () => {
  async function refreshing(wire: Wire): Promise<{ phone: Phone; diary: Diary }> {
    const phone = await registeredPhone(wire);
    const diary = watch(phone);
    mock.timers.tick(300_000);
    return { phone, diary };
  }

  test("that is refused for good signs the phone out and leaves the socket to the calls that run", async () => {
    const wire = new Wire();
    const { phone, diary } = await refreshing(wire);
    wire.deliver(responseTo(await wire.next(), "403 Forbidden"));
    await settled();
    assert.deepEqual(diary.states, ["signed-out"]);
    assert.equal(wire.connections, 1);
    const again = phone.register();
    wire.deliver(granted(await wire.next()));
    await again;
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });

  test("that may work later is tried again on the same socket", async () => {
    const wire = new Wire();
    const { phone, diary } = await refreshing(wire);
    wire.deliver(responseTo(await wire.next(), "504 Server Time-out", ["Retry-After: 5"]));
    await settled();
    mock.timers.tick(4999);
    assert.equal(wire.silent, true);
    mock.timers.tick(1);
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.deepEqual(diary.states, ["reconnecting", "registered"]);
    assert.equal(wire.connections, 1);
    await close(phone, wire);
  });

  test("is tried for as long as the gateway keeps the socket, and ten minutes more", async () => {
    const wire = new Wire();
    let down = false;
    const token = (): string => {
      if (down) throw new LoginError({ status: 503, detail: "Redis is away" });
      return "t1";
    };
    const phone = await registeredPhone(wire, { token });
    const diary = watch(phone);
    down = true;
    const pass = async (seconds: number): Promise<void> => {
      for (let at = 0; at < seconds; at += 5) {
        mock.timers.tick(5000);
        await settled();
      }
    };
    await pass(300 + 1500);
    assert.deepEqual([diary.states, diary.errors], [["reconnecting"], []]);
    assert.ok(diary.waits.length > 150, `${diary.waits.length}`);
    assert.equal(wire.silent, true, "and not with the token of before");
    down = false;
    mock.timers.tick(10_000);
    await settled();
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.equal(phone.state, "registered");
    down = true;
    await pass(300);
    wire.break(1012);
    await pass(600);
    assert.deepEqual([phone.state, diary.errors.length], ["disconnected", 1]);
    await close(phone, wire);
  });

  test("without a reply means that the socket is dead", async () => {
    const wire = new Wire();
    const { phone, diary } = await refreshing(wire);
    await wire.next();
    mock.timers.tick(32_000);
    await settled();
    mock.timers.tick(1000);
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.deepEqual(diary.states, ["reconnecting", "registered"]);
    assert.equal(wire.connections, 2);
    await close(phone, wire);
  });
});

test("a phone that is closed while it reconnects stays closed", async () => {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  wire.break();
  await phone.close();
  mock.timers.tick(600_000);
  await settled();
  assert.deepEqual([phone.state, wire.connections], ["closed", 1]);
});
