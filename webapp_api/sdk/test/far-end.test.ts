/** Who is at the far side: who calls, who has answered, and who takes their place (RFC 4916). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Caller } from "../src/caller.ts";
import type { Call } from "../src/call.ts";
import { answered, AUDIO, GATEWAY_CONTACT, nextFinal, phoneOnWire, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

const DAVE = 'P-Asserted-Identity: "Dave" <sip:+4930123@ims.example.com;user=phone>';

/** What the call says of it, from now on. */
function heardOf(call: Call): (string | undefined)[] {
  const names: (string | undefined)[] = [];
  call.on("farEnd", ({ displayName, number }: Caller) => names.push(displayName ?? number));
  return names;
}

describe("the far side's name", () => {
  for (const [method, body] of [
    ["UPDATE", ""],
    ["UPDATE", AUDIO],
    ["INVITE", AUDIO],
  ] as const) {
    test(`changes with ${method} ${body === "" ? "alone" : "and a description"}`, async (context) => {
      const { wire, phone } = await phoneOnWire(context);
      const call = await ringing(wire, phone);
      assert.deepEqual([call.farEnd, call.farEnd.uri], [call.caller, "sip:carol@ims.example.com"]);
      const toTag = await answered(wire, call);
      const heard = heardOf(call);
      for (const cseq of [2, 3]) {
        wire.deliver(requestFrom(method, { cseq, toTag, body, lines: [DAVE] }));
        assert.equal((await nextFinal(wire)).startLine, "SIP/2.0 200 OK");
        if (method === "INVITE") wire.deliver(requestFrom("ACK", { cseq, toTag }));
        await quiet();
      }
      assert.deepEqual(heard, ["Dave"]); // the second time it is nothing new
      assert.deepEqual([call.farEnd.number, call.farEnd.asserted], ["+4930123", true]);
      assert.equal(call.caller.uri, "sip:carol@ims.example.com"); // who has called
    });
  }

  test("stays where a request names nobody, or is refused", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone);
    const toTag = await answered(wire, call);
    const heard = heardOf(call);
    wire.deliver(requestFrom("UPDATE", { cseq: 2, toTag }));
    assert.equal((await nextFinal(wire)).startLine, "SIP/2.0 200 OK");
    wire.deliver(requestFrom("UPDATE", { cseq: 3, toTag, lines: [DAVE, "Require: unknown"] }));
    assert.equal((await nextFinal(wire)).startLine, "SIP/2.0 420 Bad Extension");
    await quiet();
    assert.deepEqual([heard, call.farEnd], [[], call.caller]);
  });

  test("goes where somebody takes over who stays unknown", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone);
    const toTag = await answered(wire, call);
    const heard = heardOf(call);
    const update = requestFrom("UPDATE", { cseq: 2, toTag });
    wire.deliver(update.replace("<sip:carol@ims.example.com>", "<sip:anonymous@anonymous.invalid>"));
    await nextFinal(wire);
    await quiet();
    assert.deepEqual([heard, call.farEnd.withheld], [[undefined], true]);
  });

  test("of a call to somebody is whoever answers", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = phone.call("carol");
    const heard = heardOf(call);
    const invite = await wire.next();
    const before: Caller | undefined = call.farEnd;
    assert.equal(before, undefined);
    wire.deliver(responseTo(invite, "200 OK", [GATEWAY_CONTACT, DAVE, "Content-Type: application/sdp"], AUDIO));
    await nextFinal(wire);
    await quiet();
    assert.deepEqual([heard, call.farEnd?.number, call.state], [["Dave"], "+4930123", "established"]);
  });
});
