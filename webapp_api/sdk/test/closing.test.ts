/** A phone that is being closed begins nothing, and leaves nothing behind. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { captured } from "./browser.ts";
import { answered, AUDIO, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import type { TransferRequest } from "../src/transfer.ts";
import { registeredPhone } from "./phone-on-wire.ts";
import { responseTo, Wire } from "./wire.ts";

describe("a phone that is being closed", () => {
  test("takes no call, and tells the network to try other devices", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const seen: unknown[] = [];
    phone.on("call", (call) => seen.push(call));
    const closed = phone.close();
    const removal = await wire.next();
    wire.deliver(requestFrom("INVITE", { body: AUDIO }));
    const lines = [(await wire.next()).startLine, (await wire.next()).startLine];
    assert.deepEqual(lines, ["SIP/2.0 100 Trying", "SIP/2.0 480 Temporarily Unavailable"]);
    wire.deliver(responseTo(removal, "200 OK"));
    await closed;
    assert.deepEqual([seen, phone.calls], [[], []]);
  });

  test("makes no call and registers no more", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const closed = phone.close();
    const removal = await wire.next();
    assert.throws(() => phone.call("bob"), { kind: "usage" });
    await assert.rejects(phone.register(), { kind: "usage" });
    wire.deliver(responseTo(removal, "200 OK"));
    await closed;
    assert.equal(phone.state, "closed");
  });

  test("opens no socket", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire, { password: "secret", reconnect: { giveUpAfterS: 0 } });
    wire.break();
    assert.equal(phone.state, "disconnected");
    const closed = phone.close();
    await assert.rejects(phone.register(), { kind: "usage" });
    await closed;
    assert.deepEqual([phone.state, wire.connections], ["closed", 1]);
  });

  test("ends the call for which a transfer is accepted then", async () => {
    const wire = new Wire();
    const phone = await registeredPhone(wire);
    const call = await ringing(wire, phone);
    const toTag = await answered(wire, call);
    const request = await new Promise<TransferRequest<OutgoingCall>>((resolve) => {
      call.on("transferRequest", resolve);
      wire.deliver(requestFrom("REFER", { cseq: 2, toTag, lines: ["Refer-To: <sip:dave@ims.example.com>"] }));
    });
    const closed = phone.close();
    const other = request.accept();
    await quiet();
    while (!wire.silent) {
      const message = await wire.next();
      if (/^(BYE|REGISTER) /.test(message.startLine)) wire.deliver(responseTo(message, "200 OK"));
      await quiet();
    }
    await closed;
    assert.deepEqual([other.state, other.end?.error?.kind, phone.calls], ["ended", "socket", []]);
    assert.equal(captured.at(-1)?.getAudioTracks()[0]?.readyState, "ended");
  });
});
