import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { withSingleAllow } from "../src/sip-headers.ts";
import { Inviter, SIPExtension, UserAgent, type SessionDescriptionHandler } from "../src/sipjs.ts";
import { UpdateSupport, type AnsweredUpdate } from "../src/update-support.ts";
import { messageFromText, responseTo, startedUserAgent, Wire, type Message } from "./wire.ts";

/** A media session without media: it records what it is told, and can be slow or unwilling. */
class FakeHandler implements SessionDescriptionHandler {
  readonly taken: string[] = [];
  rollbacks = 0;
  #answerGate: Promise<void> = Promise.resolve();

  /** Hold back answers until the returned function is called. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#answerGate = new Promise((resolve) => (release = resolve));
    return release;
  }

  close(): void {}

  async getDescription(): Promise<{ body: string; contentType: string }> {
    await this.#answerGate;
    return { body: this.taken.length === 0 ? "offer" : `answer to ${this.taken.at(-1)}`, contentType: "application/sdp" };
  }

  hasDescription(contentType: string): boolean {
    return contentType === "application/sdp";
  }

  rollbackDescription(): Promise<void> {
    this.rollbacks += 1;
    return Promise.resolve();
  }

  setDescription(sdp: string): Promise<void> {
    if (sdp.includes("bad")) return Promise.reject(new Error('line 7: "bad"'));
    this.taken.push(sdp);
    return Promise.resolve();
  }

  sendDtmf(): boolean {
    return false;
  }
}

interface Scene {
  readonly wire: Wire;
  readonly handler: FakeHandler;
  readonly invite: Message;
  readonly inviter: Inviter;
  readonly updates: AnsweredUpdate[];
  /** Send a request in the dialog; `lines` go behind the mandatory ones. */
  request(method: string, cseq: number, options?: { body?: string; lines?: string[]; toTag?: string; branch?: string }): void;
  respond(status: string, lines?: string[], body?: string): void;
}

/** A call whose INVITE is out; with `answered`, in an early dialog after 183 and PRACK. */
async function scene(context: TestContext, { answered = true } = {}): Promise<Scene> {
  const wire = new Wire();
  const handler = new FakeHandler();
  const userAgent = await startedUserAgent(wire, {
    sipExtension100rel: SIPExtension.Supported,
    sessionDescriptionHandlerFactory: () => handler,
  });
  const updates: AnsweredUpdate[] = [];
  const support = new UpdateSupport(userAgent, { onUpdate: (update) => updates.push(update), retryAfterS: () => 3 });
  const target = UserAgent.makeURI("sip:bob@ims.example.com");
  assert.ok(target);
  const inviter = new Inviter(userAgent, target, { earlyMedia: true });
  inviter.request.extraHeaders = withSingleAllow(inviter.request.extraHeaders);
  support.track(inviter);
  await inviter.invite();
  const invite = await wire.next();
  const respond = (status: string, lines: string[] = [], body = ""): void =>
    wire.deliver(responseTo(invite, status, ["Contact: <sip:gw@gw.example;transport=ws>", ...lines], body));
  const contact = /<([^>]+)>/.exec(invite.header("contact"))?.[1] ?? "";
  const tag = /tag=([^;]+)/.exec(invite.header("from"))?.[1] ?? "";
  const request: Scene["request"] = (method, cseq, { body = "", lines = [], toTag = tag, branch = `${method}${cseq}` } = {}) =>
    wire.deliver(
      [
        `${method} ${contact} SIP/2.0`,
        `Via: SIP/2.0/WS gw.example;branch=z9hG4bK${branch}`,
        "From: <sip:bob@ims.example.com>;tag=gw",
        `To: <sip:alice@ims.example.com>;tag=${toTag}`,
        `Call-ID: ${invite.header("call-id")}`,
        `CSeq: ${cseq} ${method}`,
        "Contact: <sip:moved@gw.example;transport=ws>",
        ...(body !== "" && !lines.some((line) => line.startsWith("Content-Type")) ? ["Content-Type: application/sdp"] : []),
        ...lines,
        `Content-Length: ${body.length}`,
        "",
        body,
      ].join("\r\n"),
    );
  if (answered) {
    respond("183 Session Progress", ["Require: 100rel", "RSeq: 1"], "first answer");
    const prack = await wire.next();
    assert.match(prack.startLine, /^PRACK /);
    wire.deliver(responseTo(prack, "200 OK"));
  }
  context.after(() => userAgent.userAgentCore.dispose());
  return { wire, handler, invite, inviter, updates, request, respond };
}

