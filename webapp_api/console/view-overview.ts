/** The overview: how the site is now, and what failed within the last hour. */

import type { Desk, View } from "./desk.ts";
import { h, replaceWhatDiffers, table, type Child } from "./dom.ts";
import { flagOf, listOf, numberOf, textOf, textsOf, type Members } from "./members.ts";
import { barPlot } from "./plot.ts";
import { hashOf, type PageName } from "./route.ts";
import { clockText } from "./words.ts";

const EVERY_MS = 15_000;
const BARS = 8;

/** The latest answers; undefined while there was none. */
interface Known {
  nodes?: readonly Members[];
  trunks?: readonly Members[];
  status?: Members;
}

const UNKNOWN = "…";

export function overviewView(desk: Desk): View {
  const known: Known = {};
  const tiles = h("div", { class: "tiles" });
  const errors = h("section", { class: "card", "aria-labelledby": "errors-title" });
  const alarms = h("section", { class: "card", "aria-labelledby": "alarms-title" });
  return {
    title: "Overview",
    element: h("div", { class: "stack" }, tiles, h("div", { class: "columns" }, errors, alarms)),
    everyMs: EVERY_MS,
    async refresh() {
      const told = await Promise.allSettled([
        desk.ask("GET", "/operator/nodes").then((answer) => (known.nodes = listOf(answer, "nodes"))),
        desk.ask("GET", "/operator/trunks").then((answer) => (known.trunks = listOf(answer, "trunks"))),
        desk.ask("GET", "/operator/status").then((answer) => desk.counts.replace((known.status = answer))),
      ]);
      // What was told is shown, whatever else was not.
      for (const one of told) if (one.status === "rejected") throw one.reason;
    },
    render() {
      replaceWhatDiffers(tiles, ...tilesOf(desk, known));
      replaceWhatDiffers(errors, ...errorsOf(desk));
      replaceWhatDiffers(alarms, ...alarmsOf(desk, known));
    },
    // Not after each registration: to count them, all are read.
    asksAfter: (event) => textOf(event, "type").startsWith("trunk_"),
  };
}

function tilesOf(desk: Desk, { nodes, trunks, status }: Known): HTMLElement[] {
  const counts = new Map(desk.counts.byGateway());
  const gateways = listOf(status ?? {}, "gateways").map((gateway) => textOf(gateway, "gateway"));
  const byGateway = gateways.map((name) => `${name} ${counts.get(name) ?? "?"}`);
  // What a gateway that does not say has, goes on at the relays.
  const total = `${desk.counts.total ?? "?"}${gateways.some((name) => !counts.has(name)) && desk.counts.total !== undefined ? " + ?" : ""}`;
  const drained = nodes?.filter((node) => flagOf(node, "drained")).length ?? 0;
  return [
    tile("calls", "Running calls", status === undefined ? UNKNOWN : total, byGateway.join(", ")),
    tile("registrations", "Registrations", status === undefined ? UNKNOWN : String(numberOf(status, "registrations")), ""),
    tile("nodes", "Relay nodes up", nodes === undefined ? UNKNOWN : upText(nodes), drained > 0 ? `${drained} drained` : ""),
    tile("nodes", "Trunks up", trunks === undefined ? UNKNOWN : trunks.length === 0 ? "none" : upText(trunks), ""),
  ];
}

/** How many are up as one gateway at least sees them. */
function upText(parts: readonly Members[]): string {
  const up = parts.filter((part) => listOf(part, "gateways").some((one) => textOf(one, "state") === "up"));
  return `${up.length} of ${parts.length}`;
}

function tile(page: PageName, name: string, value: string, more: string): HTMLElement {
  const [label, number, small] = [h("span", { class: "quiet" }, name), h("strong", {}, value), h("small", {}, more)];
  return h("a", { class: "tile", href: hashOf(page), "data-focus": name }, label, number, small);
}

function errorsOf(desk: Desk): Child[] {
  const counts = desk.failures.counts(Date.now() / 1000);
  const title = h("h2", { id: "errors-title" }, "Failed calls of the last hour");
  const since = missingText(desk);
  if (counts.length === 0) return [title, since, noneText(desk.hasHeard, "No call has failed.")];
  const bars = counts.slice(0, BARS).map(({ cause, count }) => ({ label: cause, value: count }));
  const rows = counts.map(({ cause, count, lastAtS, lastKey }) => [
    cause,
    String(count),
    lastKey === ""
      ? clockText(lastAtS)
      : h("a", { href: hashOf("call", { key: lastKey }), "data-focus": `cause ${cause}` }, clockText(lastAtS)),
  ]);
  const columns = [{ title: "Cause" }, { title: "Calls", isNumber: true }, { title: "Last one" }];
  return [
    title,
    since,
    barPlot(`Failed calls by cause: ${counts.map(({ cause, count }) => `${cause} ${count}`).join("; ")}`, bars),
    table("Failed calls of the last hour by cause", columns, rows),
    h("p", {}, h("a", { href: hashOf("past", { query: { failed: "true" } }), "data-focus": "failed" }, "All failed calls that were recorded")),
  ];
}

function alarmsOf(desk: Desk, { status }: Known): Child[] {
  const now = textsOf(status ?? {}, "wrong").map((text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`);
  const recent = desk.alarms.recent(Date.now() / 1000);
  return [
    h("h2", { id: "alarms-title" }, "Alarms"),
    missingText(desk),
    now.length > 0 && h("ul", { class: "alarms now", "aria-label": "Now" }, ...now.map((text) => h("li", {}, text))),
    recent.length > 0 &&
      h("ul", { class: "alarms", "aria-label": "Within the last hour" }, ...recent.map((alarm) => alarmItem(alarm.atS, alarm.text))),
    now.length + recent.length === 0 && noneText(desk.hasHeard && status !== undefined, "None."),
  ];
}

/** That there is nothing is said only where it is known. */
function noneText(isKnown: boolean, text: string): Child {
  return h("p", { class: "quiet" }, isKnown ? text : "Not known yet.");
}

function missingText(desk: Desk): Child {
  const atS = desk.missedBeforeS;
  if (atS === 0) return false;
  const since = atS === Infinity ? "" : ` Those since ${clockText(atS)} are all here.`;
  return h("p", { class: "quiet" }, `There were more events than are kept: some of the last hour are missing.${since}`);
}

function alarmItem(atS: number, text: string): HTMLElement {
  return h("li", {}, h("time", { class: "quiet" }, clockText(atS)), " ", text);
}
