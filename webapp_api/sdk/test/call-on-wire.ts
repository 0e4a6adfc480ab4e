/** Calls of a phone on a wire in memory: what the gateway sends in them. */

import { mock, type TestContext } from "node:test";

import { FakePeerConnection, sdpWith } from "./browser.ts";
import type { IncomingCall } from "../src/incoming-call.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import type { MediaRequest } from "../src/media.ts";
import type { Phone } from "../src/phone.ts";
import { registeredPhone, settled } from "./phone-on-wire.ts";
import { responseTo, Wire, type Message } from "./wire.ts";

export const AUDIO = sdpWith(["audio", "sendrecv"]);
export const GATEWAY_CONTACT = "Contact: <sip:gw.example;transport=ws>";

export interface RequestOptions {
  readonly callId?: string;
  readonly cseq?: number;
  /** The page's tag, in a dialog. */
  readonly toTag?: string;
  readonly lines?: readonly string[];
  readonly body?: string;
}

/** A request of carol's to the page. */
export function requestFrom(method: string, options: RequestOptions = {}): string {
  const { callId = "in-1", cseq = 1, toTag, lines = [], body = "" } = options;
  return [
    `${method} sip:alice@ims.example.com SIP/2.0`,
    `Via: SIP/2.0/WS gw.example;branch=z9hG4bK${callId}${method}${cseq}`,
    "From: <sip:carol@ims.example.com>;tag=carol",
    `To: <sip:alice@ims.example.com>${toTag === undefined ? "" : `;tag=${toTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    GATEWAY_CONTACT,
    ...lines,
    ...(body === "" ? [] : ["Content-Type: application/sdp"]),
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

/** A registered phone, until the test is over. */
export async function phoneOnWire(context: TestContext): Promise<{ wire: Wire; phone: Phone }> {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  context.after(async () => {
    wire.reachable = false;
    wire.break();
    await phone.close();
  });
  return { wire, phone };
}

/** What waits for nothing but its turn has happened, however many turns it takes. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await settled();
}

/** The next message that is not a provisional response. */
export async function nextFinal(wire: Wire): Promise<Message> {
  for (;;) {
    const message = await wire.next();
    if (!message.startLine.startsWith("SIP/2.0 1")) return message;
  }
}

/** Carol calls; the page rings. */
export async function ringing(wire: Wire, phone: Phone, options: RequestOptions = {}): Promise<IncomingCall> {
  const call = await new Promise<IncomingCall>((resolve) => {
    const forget = phone.on("call", (incoming) => {
      forget();
      resolve(incoming);
    });
    wire.deliver(requestFrom("INVITE", { body: AUDIO, ...options }));
  });
  await quiet();
  return call;
}

/** Answer `call` and acknowledge it; the page's tag. */
export async function answered(wire: Wire, call: IncomingCall, media: MediaRequest = {}): Promise<string> {
  await call.answer(media);
  const ok = await nextFinal(wire);
  const toTag = /tag=(.*)/.exec(ok.header("to"))?.[1] ?? "";
  wire.deliver(requestFrom("ACK", { callId: ok.header("call-id"), toTag }));
  await quiet();
  return toTag;
}

/** The page calls bob, who answers with `answer`. */
export async function placed(
  wire: Wire,
  phone: Phone,
  media: MediaRequest,
  answer: string,
  watch: (call: OutgoingCall) => void = () => undefined,
): Promise<OutgoingCall> {
  const call = phone.call("bob", media);
  watch(call);
  wire.deliver(responseTo(await wire.next(), "200 OK", [GATEWAY_CONTACT], answer));
  await quiet();
  await wire.next(); // the ACK
  return call;
}

/** A call of the page that is answered and heard; time is the test's. */
export async function talking(context: TestContext): Promise<{ wire: Wire; call: OutgoingCall }> {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { wire, phone } = await phoneOnWire(context);
  context.after(() => mock.timers.reset());
  const call = await placed(wire, phone, {}, AUDIO);
  FakePeerConnection.made.at(-1)?.to("connected");
  return { wire, call };
}
