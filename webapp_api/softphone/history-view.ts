/** The list of past calls; each can be called again. */

import type { LoggedCall, Outcome } from "./call-log.ts";
import { button, element } from "./dom.ts";
import type { CallHistory } from "./history.ts";

const OUTCOME_TEXT: Readonly<Record<Outcome, string>> = {
  answered: "",
  missed: "missed",
  elsewhere: "taken on another device",
  declined: "declined",
  cancelled: "given up",
  failed: "not connected",
};

const card = element("history", HTMLDetailsElement);
const list = element("history-list", HTMLElement);
const forget = button("forget-history");
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

let shown: CallHistory | undefined;
let redial: (address: string) => void = () => undefined;

/** Wire the card once; `onRedial` puts an address into the form. */
export function initHistoryView(onRedial: (address: string) => void): void {
  redial = onRedial;
  forget.addEventListener("click", () => shown?.forget());
  window.addEventListener("storage", () => shown?.reread());
  card.addEventListener("toggle", () => {
    if (card.open) void shown?.fetch();
  });
}

/** Show `history`; nothing when undefined. */
export function showHistory(history: CallHistory | undefined): void {
  shown = history;
  const calls = history?.calls ?? [];
  list.replaceChildren(...(calls.length === 0 ? [empty()] : calls.map(row)));
  forget.hidden = calls.length === 0;
}

function empty(): HTMLElement {
  const item = document.createElement("li");
  item.textContent = "No calls yet.";
  return item;
}

function row(call: LoggedCall): HTMLElement {
  const item = document.createElement("li");
  item.dataset["outcome"] = call.outcome;
  const words = document.createElement("div");
  const name = document.createElement("strong");
  name.textContent = call.name;
  const small = document.createElement("small");
  small.textContent = describe(call);
  words.append(name, small);
  item.append(words);
  if (call.address === "") return item;
  const again = document.createElement("button");
  again.type = "button";
  again.className = "plain";
  again.textContent = "Call";
  again.setAttribute("aria-label", `Call ${call.name}`);
  again.addEventListener("click", () => redial(call.address));
  item.append(again);
  return item;
}

function describe({ direction, outcome, atMs, talkS }: LoggedCall): string {
  const parts = [direction === "out" ? "To" : "From", format.format(atMs)];
  const outcomeText = OUTCOME_TEXT[outcome];
  if (outcomeText !== "") parts.push(outcomeText);
  if (talkS > 0) parts.push(`${Math.floor(talkS / 60)} min ${talkS % 60} s`);
  return `${parts.shift() ?? ""}: ${parts.join(", ")}`;
}