describe("UPDATE (RFC 3311)", () => {
  test("the INVITE has one Allow with UPDATE and PRACK, and supports 100rel", async (context) => {
    const { invite } = await scene(context);
    assert.equal(invite.headers("allow").length, 1);
    assert.match(invite.header("allow"), /PRACK.*UPDATE/);
    assert.match(invite.header("supported"), /100rel/);
  });

  test("an offer in the early dialog is answered in the 200", async (context) => {
    const { wire, request, updates, inviter } = await scene(context);
    request("UPDATE", 1, { body: "second offer" });
    const response = await wire.next();
    assert.equal(response.startLine, "SIP/2.0 200 OK");
    assert.equal(response.body, "answer to second offer");
    assert.equal(response.headers("allow").length, 1);
    assert.match(response.header("contact"), /^<sip:/);
    assert.deepEqual(updates, [{ session: inviter, offer: "second offer", answer: "answer to second offer" }]);
  });

  test("one without a description is answered 200 without one, and moves the target", async (context) => {
    const { wire, request, respond, inviter } = await scene(context);
    request("UPDATE", 1);
    const response = await wire.next();
    assert.equal(response.startLine, "SIP/2.0 200 OK");
    assert.equal(response.body, "");
    respond("200 OK");
    const ack = await wire.next();
    assert.equal(ack.startLine, "ACK sip:moved@gw.example;transport=ws SIP/2.0");
    await inviter.bye();
    assert.match((await wire.next()).startLine, /^BYE sip:moved@gw\.example/);
  });

  test("a retransmission gets the same response again and is not done twice", async (context) => {
    const { wire, request, handler } = await scene(context);
    request("UPDATE", 1, { body: "second offer" });
    const first = await wire.next();
    request("UPDATE", 1, { body: "second offer" });
    assert.equal((await wire.next()).raw, first.raw);
    assert.deepEqual(handler.taken, ["first answer", "second offer"]);
  });

  test("an old CSeq is refused with 500", async (context) => {
    const { wire, request } = await scene(context);
    request("UPDATE", 5);
    await wire.next();
    request("UPDATE", 4, { branch: "old" });
    assert.equal((await wire.next()).startLine, "SIP/2.0 500 Internal Server Error");
  });

  test("an unknown dialog is refused with 481", async (context) => {
    const { wire, request } = await scene(context);
    request("UPDATE", 1, { toTag: "nobody", body: "offer" });
    assert.match((await wire.next()).startLine, /^SIP\/2\.0 481 /);
  });

  test("a second offer while one is being answered is refused with 500 and Retry-After", async (context) => {
    const { wire, request, handler } = await scene(context);
    const release = handler.hold();
    request("UPDATE", 1, { body: "second offer" });
    request("UPDATE", 2, { body: "third offer" });
    const refused = await wire.next();
    assert.match(refused.startLine, /^SIP\/2\.0 500 /);
    assert.equal(refused.header("retry-after"), "3");
    release();
    assert.equal((await wire.next()).body, "answer to second offer");
    request("UPDATE", 3, { body: "fourth offer" });
    assert.equal((await wire.next()).body, "answer to fourth offer");
  });

  test("an offer while ours is unanswered is refused with 491", async (context) => {
    const { wire, request, respond } = await scene(context, { answered: false });
    respond("180 Ringing");
    request("UPDATE", 1, { body: "offer" });
    assert.match((await wire.next()).startLine, /^SIP\/2\.0 491 /);
  });

  test("a description the browser refuses gets 488 with the reason, is rolled back, and the next one works", async (context) => {
    const { wire, request, handler } = await scene(context);
    request("UPDATE", 1, { body: "bad offer" });
    const refused = await wire.next();
    assert.match(refused.startLine, /^SIP\/2\.0 488 /);
    assert.equal(refused.header("warning"), "399 webrtc-ims-sdk \"line 7: 'bad'\"");
    assert.equal(handler.rollbacks, 1);
    request("UPDATE", 2, { body: "good offer" });
    assert.equal((await wire.next()).body, "answer to good offer");
  });

  test("another body is refused with 415", async (context) => {
    const { wire, request } = await scene(context);
    request("UPDATE", 1, { body: "hello", lines: ["Content-Type: text/plain"] });
    const refused = await wire.next();
    assert.match(refused.startLine, /^SIP\/2\.0 415 /);
    assert.equal(refused.header("accept"), "application/sdp");
  });

  test("an extension it must have and we lack is refused with 420", async (context) => {
    const { wire, request } = await scene(context);
    request("UPDATE", 1, { body: "offer", lines: ["Require: precondition"] });
    const refused = await wire.next();
    assert.match(refused.startLine, /^SIP\/2\.0 420 /);
    assert.equal(refused.header("unsupported"), "precondition");
  });

  test("the 200 to the INVITE may overtake the answer", async (context) => {
    const { wire, request, respond, handler, inviter } = await scene(context);
    const release = handler.hold();
    request("UPDATE", 1, { body: "second offer" });
    respond("200 OK");
    const ack = await wire.next();
    assert.match(ack.startLine, /^ACK /);
    assert.equal(ack.body, "");
    release();
    assert.equal((await wire.next()).body, "answer to second offer");
    assert.equal(inviter.state, "Established");
  });

  test("a call that ends while an offer is being answered leaves the UPDATE with 481", async (context) => {
    const { wire, request, respond, handler } = await scene(context);
    const release = handler.hold();
    handler.setDescription = () => Promise.reject(new Error("the call is over"));
    request("UPDATE", 1, { body: "second offer" });
    respond("486 Busy Here");
    release();
    const lines = [(await wire.next()).startLine, (await wire.next()).startLine];
    assert.deepEqual(lines.map((line) => line.split(" ", 2).join(" ")).sort(), ["ACK sip:bob@ims.example.com", "SIP/2.0 481"]);
  });

  test("what is no UPDATE goes on to SIP.js", async (context) => {
    const { wire, request } = await scene(context);
    request("OPTIONS", 1);
    assert.equal((await wire.next()).startLine, "SIP/2.0 200 OK");
  });

  test("a message without its mandatory fields is dropped", async (context) => {
    const { wire } = await scene(context);
    wire.deliver("UPDATE sip:x@y SIP/2.0\r\nVia: SIP/2.0/WS gw;branch=z9hG4bKx\r\n\r\n");
    assert.equal(wire.silent, true);
    assert.equal(messageFromText("A\r\nB: c\r\n\r\n").header("b"), "c");
  });
});
