/** A BYE is said until somebody has heard it, whatever becomes of the socket. */

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { Farewells } from "../src/farewells.ts";
import { Inviter, SessionState, UserAgent } from "../src/sipjs.ts";
import { settled } from "./phone-on-wire.ts";
import { responseTo, startedUserAgent, Wire, type Message } from "./wire.ts";

function cseqOf(bye: Message): number {
  assert.match(bye.startLine, /^BYE sip:gw@gw\.example/);
  return Number.parseInt(bye.header("cseq"), 10);
}

/** An answered call without media. */
async function answeredCall(context: TestContext): Promise<{ wire: Wire; inviter: Inviter; farewells: Farewells }> {
  const wire = new Wire();
  const userAgent = await startedUserAgent(wire, {
    sessionDescriptionHandlerFactory: () => ({
      close: () => undefined,
      getDescription: () => Promise.resolve({ body: "offer", contentType: "application/sdp" }),
      hasDescription: () => true,
      setDescription: () => Promise.resolve(),
      sendDtmf: () => false,
    }),
  });
  context.after(() => userAgent.userAgentCore.dispose());
  const target = UserAgent.makeURI("sip:bob@ims.example.com");
  assert.ok(target);
  const inviter = new Inviter(userAgent, target);
  await inviter.invite();
  wire.deliver(responseTo(await wire.next(), "200 OK", ["Contact: <sip:gw@gw.example;transport=ws>"], "answer"));
  assert.match((await wire.next()).startLine, /^ACK /);
  assert.equal(inviter.state, SessionState.Established);
  return { wire, inviter, farewells: new Farewells() };
}

describe("the end of an answered call", () => {
  for (const status of ["200 OK", "481 Call/Transaction Does Not Exist", "500 Server Internal Error"]) {
    test(`is not said again after the gateway's ${status}`, async (context) => {
      const { wire, inviter, farewells } = await answeredCall(context);
      farewells.say(inviter);
      wire.deliver(responseTo(await wire.next(), status));
      farewells.sayAgain();
      await settled();
      assert.ok(wire.silent);
      assert.equal(inviter.state, SessionState.Terminated);
    });
  }

  test("is said again, with a higher CSeq, when the socket breaks before it is confirmed", async (context) => {
    const { wire, inviter, farewells } = await answeredCall(context);
    farewells.say(inviter);
    const lost = await wire.next();
    for (const round of [1, 2]) {
      wire.break();
      await wire.transport?.connect();
      farewells.sayAgain();
      const again = await wire.next();
      assert.equal(cseqOf(again), cseqOf(lost) + round);
      if (round === 2) wire.deliver(responseTo(again, "200 OK"));
    }
    farewells.sayAgain();
    await settled();
    assert.ok(wire.silent);
  });

  test("is said when there is a socket again, and is over here at once", async (context) => {
    const { wire, inviter, farewells } = await answeredCall(context);
    wire.break();
    farewells.say(inviter);
    await settled();
    assert.ok(wire.silent);
    assert.equal(inviter.state, SessionState.Terminated);
    await wire.transport?.connect();
    farewells.sayAgain();
    const bye = await wire.next();
    wire.deliver(responseTo(bye, "200 OK"));
    farewells.sayAgain();
    await settled();
    assert.ok(wire.silent);
  });

  test("needs not be said when the far side was faster", async (context) => {
    const { wire, inviter, farewells } = await answeredCall(context);
    await inviter.bye();
    await wire.next();
    farewells.say(inviter);
    await settled();
    farewells.sayAgain();
    await settled();
    assert.ok(wire.silent);
  });
});
