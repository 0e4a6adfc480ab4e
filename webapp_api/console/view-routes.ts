/** Where calls go: the routing table with its dial plans and permissions, and who calls what. */

import type { Desk, View } from "./desk.ts";
import { h, table, type Child, type Column } from "./dom.ts";
import { membersOf, numberOf, textOf, textsOf, type Members } from "./members.ts";
import { PagedList, pageOfEntries } from "./paged-list.ts";
import { hashOf, type Route } from "./route.ts";
import { explainForm } from "./routing-explain.ts";
import { loadForm } from "./routing-load.ts";
import {
  alarmsText, anyText, classText, hoursText, isNone, limitsText, partsOf, ratesText, rowsOf, shortCodesText, tableFrom, targetText, versionText, WITHOUT_TABLE,
  type RoutingTable,
} from "./routing-words.ts"; // prettier-ignore

const EVERY_MS = 60_000;
/** A larger table, which may have a million rows, is read again only when the operator wants it. */
const MOST_READ_AGAIN = 2000;

export function routesView(desk: Desk, route: Route): View {
  let known: RoutingTable | undefined;
  const list = rowsList(desk, route, () => known);
  const version = h("p", { id: "table-version", role: "status" });
  const rest = h("div", { class: "stack" });
  const rows = h("div", { id: "rows", hidden: true }, h("h2", { class: "visually-hidden" }, "Rows"), list.element);
  const render = (): void => {
    if (known === undefined) return;
    const text = `${versionText(known)}${isNone(known) ? ` ${WITHOUT_TABLE}` : ""}`;
    if (version.textContent !== text) version.textContent = text;
  };
  let asked = 0;
  let taken = 0;
  const take = async (answer: Members, mine = (asked += 1)): Promise<RoutingTable> => {
    const [before, table] = [known?.version, tableFrom(answer)];
    [known, taken] = [table, mine];
    if (table.version !== before) rest.replaceChildren(...partsCards(table));
    await list.refresh();
    rows.hidden = another.hidden = false;
    render();
    return table;
  };
  const read = async (): Promise<RoutingTable> => {
    asked += 1;
    const mine = asked;
    const answer = await desk.ask("GET", "/operator/routes");
    // What was asked before a table was loaded, or before another reading, may be answered with the one it has replaced.
    return known !== undefined && mine < taken ? known : take(answer, mine);
  };
  const refresh = async (): Promise<void> => {
    if (known === undefined || rowsOf(known).length <= MOST_READ_AGAIN) await read();
  };
  const again = h("button", { type: "button", click: () => void read().catch(desk.complain) }, "Read the table again");
  const loader = h("section", { class: "card", "aria-labelledby": "load-title", hidden: true });
  let isOpen = false;
  const done = (text: string): void => {
    isOpen = false;
    loader.hidden = true;
    loader.replaceChildren();
    if (text !== "") desk.tell(text);
    another.focus();
  };
  const open = (): void => {
    if (known === undefined) return;
    if (isOpen) return loader.querySelector("textarea")?.focus(); // what was written stays
    isOpen = true;
    loader.hidden = false;
    loader.replaceChildren(...loadForm({ desk, table: known, read, take, done }));
    loader.querySelector("textarea")?.focus();
  };
  const another = h("button", { type: "button", hidden: true, click: open }, "Load another table");
  return {
    title: "Routes",
    element: h(
      "div",
      { class: "stack" },
      h("section", { class: "card", "aria-label": "The table that counts" }, version, h("div", { class: "actions" }, another, again)),
      loader,
      explainForm({ desk, known: () => known, onOther: refresh }),
      rows,
      rest,
    ),
    everyMs: EVERY_MS,
    refresh,
    render,
  };
}

