/** An offer of the far side on the heels of its answer to ours, which the browser is still taking. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { answered, AUDIO, nextFinal, phoneOnWire, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

test("it waits for the browser, and is answered", async (context) => {
  const { wire, phone } = await phoneOnWire(context);
  const call = await ringing(wire, phone);
  const toTag = await answered(wire, call);
  const connection = FakePeerConnection.made.at(-1);
  assert.ok(connection);
  const take = connection.setRemoteDescription.bind(connection);
  const taken: string[] = [];
  let goOn = (): void => undefined;
  connection.setRemoteDescription = async (description) => {
    taken.push(description.type);
    if (description.type === "answer") await new Promise<void>((resolve) => (goOn = resolve));
    return take(description);
  };

  const held = call.hold();
  wire.deliver(responseTo(await wire.next(), "200 OK", [], AUDIO));
  await quiet();
  assert.match((await wire.next()).startLine, /^ACK /);
  wire.deliver(requestFrom("INVITE", { cseq: 2, toTag, body: AUDIO }));
  await quiet();
  assert.deepEqual(taken, ["answer"]);

  goOn();
  const ok = await nextFinal(wire);
  assert.deepEqual([ok.startLine, ok.header("cseq")], ["SIP/2.0 200 OK", "2 INVITE"]);
  await held;
  assert.deepEqual(taken, ["answer", "offer"]);
  assert.equal(call.held.local, true);
});
