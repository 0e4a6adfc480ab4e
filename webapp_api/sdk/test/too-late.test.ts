/** Reconnecting where something takes longer than anybody waits. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { SipError, SocketError, UsageError } from "../src/errors.ts";
import type { Phone } from "../src/phone.ts";
import { close, granted, openPhone, registeredPhone, settled } from "./phone-on-wire.ts";
import { responseTo, Wire } from "./wire.ts";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

/** A phone that has lost its socket, has a new one, and waits for a token that never comes; the next one does. */
async function waitingForToken(): Promise<{ wire: Wire; phone: Phone; asked: () => number }> {
  const wire = new Wire();
  let asked = 0;
  const token = (): string | Promise<string> => (++asked === 2 ? new Promise<string>(() => undefined) : "t");
  const phone = await registeredPhone(wire, { token });
  wire.break();
  mock.timers.tick(1000);
  await settled();
  return { wire, phone, asked: () => asked };
}

describe("what takes too long", () => {
  test("a token that does not come ends the attempt, and the next one asks again", async () => {
    const { wire, phone, asked } = await waitingForToken();
    assert.equal(asked(), 2);
    for (let s = 0; s < 30 && asked() < 3; s += 1) {
      mock.timers.tick(1000);
      await settled();
    }
    wire.deliver(granted(await wire.next()));
    await settled();
    assert.equal(phone.state, "registered");
    await close(phone, wire);
  });

  test("a socket that breaks while a token is waited for ends the attempt at once", async () => {
    const { wire, phone, asked } = await waitingForToken();
    wire.break();
    for (let s = 0; s < 6 && asked() < 3; s += 1) {
      mock.timers.tick(1000);
      await settled();
    }
    assert.equal(asked(), 3);
    wire.deliver(granted(await wire.next()));
    await settled();
    await close(phone, wire);
  });

  test("a socket that opens when the phone has given up is closed, and nothing is registered", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 10 } });
    wire.break();
    const transport = wire.transport;
    assert.ok(transport);
    const connect = transport.connect.bind(transport);
    let open: () => void = () => undefined;
    transport.connect = () => new Promise((resolve, reject) => (open = () => void connect().then(resolve, reject)));
    mock.timers.tick(1000);
    await settled();
    mock.timers.tick(9000);
    await settled();
    assert.equal(phone.state, "disconnected");
    open();
    await settled();
    await settled();
    assert.ok(wire.silent);
    assert.ok(!transport.isConnected());
    assert.throws(() => phone.call("bob"), SocketError);
  });

  test("a 423 without Min-Expires, which SIP.js tells nobody of, ends in time, and the next REGISTER goes out", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    for (const [status, wait] of [["503 Service Unavailable", 0], ["423 Interval Too Brief", 35_000]] as const) {
      const refused = assert.rejects(phone.register(), SipError);
      wire.deliver(responseTo(await wire.next(), status));
      await settled();
      mock.timers.tick(wait);
      await refused;
    }
    const registered = phone.register();
    wire.deliver(granted(await wire.next()));
    await registered;
    await close(phone, wire);
  });

  test("after a 200 without any Contact, which leaves SIP.js waiting, the next REGISTER goes out", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    const refused = assert.rejects(phone.register(), SipError);
    wire.deliver(responseTo(await wire.next(), "200 OK"));
    await refused;
    const registered = phone.register();
    wire.deliver(granted(await wire.next()));
    await registered;
    // The time limit of the first one means nothing to what stands now.
    mock.timers.tick(35_000);
    await close(phone, wire);
  });

  test("who registers a phone that does so by itself is told", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    mock.timers.tick(300_000);
    wire.deliver(responseTo(await wire.next(), "503 Service Unavailable", ["Retry-After: 30"]));
    await settled();
    assert.equal(phone.state, "reconnecting");
    await assert.rejects(phone.register(), UsageError);
  });
});
