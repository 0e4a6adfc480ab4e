/** One call: the verdicts, its ladder, session descriptions, relay commands and media quality. */

import { ApiError, type Ask } from "./api.ts";
import { endCall, type Desk, type View } from "./desk.ts";
import { h, replaceKeepingFocus, type Child } from "./dom.ts";
import { ladderCard } from "./call-ladder.ts";
import { qualityCard, relayCard } from "./call-media.ts";
import { sdpCard } from "./call-sdp.ts";
import { textOf, type Members } from "./members.ts";
import { traceFrom, tracePath, type Trace, type Verdict } from "./trace.ts";
import { addressText, countText, durationText, endText, momentText } from "./words.ts";

const EVERY_MS = 10_000;
const FIRST_ATTEMPTS = 6;
const BETWEEN_MS = 1000;
const GRAVITY_TEXT = { cause: "Cause", trouble: "Trouble", note: "Note" } as const;

/** A part of the page that shows the trace anew, and keeps what somebody has opened or chosen. */
export interface TraceCard {
  readonly element: HTMLElement;
  readonly show: (trace: Trace) => void;
}

export function callView(desk: Desk, key: string): View {
  const head = h("section", { class: "card", "aria-labelledby": "call-title" });
  const verdicts = h("section", { class: "card", "aria-labelledby": "verdicts-title" });
  const cards = [ladderCard(), sdpCard(), qualityCard(), relayCard()];
  let shown = "";
  let attempts = FIRST_ATTEMPTS;
  return {
    title: "Call",
    element: h("div", { class: "stack" }, head, verdicts, ...cards.map((card) => card.element)),
    everyMs: EVERY_MS,
    async refresh() {
      const document = await traceOf(desk.ask, key, attempts).finally(() => {
        attempts = 1;
      });
      const text = JSON.stringify(document);
      // An ended call changes no more: whoever reads or selects there is not disturbed.
      if (text === shown) return;
      shown = text;
      const trace = traceFrom(document);
      replaceKeepingFocus(head, ...headOf(desk, trace));
      verdicts.replaceChildren(...verdictsOf(trace));
      for (const card of cards) card.show(trace);
    },
    render: () => undefined,
    asksAfter: (event) => textOf(event, "key") === key,
  };
}

/** What a call did is kept a moment later: of one that has just begun there may be no trace yet. */
async function traceOf(ask: Ask, key: string, attempts: number): Promise<Members> {
  try {
    return await ask("GET", tracePath(key));
  } catch (error) {
    if (attempts <= 1 || !(error instanceof ApiError) || error.status !== 404) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
  return traceOf(ask, key, attempts - 1);
}

function headOf(desk: Desk, trace: Trace): Child[] {
  const who = `${addressText(trace.impu)} ${trace.direction === "out" ? "→" : "←"} ${addressText(trace.peer)}`;
  const running = trace.endedAt === 0;
  const talk = trace.answeredAt > 0 ? durationText((trace.endedAt || Date.now() / 1000) - trace.answeredAt) : "not answered";
  const facts: readonly (readonly [string, string])[] = [
    ["Began", momentText(trace.beganAt)],
    ["Talk", talk],
    ["Call-ID", trace.callId],
    ["Gateway", trace.node],
    ["Media relay", trace.relay || "none"],
    ["Recorded", `${countText(trace.entries.length, "entry", "entries")}${trace.leftOut > 0 ? `, ${trace.leftOut} left out` : ""}`],
  ];
  const click = (): void => void endCall(desk, trace.callId, who).catch(desk.complain);
  return [
    h("h2", { id: "call-title" }, who),
    h("p", {}, running ? h("span", { class: "badge", "data-state": "talking" }, "Running") : endText(trace)),
    h("dl", { class: "facts" }, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    ...(running ? [h("button", { type: "button", class: "danger", id: "end-call", "data-focus": "end", click }, "End the call")] : []),
  ];
}

function verdictsOf({ verdicts, endedAt }: Trace): Node[] {
  const none = endedAt === 0 ? "Nothing is wrong so far." : "Nothing wrong was found.";
  return [
    h("h2", { id: "verdicts-title" }, "Verdict"),
    verdicts.length === 0 ? h("p", { class: "quiet" }, none) : h("ul", { class: "verdicts" }, ...verdicts.map(verdictItem)),
  ];
}

function verdictItem({ code, gravity, says, because, advice }: Verdict): HTMLElement {
  return h(
    "li",
    { "data-gravity": gravity, "data-code": code },
    h("p", {}, h("span", { class: "badge", "data-gravity": gravity }, GRAVITY_TEXT[gravity]), " ", h("strong", {}, says)),
    because.length > 0 && h("ul", { class: "because" }, ...because.map((line) => h("li", {}, line))),
    advice !== "" && h("p", {}, h("b", {}, "What to do: "), advice),
    h("p", { class: "quiet" }, h("code", {}, code)),
  );
}
