/** A form that makes another routing table the one that counts. */

import { ApiError } from "./api.ts";
import type { Desk } from "./desk.ts";
import { h } from "./dom.ts";
import { membersOf, type Members } from "./members.ts";
import { faultOf, problemsOf, textOfTable, type Problem } from "./routing-text.ts";
import { isNone, rowsOf, versionText, WITHOUT_TABLE, type RoutingTable } from "./routing-words.ts";
import { countText } from "./words.ts";

/** What the service takes; larger tables are loaded by command. */
const MOST_BYTES = 4 << 20;
const MOST_ROWS = 20_000;
const TOO_LARGE = "This table is too large for the web: load it by command, gwctl routes load FILE.";
const NO_PLAN = "Other numbers, as people dial them, get 404 until the realm has a dial plan (plans).";
const FIRST_TABLE: Members = { routes: [{ id: "all", number: "*", to: "core" }] };

export interface Loading {
  readonly desk: Desk;
  /** The table that is shown when the form is opened. */
  readonly table: RoutingTable;
  /** Read the table that counts now, and show it. */
  readonly read: () => Promise<RoutingTable>;
  /** Show the table that the service has answered with. */
  readonly take: (answer: Members) => Promise<RoutingTable>;
  /** The form is done with: "" without a change. */
  readonly done: (text: string) => void;
}

export function loadForm({ desk, table, read, take, done }: Loading): HTMLElement[] {
  let seen = table;
  let isBusy = false;
  const area = h("textarea", { id: "table-text", autocapitalize: "none", autocomplete: "off", spellcheck: "false", "aria-describedby": "table-problems" });
  const problems = h("div", { id: "table-problems", role: "alert" });
  const show = (intro: string, found: readonly Problem[] = []): void => {
    const items = found.map((problem) => h("li", {}, problem.text, ...problem.lines.map((line) => lineButton(area, line))));
    problems.replaceChildren(...(intro === "" ? [] : [h("p", { class: "error-text" }, intro)]), ...(items.length === 0 ? [] : [h("ul", {}, ...items)]));
  };
  // A browser tells of no change when the same file is chosen again, which may have been corrected meanwhile.
  const forget = (): void => {
    file.value = "";
  };
  const file = h("input", {
    id: "table-file",
    type: "file",
    accept: ".json,application/json",
    click: forget,
    drop: forget,
    change: () => {
      const chosen = file.files?.[0];
      if (chosen === undefined) return;
      if (chosen.size > MOST_BYTES) return show(TOO_LARGE);
      show("");
      chosen.text().then(
        (text) => {
          area.value = text;
        },
        () => show("This file cannot be read."),
      );
    },
  });
  const refused = async (error: unknown, text: string): Promise<void> => {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 422) show("The table is not loaded, and the one that counted stays. What is wrong, ten things at most:", problemsOf(error.message, text));
    else if (error.status === 413) show(TOO_LARGE);
    else if (error.status === 412) {
      const before = seen.version;
      seen = await read();
      show(
        `Nothing was loaded now: version ${before} has been replaced meanwhile, by somebody else, or by yourself if an answer got lost. ` +
          `${versionText(seen)} It is shown below; your text stays here. Take over what has changed, and load it again: it then takes ` +
          "the place of that version.",
      );
    } else throw error;
  };
  const load = async (): Promise<void> => {
    const text = area.value;
    const fault = faultOf(text);
    if (fault !== undefined) return show("The table is not loaded.", [fault]);
    const document = membersOf(JSON.parse(text));
    if (!(await desk.confirm({ title: "Replace the routing table?", text: questionOf(seen, document), yes: "Replace it" }))) return;
    show("");
    try {
      const loaded = await take(await desk.ask("PUT", "/operator/routes", document, { "if-match": `"${seen.version}"` }));
      done(`The table is loaded. ${versionText(loaded)}`);
    } catch (error) {
      await refused(error, text);
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    void load()
      .catch(desk.complain)
      .finally(() => {
        isBusy = false;
      });
  };
  const [intro, text] = startOf(table);
  area.value = text;
  return [
    h("h2", { id: "load-title" }, "Load another table"),
    h("p", { class: "quiet" }, `A table is taken as a whole or not at all. ${intro}`),
    h(
      "form",
      { id: "load", submit },
      h("label", { for: area.id }, "The table, as JSON"),
      area,
      h("label", { for: file.id }, "Or out of a file"),
      file,
      problems,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Load"),
        h("button", { type: "button", click: () => done("") }, "Cancel"),
      ),
    ),
  ];
}

/** What the form begins with, and what is said of it. */
function startOf(table: RoutingTable): readonly [string, string] {
  if (isNone(table)) return [`This one sends names and +E.164 numbers to the core. ${NO_PLAN}`, textOfTable(FIRST_TABLE)];
  if (rowsOf(table).length > MOST_ROWS) return ["The one that counts is too long to be changed here.", ""];
  return ["Here is the one that counts.", textOfTable(table.document)];
}

function questionOf(seen: RoutingTable, document: Members): string {
  const next = { version: 0, document };
  const rows = `${countText(rowsOf(next).length, "row")}.${isNone(next) ? ` It is empty, and counts as none. ${WITHOUT_TABLE}` : ""}`;
  const who = "New calls go by it as soon as the gateways have it, mostly within seconds. Your name goes into the audit log.";
  const plans = Object.keys(membersOf(document["plans"])).length === 0 ? `${NO_PLAN} ` : "";
  if (isNone(seen)) return `${WITHOUT_TABLE} The table has ${rows} ${plans}${who}`;
  return `Version ${seen.version} with ${countText(rowsOf(seen).length, "row")} counts now; the new table has ${rows} ${who}`;
}

function lineButton(area: HTMLTextAreaElement, line: number): HTMLElement {
  const click = (): void => {
    const lines = area.value.split("\n");
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    // Not every browser brings what is marked into sight.
    area.scrollTop = (area.scrollHeight * (line - 1)) / lines.length - area.clientHeight / 2;
  };
  return h("button", { type: "button", class: "plain", click }, `Line ${line}`);
}
