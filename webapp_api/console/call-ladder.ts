/** The ladder of a call: a list whose items stand in the columns page, gateway, and core or trunk. */

import { h, replaceKeepingFocus, type Child } from "./dom.ts";
import { rungsOf, type Rung } from "./ladder.ts";
import { clockText, countText, offsetText } from "./words.ts";
import type { TraceCard } from "./view-call.ts";

const KIND_TEXT = { sip: "Messages", decision: "Decisions", relay: "Relay commands", state: "States" } as const;
/** States repeat what messages do; whoever looks for a fault of the gateway wants them. */
const HIDDEN_AT_FIRST = "state";
/** More than that is not read, and a page with it does not answer. */
const MOST_TEXT = 200_000;

export function ladderCard(): TraceCard {
  const list = h("ol", { class: "ladder" });
  const open = new Set<string>();
  let shown = "";
  const kinds = Object.entries(KIND_TEXT).map(([kind, text]) => {
    const box = h("input", { type: "checkbox", checked: kind !== HIDDEN_AT_FIRST });
    const apply = (): void => void list.classList.toggle(`without-${kind}`, !box.checked);
    box.addEventListener("change", apply);
    apply();
    return h("label", {}, box, text);
  });
  const found = h("p", { class: "quiet" });
  const lanes = ["Page", "Gateway", "Core or trunk"].map((name) => h("span", {}, name));
  return {
    element: h(
      "section",
      { class: "card", "aria-labelledby": "ladder-title" },
      h("h2", { id: "ladder-title" }, "Ladder"),
      h("fieldset", { class: "choice" }, h("legend", {}, "Show"), ...kinds),
      found,
      h("div", { class: "lanes", "aria-hidden": "true" }, h("span", {}), ...lanes),
      list,
    ),
    show(trace) {
      const rungs = rungsOf(trace);
      const text = JSON.stringify(rungs);
      // Somebody may be reading: what is the same stays.
      if (text === shown) return;
      shown = text;
      const messages = rungs.filter(({ kind }) => kind === "sip").length;
      found.textContent = `${countText(messages, "message")} since ${clockText(trace.beganAt)}.`;
      replaceKeepingFocus(list, ...rungs.map((rung) => item(rung, `${rung.afterS} ${rung.spoken} ${rung.title}`, open)));
    },
  };
}

function item(rung: Rung, name: string, open: Set<string>): HTMLElement {
  const attributes = {
    "data-kind": rung.kind,
    "data-lane": rung.lane,
    "data-arrow": rung.arrow,
    ...(rung.isFailure && { "data-failure": "" }),
  };
  const time = h("time", { class: "quiet" }, offsetText(rung.afterS));
  const arrow = rung.arrow !== "" && h("span", { class: "arrow", "aria-hidden": "true" });
  const title = h("span", { class: "title" }, h("b", {}, rung.title), rung.note !== "" && h("small", {}, ` ${rung.note}`));
  const words = h("span", { class: "rung" }, h("span", { class: "visually-hidden" }, ` ${rung.spoken} `), title, arrow);
  if (rung.details.length === 0) return h("li", attributes, h("div", { class: "summary" }, time, words));
  const details = h("details", {}, h("summary", { class: "summary", "data-focus": name }, time, words));
  details.addEventListener("toggle", () => {
    if (details.open) open.add(name);
    else open.delete(name);
    // Only what somebody looks at is made.
    if (details.open && details.childElementCount === 1) details.append(...texts(rung));
  });
  details.open = open.has(name);
  return h("li", attributes, details);
}

function texts({ details }: Rung): Node[] {
  return details.flatMap(([name, text]): Child[] => [h("h3", {}, name), textBlock(text, name)]) as Node[];
}

/** A text as it is; of a huge one the beginning. */
export function textBlock(text: string, label: string): HTMLElement {
  const more = text.length - MOST_TEXT;
  const shown = more > 0 ? `${text.slice(0, MOST_TEXT)}\n… ${more} more characters` : text;
  return h("pre", { tabindex: "0", role: "region", "aria-label": label }, shown);
}
