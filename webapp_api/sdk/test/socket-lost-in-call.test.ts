/** A socket that is lost in a running call: a change under way fails at once, and a BYE that nobody heard is said again. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { SocketError } from "../src/errors.ts";
import { quiet, talking } from "./call-on-wire.ts";
import { granted } from "./phone-on-wire.ts";
import { responseTo, type Wire } from "./wire.ts";

/** The socket and the registration are there again. */
async function back(wire: Wire): Promise<void> {
  mock.timers.tick(1000);
  const register = await wire.next();
  assert.match(register.startLine, /^REGISTER /);
  wire.deliver(granted(register));
  await quiet();
}

test("a change does not wait for a response that will not come", async (context) => {
  const { wire, call } = await talking(context);
  let failure: unknown;
  call.hold().catch((error: unknown) => (failure = error));
  assert.match((await wire.next()).startLine, /^INVITE /);
  wire.break();
  await quiet();
  assert.ok(failure instanceof SocketError);
  assert.equal(call.state, "established");
  assert.equal(call.held.local, false);
});

test("a call that was hung up without a socket is ended at the far side, too", async (context) => {
  const { wire, call } = await talking(context);
  wire.break();
  await quiet();
  await call.hangup();
  assert.deepEqual(call.end, { by: "local", cause: "hangup" });
  await back(wire);
  const bye = await wire.next();
  assert.match(bye.startLine, /^BYE /);
  wire.deliver(responseTo(bye, "200 OK"));
});
