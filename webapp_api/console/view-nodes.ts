/** Relay nodes with draining, trunks, and what the gateways counted. */

import type { Desk, View } from "./desk.ts";
import { h, replaceWhatDiffers, table, type Child } from "./dom.ts";
import { flagOf, listOf, membersOf, numberOf, numberOrNone, textOf, type Members } from "./members.ts";
import { clockText } from "./words.ts";

const EVERY_MS = 5000;

export function nodesView(desk: Desk): View {
  let known: readonly [Members[], Members[], Members[]] | undefined;
  const areas = { nodes: card("nodes-title"), trunks: card("trunks-title"), counters: card("counters-title") };
  const render = (): void => {
    if (known === undefined) return;
    const [nodes, trunks, counters] = known;
    replaceWhatDiffers(areas.nodes, h("h2", { id: "nodes-title" }, "Relay nodes"), ...nodesOf(nodes, drain));
    replaceWhatDiffers(areas.trunks, h("h2", { id: "trunks-title" }, "Trunks"), ...trunksOf(trunks));
    replaceWhatDiffers(areas.counters, h("h2", { id: "counters-title" }, "Counted since each gateway's start"), ...countersOf(counters));
  };
  const refresh = async (): Promise<void> => {
    const told = await Promise.all([
      desk.ask("GET", "/operator/nodes"),
      desk.ask("GET", "/operator/trunks"),
      desk.ask("GET", "/operator/counters"),
    ]);
    known = [listOf(told[0], "nodes"), listOf(told[1], "trunks"), listOf(told[2], "gateways")];
  };
  const drain = (node: string, on: boolean): void => {
    void (async () => {
      const text = "It gets no new calls; those it has go on. It can be taken back at any time.";
      if (on && !(await desk.confirm({ title: `Drain ${node}?`, text, yes: "Drain" }))) return;
      await desk.ask("PUT", `/operator/nodes/${encodeURIComponent(node)}`, { drain: on });
      desk.tell(on ? `${node} gets no new calls.` : `${node} gets new calls again.`);
      await refresh();
      render();
    })().catch(desk.complain);
  };
  return {
    title: "Nodes and trunks",
    element: h("div", { class: "stack" }, areas.nodes, areas.trunks, areas.counters),
    everyMs: EVERY_MS,
    refresh,
    render,
    asksAfter: (event) => textOf(event, "type").startsWith("trunk_"),
  };
}

function card(labelledBy: string): HTMLElement {
  return h("section", { class: "card", "aria-labelledby": labelledBy });
}

function nodesOf(nodes: readonly Members[], drain: (node: string, on: boolean) => void): Child[] {
  if (nodes.length === 0) return [h("p", { class: "quiet" }, "No gateway has told of any.")];
  const columns = [{ title: "Node" }, { title: "State" }, { title: "Calls", isNumber: true }, { title: "Version" }, { title: "New calls" }, { title: "Action" }];
  const rows = nodes.map((node) => {
    const [name, drained] = [textOf(node, "node"), flagOf(node, "drained")];
    const seen = listOf(node, "gateways");
    return [
      name,
      lines(seen.map((one) => badge(textOf(one, "state"), ` ${textOf(one, "gateway")}${flagOf(one, "broken") ? ", left alone for a moment" : ""}`))),
      callsText(seen),
      [...new Set(seen.map((one) => textOf(one, "version")).filter((text) => text !== ""))].join(", "),
      drained ? "No, drained" : "Yes",
      h(
        "button",
        { type: "button", class: "small", "data-focus": `drain ${name}`, click: () => drain(name, !drained) },
        drained ? "Take back" : "Drain",
        h("span", { class: "visually-hidden" }, ` ${name}`),
      ),
    ];
  });
  return [table("Relay nodes", columns, rows)];
}

/** The most that a gateway says; "?": none has a media agent, which alone knows. */
function callsText(seen: readonly Members[]): string {
  const told = seen.map((one) => numberOrNone(one["calls"])).filter((calls) => calls !== undefined);
  return told.length === 0 ? "?" : String(Math.max(...told));
}

function trunksOf(trunks: readonly Members[]): Child[] {
  if (trunks.length === 0) return [h("p", { class: "quiet" }, "There is none.")];
  const columns = [{ title: "Trunk" }, { title: "Gateway" }, { title: "State" }, { title: "Registration" }, { title: "Calls", isNumber: true }, { title: "Next hops" }];
  const rows = trunks.flatMap((trunk) =>
    listOf(trunk, "gateways").map((one) => {
      const most = numberOf(trunk, "most_calls");
      const why = textOf(one, "why");
      return [
        textOf(trunk, "trunk"),
        textOf(one, "gateway"),
        badge(textOf(one, "state"), numberOf(one, "since") > 0 ? ` since ${clockText(numberOf(one, "since"))}` : ""),
        `${textOf(one, "registration") || "none"}${why === "" ? "" : `: ${why}`}`,
        `${numberOf(one, "calls")}${most > 0 ? ` of ${most}` : ""}`,
        lines(listOf(one, "hops").map((hop) => badge(textOf(hop, "state"), ` ${textOf(hop, "uri")} ${textOf(hop, "why")}`))),
      ];
    }),
  );
  return [table("Trunks", columns, rows)];
}

function countersOf(gateways: readonly Members[]): Child[] {
  const names = [...new Set(gateways.flatMap((one) => Object.keys(membersOf(one["counters"]))))].sort();
  if (names.length === 0) return [h("p", { class: "quiet" }, "Nothing yet.")];
  const columns = [{ title: "What" }, ...gateways.map((one) => ({ title: textOf(one, "gateway"), isNumber: true }))];
  const rows = names.map((name) => [name, ...gateways.map((one) => String(numberOf(membersOf(one["counters"]), name)))]);
  return [table("Counters of the gateways", columns, rows)];
}

function badge(state: string, more: string): HTMLElement {
  return h("span", {}, h("span", { class: "badge", "data-state": state }, state), more);
}

function lines(items: readonly HTMLElement[]): HTMLElement {
  return h("div", {}, ...items.map((item) => h("div", {}, item)));
}
