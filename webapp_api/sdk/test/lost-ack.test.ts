/** An ACK that never comes leaves the call as able to change as before. */

import assert from "node:assert/strict";
import { describe, mock, test, type TestContext } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { answered, AUDIO, nextFinal, phoneOnWire, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import type { IncomingCall } from "../src/incoming-call.ts";
import type { Phone } from "../src/phone.ts";
import { granted, settled } from "./phone-on-wire.ts";
import { responseTo, type Message, type Wire } from "./wire.ts";

/** A call in which the page has answered a re-INVITE. */
async function withoutAck(context: TestContext): Promise<{ wire: Wire; phone: Phone; call: IncomingCall; toTag: string }> {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { wire, phone } = await phoneOnWire(context);
  context.after(() => mock.timers.reset());
  const call = await ringing(wire, phone);
  const toTag = await answered(wire, call);
  FakePeerConnection.made.at(-1)?.to("connected");
  wire.deliver(requestFrom("INVITE", { cseq: 2, toTag, body: AUDIO }));
  await quiet();
  assert.equal((await nextFinal(wire)).header("cseq"), "2 INVITE");
  return { wire, phone, call, toTag };
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    mock.timers.tick(50);
    await settled();
  }
}

/** The next request of the page that is not the repeated 200. */
async function nextRequest(wire: Wire): Promise<Message> {
  for (;;) {
    const message = await wire.next();
    if (!message.startLine.startsWith("SIP/2.0")) return message;
  }
}

describe("an ACK that never comes", () => {
  test("does not keep the call from having its way for media back", async (context) => {
    const { wire, phone, call } = await withoutAck(context);
    wire.break();
    await pass(1200);
    wire.deliver(granted(await nextRequest(wire)));
    await pass(6000);
    assert.equal(phone.state, "registered");
    const restart = await nextRequest(wire);
    assert.match(restart.startLine, /^INVITE /);
    wire.deliver(responseTo(restart, "200 OK", [], AUDIO));
    await pass(100);
    assert.deepEqual([call.recovering, call.state], [false, "established"]);
  });

  test("lets the page hold, and the gateway change the media, as soon as it is late", async (context) => {
    const { wire, call, toTag } = await withoutAck(context);
    await pass(6000);
    while (!wire.silent) await wire.next();
    wire.deliver(requestFrom("UPDATE", { cseq: 3, toTag, body: AUDIO }));
    await quiet();
    assert.equal((await wire.next()).startLine, "SIP/2.0 200 OK");
    const held = call.hold();
    await quiet();
    wire.deliver(responseTo(await nextRequest(wire), "200 OK", [], AUDIO));
    await held;
  });

  test("comes before it is late: until then the 200 is repeated, and the next change waits", async (context) => {
    const { wire, call, toTag } = await withoutAck(context);
    const held = call.hold();
    await pass(4000);
    for (let repeated = 0; repeated < 3; repeated += 1) {
      assert.deepEqual((await wire.next()).header("cseq"), "2 INVITE");
    }
    assert.ok(wire.silent);
    wire.deliver(requestFrom("ACK", { cseq: 2, toTag }));
    await pass(100);
    wire.deliver(responseTo(await nextRequest(wire), "200 OK", [], AUDIO));
    await held;
  });
});

describe("the ACK to the answer of a call", () => {
  test("comes first: a change that was asked for at once waits for it, and the call goes on", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    const call = await ringing(wire, phone);
    await call.answer();
    const ok = await nextFinal(wire);
    const held = call.hold();
    await quiet();
    assert.ok(wire.silent);
    const toTag = /tag=(.*)/.exec(ok.header("to"))?.[1] ?? "";
    wire.deliver(requestFrom("ACK", { toTag }));
    const change = await wire.next();
    assert.match(change.startLine, /^INVITE /);
    wire.deliver(responseTo(change, "200 OK", [], AUDIO));
    await held;
    assert.deepEqual([call.state, call.held.local], ["established", true]);
  });
});
