/** A call whose media is being agreed on while it rings, and that ends: who waits is told at once, and why. */

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { phoneOnWire, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import { PhoneError } from "../src/errors.ts";
import type { IncomingCall } from "../src/incoming-call.ts";
import type { Wire } from "./wire.ts";

/** Of the caller's INVITE: it has the same branch (RFC 3261 §9.1). */
const CANCEL = requestFrom("CANCEL").replace("CANCEL1", "INVITE1");

const ENDS: Readonly<Record<string, readonly [kind: string, end: (wire: Wire, call: IncomingCall) => void]>> = {
  "the caller gives up": ["call-ended", (wire) => wire.deliver(CANCEL)],
  "this side hangs up": ["call-ended", (_wire, call) => void call.hangup()],
  "the socket is lost": [
    "socket",
    (wire) => {
      wire.reachable = false;
      wire.break();
    },
  ],
};

async function prepared(context: TestContext): Promise<{ wire: Wire; call: IncomingCall; failed: () => unknown }> {
  context.mock.timers.enable({ apis: ["setTimeout"] }); // SIP.js waits 32 s for the PRACK
  const { wire, phone } = await phoneOnWire(context);
  const call = await ringing(wire, phone, { lines: ["Supported: 100rel"] });
  let error: unknown;
  call.prepare().catch((failure: unknown) => (error = failure));
  return { wire, call, failed: () => error };
}

describe("a call that is prepared", () => {
  for (const [what, [kind, end]] of Object.entries(ENDS)) {
    for (const sent of [false, true]) {
      test(`while ${what}${sent ? " and the 183 has no PRACK yet" : ""}`, async (context) => {
        const { wire, call, failed } = await prepared(context);
        if (sent) await quiet();
        const over = new Promise((resolve) => call.on("end", resolve));
        end(wire, call);
        await over;
        await quiet();
        context.mock.timers.tick(1);
        await quiet();
        const error = failed();
        assert.ok(error instanceof PhoneError, String(error));
        assert.equal(error.kind, kind);
      });
    }
  }

  test("with an offer that the browser does not take", async (context) => {
    context.mock.method(FakePeerConnection.prototype, "setRemoteDescription", () => Promise.reject(new Error("no codec")));
    const { call, failed } = await prepared(context);
    await quiet();
    context.mock.timers.tick(1);
    await quiet();
    assert.ok(call.end?.error !== undefined);
    assert.equal(failed(), call.end.error);
    assert.equal(call.end.error.kind, "session-description");
  });
});
