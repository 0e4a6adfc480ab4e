/** What a hang-up leaves, and tells. */

import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { AUDIO, GATEWAY_CONTACT, phoneOnWire, quiet } from "./call-on-wire.ts";
import { responseTo } from "./wire.ts";

describe("a hang-up", () => {
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
