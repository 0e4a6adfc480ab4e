/** What a hang-up leaves, and tells. */

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { captured, FakePeerConnection, withholdPermission } from "./browser.ts";
import { AUDIO, GATEWAY_CONTACT, nextFinal, phoneOnWire, quiet, ringing } from "./call-on-wire.ts";
import type { Call } from "../src/call.ts";
import { responseTo } from "./wire.ts";

/** The causes that `call` tells with its state. */
function causes(call: Call): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  call.onState((state) => seen.push(state === "ended" ? call.end?.cause : state));
  return seen;
}

describe("a hang-up", () => {
  test("while the person is asked for the microphone has its end when it tells so", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const grant = withholdPermission();
    const call = phone.call("bob");
    const seen = causes(call);
    await call.hangup();
    assert.deepEqual(seen, ["cancelled"]);
    grant();
    await quiet();
    assert.equal(captured.at(-1)?.getTracks()[0]?.readyState, "ended");
    assert.ok(wire.silent);
  });

  for (const answering of [false, true]) {
    test(`of a call that comes in has its end when it tells so${answering ? ", also while it is answered" : ""}`, async (context) => {
      const { wire, phone } = await phoneOnWire(context);
      const call = await ringing(wire, phone);
      const grant = withholdPermission();
      const answer = answering ? call.answer() : undefined;
      const seen = causes(call);
      await call.hangup();
      grant();
      await answer;
      assert.deepEqual(seen, ["declined"]);
      assert.match((await nextFinal(wire)).startLine, /^SIP\/2\.0 480 /);
    });
  }

  test("that the gateway does not react to leaves no peer connection, and a late 200 gets ACK and BYE", async (context) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const { wire, phone } = await phoneOnWire(context);
    context.after(() => mock.timers.reset());
    const call = phone.call("bob");
    const invite = await wire.next();
    wire.deliver(responseTo(invite, "180 Ringing", [GATEWAY_CONTACT]));
    await quiet();
    void call.hangup();
    assert.match((await wire.next()).startLine, /^CANCEL /);
    mock.timers.tick(4000);
    await quiet();
    const connection = FakePeerConnection.made.at(-1);
    assert.deepEqual([call.state, connection?.connectionState], ["ended", "closed"]);
    while (!wire.silent) await wire.next();
    wire.deliver(responseTo(invite, "200 OK", [GATEWAY_CONTACT], AUDIO));
    await quiet();
    const said = [(await wire.next()).startLine, (await wire.next()).startLine].map((line) => line.split(" ")[0]);
    assert.deepEqual(said, ["ACK", "BYE"]);
  });
});
