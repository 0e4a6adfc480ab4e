/** The panel with the SIP messages of this page, for whoever looks for a fault. Secrets are masked before they get here. */

import type { Phone } from "../sdk/src/index.ts";
import { showBanner } from "./banners.ts";
import { button, element } from "./dom.ts";
import { redactSip, titleOfSip } from "./sip-redaction.ts";

const KEPT = 200;

interface Traced {
  readonly at: Date;
  readonly sent: boolean;
  readonly text: string;
}

const panel = element("sip-trace", HTMLDetailsElement);
const list = element("sip-trace-list", HTMLOListElement);

let messages: Traced[] = [];

/** Wire the panel once. */
export function initSipTrace(): void {
  panel.addEventListener("toggle", () => list.replaceChildren(...(panel.open ? messages.map(row) : [])));
  button("show-sip-trace").addEventListener("click", () => {
    panel.open = true;
    panel.querySelector("summary")?.focus();
  });
  button("copy-sip-trace").addEventListener("click", () => void copy());
}

/** Keep what `phone` sends and gets. */
export function traceSip(phone: Phone): void {
  phone.on("sip", ({ sent, text }) => {
    const message = { at: new Date(), sent, text: redactSip(text) };
    messages = [...messages, message].slice(-KEPT);
    panel.hidden = false;
    if (!panel.open) return;
    list.append(row(message));
    while (list.childElementCount > KEPT) list.firstElementChild?.remove();
  });
}

/** The next person is to see nothing of it. */
export function forgetSipTrace(): void {
  messages = [];
  panel.hidden = true;
  panel.open = false;
}

function row({ at, sent, text }: Traced): HTMLLIElement {
  const summary = document.createElement("summary");
  const arrow = document.createElement("span");
  arrow.setAttribute("aria-hidden", "true");
  arrow.textContent = sent ? "→" : "←";
  const words = document.createElement("span");
  words.className = "visually-hidden";
  words.textContent = sent ? "sent" : "received";
  summary.append(at.toISOString().slice(11, 23), " ", arrow, words, " ", titleOfSip(text));
  const message = document.createElement("pre");
  message.textContent = text;
  const details = document.createElement("details");
  details.append(summary, message);
  const item = document.createElement("li");
  item.append(details);
  return item;
}

async function copy(): Promise<void> {
  const text = messages.map(({ at, sent, text: message }) => `${at.toISOString()} ${sent ? "sent" : "received"}\n${message}`);
  try {
    await navigator.clipboard.writeText(text.join("\n\n"));
    showBanner("info", "Copied.", "Names, numbers and network addresses are in it; passwords, tokens, keys and digits are not.");
  } catch {
    showBanner("error", "The browser does not let the page copy.", "Allow the clipboard for this page, then try again.");
  }
}
