/** Who calls what: a form that asks which rows of the routing table fit a number, and shows what the service says. */

import { ApiError, pathWith } from "./api.ts";
import type { Desk } from "./desk.ts";
import { h, labelled, table, type Child } from "./dom.ts";
import { flagOf, listOf, numberOf, textOf, type Members } from "./members.ts";
import { rowsOf, targetText, type RoutingTable } from "./routing-words.ts";

export interface Explainer {
  readonly desk: Desk;
  /** The table that is shown, to say where the rows lead. */
  readonly known: () => RoutingTable | undefined;
  /** Another table counts than the one that is shown. */
  readonly onOther: () => Promise<void>;
}

export function explainForm({ desk, known, onOther }: Explainer): HTMLElement {
  const text = (id: string, more: Record<string, boolean> = {}): HTMLInputElement =>
    h("input", { id, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...more });
  const number = text("explain-number", { required: true });
  const realm = text("explain-realm");
  const userClass = text("explain-class");
  const said = h("p", { id: "explain-said", role: "status" });
  const rows = h("div", { id: "explain-rows", class: "table" });
  let asked = 0;
  const ask = async (): Promise<void> => {
    asked += 1;
    const mine = asked;
    const query = { number: number.value.trim(), realm: realm.value.trim(), class: userClass.value.trim() };
    const show = (sentence: string, made?: Child): void => {
      if (mine !== asked) return;
      said.textContent = sentence;
      rows.replaceChildren(...(made ? [made] : []));
    };
    try {
      const told = await desk.ask("GET", pathWith("/operator/routes/explain", query));
      if (known()?.version !== numberOf(told, "version")) await onOther();
      show(sentenceOf(query.number, told), rowsTable(told, known()));
    } catch (error) {
      // That a number cannot be called, or that there is no table, is an answer.
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      show(error.message);
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    void ask().catch(desk.complain);
  };
  return h(
    "section",
    { class: "card", "aria-labelledby": "explain-title" },
    h("h2", { id: "explain-title" }, "Who calls what"),
    h(
      "form",
      { id: "explain", class: "filters", submit },
      labelled("Number or address, as dialled", number),
      labelled("Realm, or empty: that of the web login", realm),
      labelled("Class of the caller, or empty", userClass),
      h("button", { type: "submit", class: "primary" }, "Explain"),
    ),
    said,
    rows,
  );
}

function sentenceOf(dialled: string, told: Members): string {
  if (flagOf(told, "emergency")) return `${dialled} is for emergencies: the gateways' setting gateway_emergency says what becomes of it.`;
  const looked = `${dialled} is looked up as ${textOf(told, "number")}.`;
  const user = textOf(told, "user");
  const home =
    user === "" ? "" : ` Without an IMS core: to the pages of ${user}, by no trunk; rows that refuse, limits and denied numbers count, rates do not.`;
  if (listOf(told, "rows").length === 0) return `${looked} No row fits: the caller gets 404.${home}`;
  const [denied, limits] = [textOf(told, "denied"), textOf(told, "limits")];
  const may = denied === "" ? "the caller's class may call it" : `denied: ${denied}`;
  return `${looked} Rates: ${textOf(told, "cost")}; ${may}. ${limits === "" ? "" : `Limits: ${limits}.`}`.trim() + home;
}

function rowsTable(told: Members, known: RoutingTable | undefined): Child {
  const verdicts = listOf(told, "rows");
  if (verdicts.length === 0) return undefined;
  const byId = new Map(known?.version === numberOf(told, "version") ? rowsOf(known).map((row) => [textOf(row, "id"), row]) : []);
  const columns = [{ title: "Row" }, { title: "Number" }, { title: "Goes to" }, { title: "What becomes of it" }];
  const cells = verdicts.map((verdict) => {
    const row = byId.get(textOf(verdict, "id"));
    return [textOf(verdict, "id"), row && textOf(row, "number"), row && targetText(row), textOf(verdict, "why")];
  });
  return table("Rows that fit the number, those that win first", columns, cells);
}
