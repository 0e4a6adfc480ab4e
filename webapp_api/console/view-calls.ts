/** The running calls: both legs, state and quality; an operator may end them. */

import { endCall, refreshRunning, type Desk, type View } from "./desk.ts";
import { h, labelled, replaceKeepingFocus, table, type Child } from "./dom.ts";
import { textOf } from "./members.ts";
import { hashOf } from "./route.ts";
import { callFits, hearingText, type Hearing, type RunningCall } from "./running-calls.ts";
import { addressText, clockText, countText, durationText } from "./words.ts";

const EVERY_MS = 15_000;
/** Rows of the table; the filter finds the others. */
const MOST_ROWS = 200;

const COLUMNS = [
  { title: "Page" }, { title: "Core or trunk" }, { title: "Since" }, { title: "State" }, { title: "Media" },
  { title: "Quality" }, { title: "Gateway" }, { title: "Action" },
]; // prettier-ignore

const STATE_TEXT = { calling: "Calling", ringing: "Ringing", talking: "Talking" } as const;

export function callsView(desk: Desk): View {
  const filter = h("input", { id: "call-filter", type: "search", autocomplete: "off", spellcheck: "false" });
  const found = h("p", { class: "quiet", role: "status" });
  const rows = h("div", { class: "table" });
  const shown = (): RunningCall[] => desk.running.all().filter((call) => callFits(call, filter.value));
  const render = (): void => {
    const calls = shown();
    const more = calls.length > MOST_ROWS ? `, the latest ${MOST_ROWS} are shown` : "";
    const untold = desk.running.leftOut > 0 ? `; the gateways have ${desk.running.leftOut} more than they tell` : "";
    const silent = desk.running.silent.length > 0 ? `; no answer of ${desk.running.silent.join(", ")}` : "";
    const text = `${countText(calls.length, "call")}${more}${untold}${silent}`;
    if (found.textContent !== text) found.textContent = text;
    replaceKeepingFocus(rows, calls.length > 0 && table("Running calls", COLUMNS, calls.slice(0, MOST_ROWS).map((call) => cells(desk, call))));
  };
  filter.addEventListener("input", render);
  return {
    title: "Live calls",
    element: h(
      "section",
      { class: "card" },
      h("div", { class: "filters" }, labelled("Filter", filter)),
      found,
      rows,
    ),
    everyMs: EVERY_MS,
    async refresh() {
      await refreshRunning(desk);
      render();
    },
    render,
    asksAfter: (event) => textOf(event, "type") === "call_answered",
  };
}

function cells(desk: Desk, call: RunningCall): Child[] {
  const [page, peer] = [addressText(call.owner), addressText(call.peer)];
  const end = h(
    "button",
    {
      type: "button",
      class: "danger small",
      "data-focus": `end ${call.key}`,
      "aria-label": `End the call of ${page} and ${peer}`,
      click: () => void endCall(desk, call.callId, `${page} and ${peer}`).catch(desk.complain),
    },
    "End",
  );
  return [
    h("a", { href: hashOf("call", { key: call.key }), "data-focus": `call ${call.key}` }, page),
    h("span", {}, `${call.direction === "out" ? "→" : "←"} ${peer}`, call.by.startsWith("trunk:") && h("small", { class: "quiet" }, ` ${call.by.replace(":", " ")}`)),
    h("span", {}, clockText(call.since), h("small", { class: "quiet" }, ` ${durationText(Date.now() / 1000 - call.since)}`)),
    h("span", { class: "badge", "data-state": call.state }, STATE_TEXT[call.state]),
    call.kinds.join(", "),
    h("span", {}, hearingLine("Page", call.page), hearingLine(call.by.startsWith("trunk:") ? "Trunk" : "Core", call.far)),
    h("span", {}, call.gateway, call.relay !== "" && h("small", { class: "quiet" }, ` relay ${call.relay}`)),
    end,
  ];
}

function hearingLine(who: string, hearing: Hearing | undefined): Child {
  return hearing !== undefined && h("span", { class: "hearing" }, `${who}: ${hearingText(hearing) || "nothing told"}`);
}
