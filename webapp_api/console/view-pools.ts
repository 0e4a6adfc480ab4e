/** Identities that guests lease: how many are out, who has which, and the end of a lease. */

import type { Desk, View } from "./desk.ts";
import { h, replaceWhatDiffers, table, type Child } from "./dom.ts";
import { flagOf, listOf, numberOf, textOf, textsOf, type Members } from "./members.ts";
import { PagedList, pageOfEntries } from "./paged-list.ts";
import { hashOf, type Route } from "./route.ts";
import { addressText, momentText } from "./words.ts";

const EVERY_MS = 15_000;
const STATES = [["", "All"], ["held", "Held"], ["settling", "Settling"], ["free", "Free"]] as const;

export function poolsView(desk: Desk, route: Route): View {
  const pools = h("section", { class: "card", "aria-labelledby": "pools-title" });
  const identities = h("div", { id: "identities", hidden: true });
  const list = new PagedList({
    ask: async (method, path) => {
      const known = listOf(await desk.ask(method, "/operator/pools"), "pools");
      replaceWhatDiffers(pools, h("h2", { id: "pools-title" }, "Pools"), ...poolsOf(known));
      identities.hidden = known.length === 0;
      return pageOf(known, new URLSearchParams(path.split("?")[1]));
    },
    complain: desk.complain,
    query: route.query,
    onQuery: (query) => history.replaceState(null, "", hashOf("pools", { query })),
    path: "",
    member: "identities",
    cursor: "cursor",
    filters: [{ name: "text", label: "Part of identity or session" }, { name: "state", label: "State", choices: STATES }],
    caption: "Identities of the pools",
    one: "identity",
    many: "identities",
    columns: [
      { title: "Identity" }, { title: "Public identities" }, { title: "State" }, { title: "Since" }, { title: "Free by itself" },
      { title: "Session" }, { title: "Action" },
    ],
    cells: (entry) => identityCells(entry, () => void end(entry).catch(desk.complain)),
    key: (entry) => `${textOf(entry, "pool")} ${textOf(entry, "impi")}`,
  }); // prettier-ignore
  identities.append(h("h2", { class: "visually-hidden" }, "Identities"), list.element);
  const end = async (entry: Members): Promise<void> => {
    const impi = textOf(entry, "impi");
    const text = `Whoever holds ${impi} is logged out at once, with registration and calls. Your name goes into the audit log.`;
    if (!(await desk.confirm({ title: "End this lease?", text, yes: "End the lease" }))) return;
    await desk.ask("DELETE", `/operator/pools/${encodeURIComponent(textOf(entry, "pool"))}/leases/${encodeURIComponent(impi)}`);
    desk.tell(`The lease of ${impi} has ended. The identity is free once it has settled.`);
    await list.refresh();
  };
  return { title: "Pools", element: h("div", { class: "stack" }, pools, identities), everyMs: EVERY_MS, refresh: () => list.refresh(), render: () => undefined };
}

function poolsOf(pools: readonly Members[]): Child[] {
  const whence = "Which identities there are is a setting of the web service, webapp_api_identity_pool.";
  if (pools.length === 0) return [h("p", { class: "quiet" }, `There is none. ${whence}`)];
  const columns = [
    { title: "Pool" }, { title: "Offered" }, { title: "Identities", isNumber: true }, { title: "Leased", isNumber: true },
    { title: "Settling", isNumber: true }, { title: "Free", isNumber: true },
  ]; // prettier-ignore
  const rows = pools.map((pool) => {
    const states = listOf(pool, "identities").map((one) => textOf(one, "state"));
    const count = (state: string): string => String(states.filter((one) => one === state).length);
    return [textOf(pool, "pool"), flagOf(pool, "offered") ? "Yes" : "No", String(states.length), count("held"), count("settling"), textOf(pool, "free")];
  });
  return [table("Pools of identities", columns, rows), h("p", { class: "quiet" }, whence)];
}

/** The identities of all pools that a query asks for, as the service would give them. */
function pageOf(pools: readonly Members[], query: URLSearchParams): Members {
  const [text, state] = [(query.get("text") ?? "").toLowerCase(), query.get("state") ?? ""];
  const all = pools.flatMap((pool) => listOf(pool, "identities").map((one): Members => ({ ...one, pool: textOf(pool, "pool") })));
  const fitting = all.filter((one) => {
    const texts = [textOf(one, "impi"), ...textsOf(one, "impus"), textOf(one, "session")].join(" ").toLowerCase();
    return texts.includes(text) && (state === "" || textOf(one, "state") === state);
  });
  return pageOfEntries("identities", fitting, query.get("cursor") ?? "");
}

function identityCells(entry: Members, end: () => void): Child[] {
  const [impi, state] = [textOf(entry, "impi"), textOf(entry, "state")];
  return [
    impi,
    textsOf(entry, "impus").map(addressText).join(", "),
    h("span", { class: "badge", "data-state": state }, state),
    h("time", {}, momentText(numberOf(entry, "since"))),
    h("time", {}, momentText(numberOf(entry, "ends_at"))),
    textOf(entry, "session"),
    state === "held" &&
      h(
        "button",
        { type: "button", class: "danger small", "data-focus": `end ${impi}`, click: end },
        "End",
        h("span", { class: "visually-hidden" }, ` the lease of ${impi}`),
      ),
  ];
}
