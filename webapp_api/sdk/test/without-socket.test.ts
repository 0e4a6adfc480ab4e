/** What has to be sent in a call while the socket is lost fails as such, and nobody is said to have refused it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet } from "./call-on-wire.ts";

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
