/** What has to be sent in a call while the socket is lost fails as such, and nobody is said to have refused it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

test("digits, and transfers", async (context) => {
  const { wire, phone } = await phoneOnWire(context);
  const call = await placed(wire, phone, {}, AUDIO);
  FakePeerConnection.made.at(-1)?.to("connected");
  const other = await placed(wire, phone, {}, AUDIO);
  wire.reachable = false;
  wire.break();
  await assert.rejects(call.sendDtmf("1"), { kind: "socket" });
  await assert.rejects(call.transfer("carol"), { kind: "socket" });
  await assert.rejects(call.transfer(other), { kind: "socket" });
  assert.equal(call.state, "established");
});

test("digits that waited for the media path", async (context) => {
  const { wire, phone } = await phoneOnWire(context);
  const call = await placed(wire, phone, {}, AUDIO);
  const connection = FakePeerConnection.made.at(-1);
  connection?.to("connecting");
  const lost = assert.rejects(call.sendDtmf("1"), { kind: "socket" });
  await quiet();
  wire.reachable = false;
  wire.break();
  connection?.to("connected");
  await lost;
});

test("what a socket that is closing does not take any more; a 503 of the gateway is one", async (context) => {
  const { wire, phone } = await phoneOnWire(context);
  const call = await placed(wire, phone, {}, AUDIO);
  FakePeerConnection.made.at(-1)?.to("connected");
  const held = call.hold();
  wire.deliver(responseTo(await wire.next(), "503 Service Unavailable"));
  await assert.rejects(held, { kind: "sip", status: 503 });
  assert.match((await wire.next()).startLine, /^ACK /);

  assert.ok(wire.transport);
  wire.transport.send = () => Promise.reject(new Error("the socket is closing"));
  await assert.rejects(call.hold(), { kind: "socket" });
  await assert.rejects(call.sendDtmf("1"), { kind: "socket" });
  await assert.rejects(call.transfer("carol"), { kind: "socket" });
  assert.equal(call.state, "established");
});
