/** The cards of the calls that ring. Uses the SDK's public API only. */

import type { CallEnd, CallEndCause, IncomingCall, Phone } from "../sdk/src/index.ts";
import { showBanner, showError } from "./banners.ts";
import { callerAddress, callerName, verificationText } from "./caller-text.ts";
import { element } from "./dom.ts";
import { RingTone, tryToRing } from "./ring-tone.ts";

export interface AnswerOptions {
  readonly video: boolean;
  /** Hang up the running call instead of holding it. */
  readonly instead: boolean;
}

export interface IncomingHandlers {
  /** Take the call, with or without the camera; the one that runs is held, or ended. */
  readonly answer: (call: IncomingCall, options: AnswerOptions) => Promise<void>;
  /** Answered: the call is the page's now. */
  readonly established: (call: IncomingCall) => void;
}

const NOTICES: Readonly<Partial<Record<CallEndCause, string>>> = {
  missed: "Missed call from",
  "answered-elsewhere": "Answered on another device: the call from",
  "declined-elsewhere": "Declined on another device: the call from",
};

const list = element("incoming", HTMLElement);
const template = element("incoming-call", HTMLTemplateElement);
const announcement = element("incoming-announcement", HTMLElement);
const pageTitle = document.title;
const ringTone = new RingTone();

/** Show every call that comes to `phone` until it is answered or over. */
export function watchIncoming(phone: Phone, handlers: IncomingHandlers): void {
  askForSound();
  phone.on("call", (call) => {
    const name = callerName(call.caller);
    const busy = (): boolean => phone.calls.some((other) => other.state === "established");
    const card = createCard(call, name, busy());
    const part = (role: string): HTMLElement => partOf(card, role);
    const answers: Readonly<Record<string, AnswerOptions>> = {
      answer: { video: false, instead: false },
      "answer-video": { video: true, instead: false },
      "answer-instead": { video: false, instead: true },
    };
    for (const [role, options] of Object.entries(answers)) {
      part(role).addEventListener("click", () => void handlers.answer(call, options));
    }
    part("decline").addEventListener("click", () => void call.reject());
    list.append(card);
    changed(busy());
    offerFocus(card);
    announcement.textContent = `Incoming ${call.offersVideo ? "video call" : "call"} from ${name}.`;

    call.onState((state) => {
      for (const button of card.querySelectorAll("button")) button.disabled = state !== "alerting";
      part("decline").toggleAttribute("disabled", state !== "alerting" && state !== "answering");
      if (state !== "established") return;
      card.remove();
      changed(true);
      handlers.established(call);
    });
    // It takes the place of a call the person is in: they have answered already (RFC 3891 §3).
    if (call.replaces !== undefined) void handlers.answer(call, { video: false, instead: false });
    call.on("end", (end) => {
      if (!card.isConnected) return;
      card.remove();
      changed(busy());
      showNotice(end, name);
    });
  });
}

/** Who has not touched the page yet, as after a reload, may not hear it ring. */
function askForSound(): void {
  const [title, advice] = ["The browser keeps this page silent.", "Click anywhere on it to hear calls ring."];
  void tryToRing(() => showBanner("info", title, advice));
}

function createCard(call: IncomingCall, name: string, busy: boolean): HTMLElement {
  const copy = template.content.cloneNode(true) as DocumentFragment;
  const card = copy.firstElementChild;
  if (!(card instanceof HTMLElement)) throw new Error("the page has no card for incoming calls");
  const { caller } = call;
  const address = callerAddress(caller);
  const titleId = `incoming-${crypto.randomUUID()}`;
  card.setAttribute("aria-labelledby", titleId);
  const texts: Readonly<Record<string, string>> = {
    kind: call.offersVideo ? "Incoming video call" : "Incoming call",
    name,
    address: address === name || address === undefined ? "" : address,
    verification: verificationText(caller),
    "answer-text": busy ? "Hold and answer" : "Answer",
    "video-text": busy ? "Hold, answer with video" : "Answer with video",
    avatar: /\p{L}/u.exec(name)?.[0]?.toUpperCase() ?? "#",
  };
  for (const [role, text] of Object.entries(texts)) partOf(card, role).textContent = text;
  partOf(card, "name").id = titleId;
  for (const role of ["address", "verification"]) partOf(card, role).hidden = texts[role] === "";
  card.dataset["verification"] = caller.verification ?? "";
  partOf(card, "answer-video").hidden = !call.offersVideo;
  partOf(card, "answer-instead").hidden = !busy;
  return card;
}

/** A person who types keeps the focus; Space or Enter must never answer a call by accident. */
function offerFocus(card: HTMLElement): void {
  const { activeElement } = document;
  if (activeElement instanceof HTMLInputElement && activeElement.value !== "") return;
  card.focus();
}

function changed(busy: boolean): void {
  const ringing = list.childElementCount > 0;
  list.hidden = !ringing;
  const name = list.querySelector('[data-part="name"]')?.textContent ?? "";
  document.title = ringing ? `${name} is calling` : pageTitle;
  if (ringing) {
    ringTone.start(busy ? "knock" : "ring");
    if (!busy) askForSound();
  } else {
    ringTone.stop();
    announcement.textContent = "";
  }
}

function showNotice(end: CallEnd, name: string): void {
  if (end.error !== undefined) {
    showError(end.error);
    return;
  }
  const notice = NOTICES[end.cause];
  if (notice !== undefined) showBanner("info", `${notice} ${name}.`);
}

function partOf(card: HTMLElement, role: string): HTMLElement {
  const part = card.querySelector(`[data-part="${role}"]`);
  if (!(part instanceof HTMLElement)) throw new Error(`the card for incoming calls has no "${role}"`);
  return part;
}
