import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { SipError } from "../src/errors.ts";
import { URI, type Notification, type Referral, type SessionDialog } from "../src/sipjs.ts";
import { referToWithReplaces, Transfer, transferRequestFrom } from "../src/transfer.ts";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

interface Asked {
  readonly transfer: Transfer;
  /** The far side has taken the REFER (202). */
  readonly accept: () => void;
  /** The REFER gets no answer (SIP.js makes up a 408), or this far side's 408. */
  readonly timeOut: (via: boolean) => void;
}

function asked(): Asked {
  let accept = (): void => undefined;
  let refuse = (_response: object): void => undefined;
  const dialog = {
    refer: (delegate: { onAccept: () => void; onReject: (response: object) => void }) => {
      accept = delegate.onAccept;
      refuse = delegate.onReject;
      return { message: { cseq: 7 } };
    },
  };
  const transfer = new Transfer({
    dialog: dialog as unknown as SessionDialog,
    referTo: "<sip:carol@ims.example.com>",
    referredBy: "sip:alice@ims.example.com",
    contact: "<sip:alice@gw.example>",
    onProgress: () => undefined,
  });
  const timeOut = (via: boolean): void => {
    const message = { statusCode: 408, reasonPhrase: "Request Timeout", hasHeader: () => via, getHeader: () => undefined, getHeaders: () => [] };
    refuse({ message });
  };
  return { transfer, accept: () => accept(), timeOut };
}

function notify(state: string, body: string): Notification {
  return { request: { body, getHeader: () => state } } as unknown as Notification;
}

describe("a transfer of which nothing more is heard", () => {
  const unknown = (error: unknown): boolean => error instanceof SipError && error.status === 408;

  test("ends with its subscription", async () => {
    const { transfer, accept } = asked();
    const failed = assert.rejects(transfer.done, unknown);
    accept();
    transfer.notified(notify("active;expires=60", "SIP/2.0 100 Trying"));
    mock.timers.tick(59_999);
    assert.equal(transfer.over, false);
    mock.timers.tick(1);
    assert.equal(transfer.over, true);
    await failed;
  });

  test("ends in the end, though nobody says how long it lasts", async () => {
    const { transfer, accept } = asked();
    const failed = assert.rejects(transfer.done, unknown);
    accept();
    mock.timers.tick(240_000);
    assert.equal(transfer.over, true);
    await failed;
  });

  test("is not ended once it was told", async () => {
    const { transfer, accept } = asked();
    accept();
    transfer.notified(notify("active;expires=60", "SIP/2.0 100 Trying"));
    transfer.notified(notify("terminated;reason=noresource", "SIP/2.0 200 OK"));
    await transfer.done;
    mock.timers.tick(300_000);
  });
});

describe("a transfer whose 202 is lost", () => {
  test("goes on where the far side tells how it goes", async () => {
    const { transfer, timeOut } = asked();
    transfer.notified(notify("active;expires=60", "SIP/2.0 180 Ringing"));
    timeOut(false);
    assert.equal(transfer.over, false);
    transfer.notified(notify("terminated;reason=noresource", "SIP/2.0 200 OK"));
    await transfer.done;
  });

  test("was taken by a far side that tells of it and hangs up", async () => {
    const { transfer } = asked();
    transfer.notified(notify("active;expires=60", "SIP/2.0 100 Trying"));
    transfer.callEnded(true);
    await transfer.done;
  });

  test("has failed where nothing is told, and where the far side itself says so", async () => {
    for (const told of [false, true]) {
      const { transfer, timeOut } = asked();
      if (told) transfer.notified(notify("active;expires=60", "SIP/2.0 100 Trying"));
      timeOut(told);
      await assert.rejects(transfer.done, { kind: "sip", status: 408 });
    }
  });
});

describe("whom the other call is with", () => {
  const dialog = (user: string): SessionDialog =>
    ({
      callId: "one",
      localTag: "page",
      remoteTag: "core",
      remoteURI: new URI("sip", user, "ims.example.com", undefined, { user: "phone" }),
    }) as unknown as SessionDialog;

  test("is said without what the network has said of the number", () => {
    const said = referToWithReplaces(dialog("+15551;verstat=TN-Validation-Passed;npdi"));
    assert.equal(said.split("?")[0], "<sip:+15551@ims.example.com;user=phone");
  });

  test("is said with what makes the number whole", () => {
    const said = referToWithReplaces(dialog("5551;phone-context=+49;cpc=ordinary"));
    assert.equal(said.split("?")[0], "<sip:5551;phone-context=+49@ims.example.com;user=phone");
  });
});

describe("whom the far side asks to be called", () => {
  const asks = (parameters: Record<string, string>): { readonly target: string | undefined; readonly status: number } => {
    let status = 0;
    const referral = {
      referTo: { uri: new URI("sip", "conf-1", "conf.ims.test", undefined, parameters) },
      request: { cseq: 1 },
      accept: () => (status = 202),
      reject: ({ statusCode }: { statusCode: number }) => (status = statusCode),
    } as unknown as Referral;
    const request = transferRequestFrom(referral, {
      dialog: () => undefined,
      contact: "<sip:alice@gw.example>",
      first: true,
      call: () => assert.fail("nobody is called yet"),
    });
    return { target: request?.target, status };
  };

  for (const parameters of [{}, { method: "INVITE" }, { method: "invite" }]) {
    test(`is dialled without the method, ${JSON.stringify(parameters)}`, () => {
      assert.deepEqual(asks(parameters), { target: "sip:conf-1@conf.ims.test", status: 202 });
    });
  }

  test("keeps what else the address says", () => {
    assert.equal(asks({ user: "phone", method: "INVITE" }).target, "sip:conf-1@conf.ims.test;user=phone");
  });

  test("is nobody where the request is no call", () => {
    assert.deepEqual(asks({ method: "BYE" }), { target: undefined, status: 400 });
  });
});
