/** The other side wants this page to talk to somebody else: asked, never done by itself. */

import type { Call, MediaRequest, TransferRequest } from "../sdk/src/index.ts";
import { addressText } from "./caller-text.ts";
import { button, element } from "./dom.ts";

const notice = element("transfer-request", HTMLElement);
const words = element("transfer-request-text", HTMLElement);
const accept = button("accept-transfer");
const refuse = button("refuse-transfer");

const watched = new WeakSet<Call>();
let asked: { readonly call: Call; readonly request: TransferRequest<Call> } | undefined;
let follow: (accept: (media: MediaRequest) => { call: Call; name: string }) => void = () => undefined;

accept.addEventListener("click", () => {
  const request = take();
  if (request === undefined) return;
  follow((media) => ({ call: request.accept(media), name: addressText(request.target) }));
});
refuse.addEventListener("click", () => take()?.refuse());

/** Ask the person when the far side of `call` asks; `onAccepted` makes the new call. */
export function askAboutTransfer(call: Call, onAccepted: typeof follow): void {
  if (watched.has(call)) return;
  watched.add(call);
  call.on("transferRequest", (request) => {
    take()?.refuse();
    asked = { call, request };
    follow = onAccepted;
    notice.hidden = false;
    words.textContent = `The other side wants to connect you with ${addressText(request.target)}.`;
    accept.focus();
  });
  call.on("end", () => {
    if (asked?.call === call) take();
  });
}

/** The request that waits; it is no longer shown. */
function take(): TransferRequest<Call> | undefined {
  const request = asked?.request;
  asked = undefined;
  notice.hidden = true;
  words.textContent = "";
  return request;
}
