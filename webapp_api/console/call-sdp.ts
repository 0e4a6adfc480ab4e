/** Session descriptions side by side: before and after the gateway or the relay, with what differs. */

import { h, labelled } from "./dom.ts";
import { sdpDiff, type DiffRow } from "./sdp-diff.ts";
import { choiceIn, sdpOf, type CallSdp } from "./sdp-texts.ts";
import { countText } from "./words.ts";
import type { TraceCard } from "./view-call.ts";

const MARK = { same: "", changed: "≠", removed: "−", added: "+" } as const;
const SPOKEN = { same: "", changed: "changed", removed: "only before", added: "only after" } as const;
const OWN_CHOICE = "";
/** Rows that are shown; a hostile description may have any number. */
const MOST_ROWS = 1000;

export function sdpCard(): TraceCard {
  const pair = h("select", { id: "sdp-pair" });
  const before = h("select", { id: "sdp-before" });
  const after = h("select", { id: "sdp-after" });
  const count = h("p", { class: "quiet", role: "status" });
  const result = h("div", { class: "diff", tabindex: "0", role: "region", "aria-label": "Both descriptions, line by line" });
  const fields = h(
    "div",
    { class: "filters" },
    labelled("Compare", pair),
    labelled("Before", before),
    labelled("After", after),
  );
  let sdp: CallSdp = { texts: [], pairs: [] };
  const show = (): void => {
    const rows = sdpDiff(sdp.texts[Number(before.value)]?.sdp ?? "", sdp.texts[Number(after.value)]?.sdp ?? "");
    const different = rows.filter(({ kind }) => kind !== "same").length;
    const more = rows.length > MOST_ROWS ? ` Only the first ${MOST_ROWS} lines are shown.` : "";
    count.textContent = `${countText(different, "line is different", "lines are different")}.${more}`;
    result.replaceChildren(diffTable(rows.slice(0, MOST_ROWS)));
  };
  pair.addEventListener("change", () => {
    const chosen = sdp.pairs[Number(pair.value)];
    if (pair.value === OWN_CHOICE || chosen === undefined) return;
    [before.value, after.value] = [String(chosen.before), String(chosen.after)];
    show();
  });
  for (const select of [before, after]) {
    select.addEventListener("change", () => {
      pair.value = OWN_CHOICE;
      show();
    });
  }
  const none = h("p", { class: "quiet" }, "No session description was recorded.");
  return {
    element: h(
      "section",
      { class: "card", "aria-labelledby": "sdp-title" },
      h("h2", { id: "sdp-title" }, "Session descriptions"),
      none,
      fields,
      count,
      result,
    ),
    show(trace) {
      const former = sdp;
      const chosen = {
        pair: pair.value === OWN_CHOICE ? -1 : Number(pair.value),
        before: Number(before.value),
        after: Number(after.value),
      };
      const isFirst = sdp.texts.length === 0;
      const found = sdpOf(trace);
      // Somebody may be reading: what is the same stays.
      if (!isFirst && found.texts.length === sdp.texts.length) return;
      sdp = found;
      for (const part of [fields, count, result]) part.hidden = sdp.texts.length === 0;
      none.hidden = sdp.texts.length > 0;
      if (sdp.texts.length === 0) return;
      const texts = sdp.texts.map(({ label }, at) => [String(at), label] as const);
      pair.replaceChildren(...options([...sdp.pairs.map(({ label }, at) => [String(at), label] as const), [OWN_CHOICE, "Two that I choose"]]));
      before.replaceChildren(...options(texts));
      after.replaceChildren(...options(texts));
      if (isFirst) {
        const first = sdp.pairs[0];
        pair.value = first === undefined ? OWN_CHOICE : "0";
        before.value = String(first?.before ?? 0);
        after.value = String(first?.after ?? sdp.texts.length - 1);
      } else {
        const same = choiceIn(sdp, former, chosen);
        pair.value = same.pair < 0 ? OWN_CHOICE : String(same.pair);
        [before.value, after.value] = [String(same.before), String(same.after)];
      }
      show();
    },
  };
}

function options(all: readonly (readonly [string, string])[]): HTMLOptionElement[] {
  return all.map(([value, text]) => h("option", { value }, text));
}

function diffTable(rows: readonly DiffRow[]): HTMLTableElement {
  const head = ["", "Before", "After"].map((text) => h("th", { scope: "col" }, text || h("span", { class: "visually-hidden" }, "Difference")));
  return h(
    "table",
    {},
    h("caption", { class: "visually-hidden" }, "Lines before and after"),
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...rows.map(diffRow)),
  );
}

function diffRow({ kind, before, after }: DiffRow): HTMLTableRowElement {
  const mark = h("span", { "aria-hidden": "true" }, MARK[kind]);
  return h(
    "tr",
    { "data-kind": kind },
    h("td", { class: "mark" }, mark, h("span", { class: "visually-hidden" }, SPOKEN[kind])),
    h("td", {}, h("code", {}, before)),
    h("td", {}, h("code", {}, after)),
  );
}
