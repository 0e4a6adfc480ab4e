/** A far side that is busy with an earlier INVITE says for how long (RFC 3261 §14.2). */

import assert from "node:assert/strict";
import { mock, test, type TestContext } from "node:test";

import "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet } from "./call-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { responseTo, type Wire } from "./wire.ts";

/** A hold that the far side refuses with 500 and this time to wait. */
async function refused(context: TestContext, retryAfterS: number): Promise<{ wire: Wire; call: OutgoingCall; held: Promise<void> }> {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { wire, phone } = await phoneOnWire(context);
  context.after(() => mock.timers.reset());
  const call = await placed(wire, phone, {}, AUDIO);
  const held = call.hold();
  held.catch(() => undefined); // it may be refused before the test asks
  wire.deliver(responseTo(await wire.next(), "500 Server Internal Error", [`Retry-After: ${retryAfterS}`]));
  await quiet();
  assert.match((await wire.next()).startLine, /^ACK /);
  return { wire, call, held };
}

test("a change is made when the time is over that a busy far side asks for", async (context) => {
  const { wire, held } = await refused(context, 10);
  mock.timers.tick(9999);
  await quiet();
  assert.equal(wire.silent, true);
  mock.timers.tick(1);
  wire.deliver(responseTo(await wire.next(), "200 OK", [], AUDIO));
  await held;
});

test("a longer time than that is no business of this change, and keeps no other one waiting", async (context) => {
  const { wire, call, held } = await refused(context, 11);
  await assert.rejects(held, { kind: "sip", status: 500, retryAfterS: 11 });
  const again = call.hold();
  wire.deliver(responseTo(await wire.next(), "200 OK", [], AUDIO));
  await again;
  assert.equal(call.held.local, true);
});
