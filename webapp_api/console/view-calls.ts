/** The running calls: both legs, state and quality; an operator may end them. */

import { endCall, type Desk, type View } from "./desk.ts";
import { h, type Child } from "./dom.ts";
import { membersOf, numberOf, textOf, textsOf, type Members } from "./members.ts";
import { PagedList } from "./paged-list.ts";
import { hashOf, type Route } from "./route.ts";
import { callsAfter, hearingOf, hearingText, isLaterThan, STATE_OF_DIALOG, type Hearing } from "./running-calls.ts";
import { addressText, clockText, durationText } from "./words.ts";

const EVERY_MS = 15_000;
const ROWS = "50";

const COLUMNS = [
  { title: "Page" }, { title: "Core or trunk" }, { title: "Since" }, { title: "State" }, { title: "Media" },
  { title: "Quality" }, { title: "Gateway" }, { title: "Action" },
]; // prettier-ignore
const FILTERS = [
  { name: "party", label: "Either side" },
  { name: "dialog", label: "State", choices: [["", "All"], ["none", "Calling"], ["early", "Ringing"], ["confirmed", "Talking"]] },
  { name: "direction", label: "Direction", choices: [["", "Both"], ["out", "From the page"], ["in", "To the page"]] },
  { name: "older_s", label: "Older than", choices: [["", "Any age"], ["60", "1 minute"], ["600", "10 minutes"], ["3600", "1 hour"], ["14400", "4 hours"]] },
  { name: "trunk", label: "Trunk" },
  { name: "gateway", label: "Gateway" },
  { name: "node", label: "Relay node" },
] as const; // prettier-ignore

const STATE_TEXT = { calling: "Calling", ringing: "Ringing", talking: "Talking" } as const;

export function callsView(desk: Desk, route: Route): View {
  const list = new PagedList({
    path: "/operator/calls",
    member: "calls",
    cursor: "cursor",
    limit: ROWS,
    filters: FILTERS,
    caption: "Running calls, the latest first",
    one: "call",
    columns: COLUMNS,
    cells: (call) => cells(desk, call),
    key: (call) => textOf(call, "key"),
    remark: (answer) => textsOf(answer, "silent").map((gateway) => `; no answer of ${gateway}`).join(""),
    after: callsAfter,
    isLater: isLaterThan,
    ask: desk.ask,
    complain: desk.complain,
    query: route.query,
    onQuery: (query) => history.replaceState(null, "", hashOf("calls", { query })),
  });
  return {
    title: "Live calls",
    element: list.element,
    everyMs: EVERY_MS,
    refresh: () => list.refresh(),
    render: () => list.render(),
    take: (event) => list.take(event),
    // Only the gateways know whether a call fits, and what media an answered one has.
    asksAfter: (event) => ["call_answered", ...(list.isBeginning ? [] : ["call_started"])].includes(textOf(event, "type")),
  };
}

function cells(desk: Desk, call: Members): Child[] {
  const [page, peer] = [addressText(textOf(call, "owner")), addressText(textOf(call, "peer"))];
  const [key, since, relay] = [textOf(call, "key"), numberOf(call, "since"), textOf(call, "node")];
  const [near, far] = [membersOf(call["page"]), membersOf(call["far"])];
  const trunk = textOf(far, "by").startsWith("trunk:") && textOf(far, "by").replace(":", " ");
  const state = STATE_OF_DIALOG[textOf(call, "dialog")] ?? "calling";
  const end = h(
    "button",
    {
      type: "button",
      class: "danger small",
      "data-focus": `end ${key}`,
      "aria-label": `End the call of ${page} and ${peer}`,
      click: () => void endCall(desk, textOf(call, "call_id"), `${page} and ${peer}`).catch(desk.complain),
    },
    "End",
  );
  return [
    h("a", { href: hashOf("call", { key }), "data-focus": `call ${key}` }, page),
    h("span", {}, `${textOf(call, "direction") === "out" ? "→" : "←"} ${peer}`, trunk && h("small", { class: "quiet" }, ` ${trunk}`)),
    h("span", {}, clockText(since), h("small", { class: "quiet" }, ` ${durationText(Date.now() / 1000 - since)}`)),
    h("span", { class: "badge", "data-state": state }, STATE_TEXT[state]),
    textsOf(call, "kinds").join(", "),
    h("span", {}, hearingLine("Page", hearingOf(near)), hearingLine(trunk === false ? "Core" : "Trunk", hearingOf(far))),
    h("span", {}, textOf(call, "gateway"), relay !== "" && h("small", { class: "quiet" }, ` relay ${relay}`)),
    end,
  ];
}

function hearingLine(who: string, hearing: Hearing | undefined): Child {
  return hearing !== undefined && h("span", { class: "hearing" }, `${who}: ${hearingText(hearing) || "nothing told"}`);
}
