/** A phone without a registration, whose socket the gateway closes after a while (1008), registers again. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Phone } from "../src/phone.ts";
import { close, granted, openPhone, registeredPhone, settled } from "./phone-on-wire.ts";
import { responseTo, Wire } from "./wire.ts";

async function registersAgain(wire: Wire, phone: Phone): Promise<void> {
  const errors: unknown[] = [];
  const states: string[] = [];
  phone.on("error", (error) => errors.push(error));
  phone.onState((state) => states.push(state));
  wire.break(1008);
  await settled();
  assert.throws(() => phone.call("bob"), { kind: "socket" });
  assert.deepEqual([states, errors, wire.connections], [["disconnected"], [], 1]);
  const registered = phone.register();
  await assert.rejects(phone.register(), { kind: "socket" });
  wire.deliver(granted(await wire.next()));
  await registered;
  assert.deepEqual(states, ["disconnected", "connecting", "connected", "registering", "registered"]);
  assert.equal(wire.connections, 2);
  await close(phone, wire);
}

/** The next sockets open when the returned function is called. */
function heldBack(wire: Wire): () => void {
  const { transport } = wire;
  assert.ok(transport);
  const connect = transport.connect.bind(transport);
  let open = (): void => undefined;
  transport.connect = () => new Promise((resolve, reject) => (open = () => void connect().then(resolve, reject)));
  return () => open();
}

describe("a socket that is closed for want of a registration", () => {
  test("is opened again by who unregistered before", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const removed = phone.unregister();
    await settled();
    wire.deliver(responseTo(await wire.next(), "200 OK"));
    await removed;
    await registersAgain(wire, phone);
  });

  test("is opened again by who has not registered yet", async () => {
    const wire = new Wire();
    await registersAgain(wire, await openPhone(wire));
  });

  test("cannot be opened while nobody listens, and later can", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    wire.break(1008);
    wire.reachable = false;
    await assert.rejects(phone.register(), { kind: "socket" });
    assert.equal(phone.state, "disconnected");
    wire.reachable = true;
    const registered = phone.register();
    wire.deliver(granted(await wire.next()));
    await registered;
    await close(phone, wire);
  });

  test("is not opened by a phone that is closed meanwhile", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire);
    wire.break(1008);
    const open = heldBack(wire);
    const refused = assert.rejects(phone.register(), { kind: "usage" });
    await settled();
    await phone.close();
    open();
    await refused;
    assert.equal(phone.state, "closed");
    assert.ok(wire.silent && !wire.transport?.isConnected());
  });

  for (const removed of ["before it opens", "after"] as const) {
    test(`is opened for nothing where the person unregisters meanwhile, which is done ${removed}`, async () => {
      const wire = new Wire();
      const phone = await openPhone(wire);
      wire.break(1008);
      const open = heldBack(wire);
      const refused = assert.rejects(phone.register(), { kind: "socket" });
      await settled();
      const unregistered = phone.unregister();
      if (removed === "before it opens") await unregistered;
      open();
      await Promise.all([refused, unregistered]);
      await settled();
      assert.deepEqual([phone.state, wire.silent], ["connected", true]);
      const registered = phone.register();
      wire.deliver(granted(await wire.next()));
      await registered;
      await close(phone, wire);
    });
  }
});
