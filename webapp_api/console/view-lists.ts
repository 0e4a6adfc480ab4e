/** Recorded calls, registrations and the audit log: lists that the service gives page by page. */

import type { Desk, View } from "./desk.ts";
import { h, type Child } from "./dom.ts";
import { flagOf, numberOf, textOf, type Members } from "./members.ts";
import { PagedList, type ListOptions } from "./paged-list.ts";
import { hashOf, type PageName, type Route } from "./route.ts";
import { headFrom } from "./trace.ts";
import { addressText, causeText, clockText, durationText, momentText } from "./words.ts";

const EVERY_MS = 30_000;

export function pastView(desk: Desk, route: Route): View {
  const failed = [["", "All"], ["true", "Failed or silent"], ["false", "Others"]] as const;
  return listView(desk, "Recorded calls", route, "past", {
    path: "/operator/traces",
    member: "traces",
    cursor: "after",
    filters: [
      { name: "impu", label: "Identity of the page" },
      { name: "call_id", label: "Call-ID" },
      { name: "failed", label: "Which", choices: failed },
    ],
    caption: "Recorded calls, the latest first",
    one: "call",
    columns: [{ title: "Began" }, { title: "Page" }, { title: "Other side" }, { title: "Talk" }, { title: "End" }, { title: "Gateway" }],
    cells: pastCells,
  });
}

function pastCells(entry: Members): Child[] {
  const call = headFrom(entry);
  const talk = call.answeredAt > 0 ? durationText((call.endedAt || Date.now() / 1000) - call.answeredAt) : "";
  const state = call.endedAt === 0 ? "running" : flagOf(entry, "failed") ? "failed" : "ended";
  return [
    h("a", { href: hashOf("call", { key: call.key }), "data-focus": `call ${call.key}` }, momentText(call.beganAt)),
    addressText(call.impu),
    `${call.direction === "out" ? "→" : "←"} ${addressText(call.peer)}`,
    talk,
    h("span", {}, h("span", { class: "badge", "data-state": state }, state), call.endedAt > 0 ? ` ${causeText(call)}` : ""),
    call.node,
  ];
}

export function registrationsView(desk: Desk, route: Route): View {
  return listView(desk, "Registrations", route, "registrations", {
    path: "/operator/registrations",
    member: "registrations",
    cursor: "cursor",
    filters: [{ name: "impu", label: "Identity" }, { name: "node", label: "Gateway" }],
    caption: "Pages that are registered, by identity",
    one: "registration",
    columns: [
      { title: "Identity" }, { title: "State" }, { title: "Since" }, { title: "Until" }, { title: "Address" },
      { title: "Browser" }, { title: "Gateway" }, { title: "Action" },
    ],
    cells: (entry) => registrationCells(desk, entry),
  }); // prettier-ignore
}

function registrationCells(desk: Desk, entry: Members): Child[] {
  const identity = textOf(entry, "impu");
  const end = (): void => {
    void (async () => {
      const text = `${identity} is logged out at once, with its calls. Your name goes into the audit log.`;
      if (!(await desk.confirm({ title: "End this registration?", text, yes: "End the registration" }))) return;
      await desk.ask("DELETE", `/operator/registrations/${encodeURIComponent(textOf(entry, "id"))}`);
      desk.tell("The gateway has been told to end the registration.");
    })().catch(desk.complain);
  };
  return [
    h("span", {}, addressText(identity), h("small", { class: "quiet" }, ` ${textOf(entry, "impi")}`)),
    h("span", { class: "badge", "data-state": textOf(entry, "state") }, textOf(entry, "state")),
    h("time", {}, momentText(numberOf(entry, "since"))),
    clockText(numberOf(entry, "expires_at")),
    textOf(entry, "address"),
    textOf(entry, "user_agent"),
    textOf(entry, "gateway"),
    h(
      "button",
      { type: "button", class: "danger small", "data-focus": `end ${textOf(entry, "id")}`, click: end },
      "End",
      h("span", { class: "visually-hidden" }, ` the registration of ${identity}`),
    ),
  ];
}

export function auditView(desk: Desk, route: Route): View {
  return listView(desk, "Audit log", route, "audit", {
    path: "/operator/audit",
    member: "entries",
    cursor: "cursor",
    filters: [{ name: "operator", label: "Operator" }],
    caption: "What operators changed, the latest first",
    one: "entry",
    many: "entries",
    columns: [{ title: "When" }, { title: "Operator" }, { title: "From" }, { title: "What" }, { title: "Status", isNumber: true }],
    cells: (entry) => [
      h("time", {}, momentText(numberOf(entry, "at"))),
      textOf(entry, "operator"),
      textOf(entry, "address"),
      h("span", {}, textOf(entry, "action"), h("small", { class: "quiet" }, ` ${textOf(entry, "detail")}`)),
      numberOf(entry, "status") > 0 ? textOf(entry, "status") : "",
    ],
  });
}

type OwnOptions = Omit<ListOptions, "ask" | "complain" | "onQuery" | "query">;

function listView(desk: Desk, title: string, route: Route, page: PageName, options: OwnOptions): View {
  const list = new PagedList({
    ...options,
    ask: desk.ask,
    complain: desk.complain,
    query: route.query,
    // The page is there already: the address only names what it shows.
    onQuery: (query) => history.replaceState(null, "", hashOf(page, { query })),
  });
  return { title, element: list.element, everyMs: EVERY_MS, refresh: () => list.refresh(), render: () => undefined };
}
