/** A call takes the place of another one (RFC 3891), which may be over before it does. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FakePeerConnection, withholdPermission } from "./browser.ts";
import { answered, GATEWAY_CONTACT, nextFinal, phoneOnWire, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

describe("a call that takes the place of another one", () => {
  test("goes on when that one ended while it was being answered", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const old = await ringing(wire, phone, { callId: "old" });
    const toTag = await answered(wire, old);
    const call = await ringing(wire, phone, { callId: "new", lines: [`Replaces: old;to-tag=${toTag};from-tag=carol`] });
    assert.equal(call.replaces, old);
    const grant = withholdPermission();
    const answering = call.answer();
    wire.deliver(requestFrom("BYE", { callId: "old", cseq: 2, toTag }));
    assert.equal((await nextFinal(wire)).header("cseq"), "2 BYE");
    grant();
    await answering;
    assert.equal((await nextFinal(wire)).header("call-id"), "new");
    await quiet();
    assert.deepEqual([old.end?.cause, call.state, call.end], ["hangup", "established", undefined]);
    assert.deepEqual(phone.calls, [call]);
    assert.notEqual(FakePeerConnection.made.at(-1)?.connectionState, "closed");
  });

  test("ends that one where it was not answered yet", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const old = phone.call("carol");
    const invite = await wire.next();
    wire.deliver(responseTo(invite, "180 Ringing", [GATEWAY_CONTACT]));
    await quiet();
    const [callId, fromTag] = [invite.header("call-id"), /tag=(.*)/.exec(invite.header("from"))?.[1]];
    const call = await ringing(wire, phone, { callId: "new", lines: [`Replaces: ${callId};to-tag=${fromTag};from-tag=gw`] });
    assert.equal(call.replaces, old);
    await call.answer();
    assert.equal((await nextFinal(wire)).header("call-id"), "new");
    const cancel = await nextFinal(wire);
    assert.equal(cancel.header("cseq"), "1 CANCEL");
    wire.deliver(responseTo(cancel, "200 OK"));
    wire.deliver(responseTo(invite, "487 Request Terminated"));
    await quiet();
    assert.deepEqual([old.end, call.state], [{ by: "remote", cause: "replaced" }, "established"]);
    assert.deepEqual(phone.calls, [call]);
  });
});