/** The rows, page by page like other lists, but out of the table that is known as a whole. */
function rowsList(desk: Desk, route: Route, known: () => RoutingTable | undefined): PagedList {
  return new PagedList({
    ask: (_method, path) => Promise.resolve(pageOf(known(), new URLSearchParams(path.split("?")[1]))),
    complain: desk.complain,
    query: route.query,
    onQuery: (query) => history.replaceState(null, "", hashOf("routes", { query })),
    path: "",
    member: "rows",
    cursor: "cursor",
    filters: [
      { name: "text", label: "Part of name, number, target" },
      { name: "realm", label: "Realm" },
      { name: "class", label: "Class" },
    ],
    caption: "Rows of the routing table, in its order",
    one: "row",
    columns: [
      { title: "#", isNumber: true }, { title: "Row" }, { title: "Realm" }, { title: "Class" }, { title: "Number" },
      { title: "Hours" }, { title: "Goes to" }, { title: "Priority", isNumber: true }, { title: "Weight", isNumber: true },
    ],
    cells: (row) => [
      textOf(row, "position"), textOf(row, "id"), anyText(textOf(row, "realm")), anyText(textOf(row, "user_class")),
      textOf(row, "number"), hoursText(row), targetText(row), textOf(row, "priority"), textOf(row, "weight"),
    ],
  }); // prettier-ignore
}

/** The rows that a query asks for, each with its position, as the service would give them. */
export function pageOf(known: RoutingTable | undefined, query: URLSearchParams): Members {
  const has = (text: string, name: string): boolean => text.toLowerCase().includes((query.get(name) ?? "").toLowerCase());
  const rows = known === undefined ? [] : rowsOf(known);
  const fitting = rows
    .map((row, at): Members => ({ ...row, position: at + 1 }))
    .filter((row) => has(`${textOf(row, "id")} ${textOf(row, "number")} ${textOf(row, "name")} ${targetText(row)}`, "text"))
    .filter((row) => has(anyText(textOf(row, "realm")), "realm") && has(anyText(textOf(row, "user_class")), "class"));
  return pageOfEntries("rows", fitting, query.get("cursor") ?? "");
}

function partsCards(known: RoutingTable): HTMLElement[] {
  const named = [
    ...partsTexts(known, "trunk_groups").map((group) => ["Trunks", ...group]),
    ...partsTexts(known, "conferences").map((one) => ["Conference", ...one]),
    ...textsOf(known.document, "profiles").map((name) => ["Media profile", name, ""]),
  ];
  return [
    card(
      "permissions-title",
      "Who may call what",
      [{ title: "Class" }, { title: "Kinds of rates" }, { title: "Also" }, { title: "Never" }, { title: "Limits of a user" }, { title: "Alarms" }],
      partsOf(known, "permissions").map(([name, one]) => [
        classText(name), ratesText(one), textsOf(one, "allowed").join(", "), textsOf(one, "denied").join(", "), limitsText(one), alarmsText(one),
      ]), // prettier-ignore
    ),
    card(
      "plans-title",
      "Dial plans",
      [
        { title: "Realm" }, { title: "Country" }, { title: "Area code" }, { title: "Trunk prefix" }, { title: "For a line" },
        { title: "Extensions" }, { title: "Short codes" },
      ], // prettier-ignore
      partsOf(known, "plans").map(([realm, plan]) => [
        realm, textOf(plan, "country"), textOf(plan, "area_code"), textOf(plan, "trunk_prefix"), textOf(plan, "outside"),
        numberOf(plan, "extension_digits") > 0 ? `to ${numberOf(plan, "extension_digits")} digits` : "none", shortCodesText(plan),
      ]), // prettier-ignore
    ),
    card("named-title", "What rows may name", [{ title: "What" }, { title: "Name" }, { title: "Is" }], named),
  ];
}

function partsTexts(known: RoutingTable, name: string): [string, string][] {
  const parts = membersOf(known.document[name]);
  return Object.keys(parts).map((key) => [key, textsOf(parts, key).join(", then ") || textOf(parts, key)]);
}

function card(id: string, title: string, columns: readonly Column[], rows: readonly (readonly Child[])[]): HTMLElement {
  const none = h("p", { class: "quiet" }, "None.");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), rows.length === 0 ? none : table(title, columns, rows));
}
