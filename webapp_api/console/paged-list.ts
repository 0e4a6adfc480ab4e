/** A list that the service gives page by page: a form of filters, a table, and the way back and forth. */

import { pathWith, type Ask } from "./api.ts";
import { h, labelled, replaceKeepingFocus, replaceWhatDiffers, showTable, table, type Child, type Column } from "./dom.ts";
import { listOf, numberOrNone, textOf, type Members } from "./members.ts";
import { countText } from "./words.ts";

export interface Filter {
  readonly name: string;
  readonly label: string;
  /** Value and what it is called; without, a text is typed in. */
  readonly choices?: readonly (readonly [string, string])[];
}

export interface ListOptions {
  readonly ask: Ask;
  readonly path: string;
  /** The member of the answer that is the list. */
  readonly member: string;
  /** The parameter that takes the answer's `next`. */
  readonly cursor: "cursor" | "after";
  /** Without: as many entries as the service gives unasked. */
  readonly limit?: string;
  readonly filters: readonly Filter[];
  readonly query: Readonly<Record<string, string>>;
  readonly caption: string;
  readonly one: string;
  /** Without: `one` with an s. */
  readonly many?: string;
  readonly columns: readonly Column[];
  readonly cells: (entry: Members) => Child[];
  /** What names an entry: rows that are on the page before and after stay, and their listeners with them. */
  readonly key?: (entry: Members) => string;
  /** What is said beside the number of entries. */
  readonly remark?: (answer: Members) => string;
  /** The entries after an event; undefined: they are as they were. `isBeginning`: whether what is new belongs here. */
  readonly after?: (entries: readonly Members[], event: Members, isBeginning: boolean) => readonly Members[] | undefined;
  /** Whether an event was later than what an answer knows. */
  readonly isLater?: (event: Members, answer: Members) => boolean;
  readonly complain: (error: unknown) => void;
  /** Called with the filters that hold, to keep them in the address. */
  readonly onQuery: (query: Readonly<Record<string, string>>) => void;
}

const ENTRIES_ON_PAGE = 100;

/** A page of entries that are all known, as the service gives those of a list that it keeps. `cursor`: how many are before it. */
export function pageOfEntries(member: string, entries: readonly Members[], cursor: string): Members {
  const from = numberOrNone(Number(cursor)) ?? 0;
  const next = from + ENTRIES_ON_PAGE;
  return { [member]: entries.slice(from, next), total: entries.length, ...(next < entries.length && { next: String(next) }) };
}

export class PagedList {
  readonly element: HTMLElement;
  readonly #options: ListOptions;
  readonly #found = h("p", { class: "quiet", role: "status" });
  readonly #rows = h("div", { class: "table" });
  readonly #turn = h("div", { class: "actions" });
  #query: Readonly<Record<string, string>>;
  /** The cursors of the pages up to the one that is asked for. */
  #cursors: readonly string[] = [""];
  /** The same of the one that is shown: where buttons lead from, however often they are clicked meanwhile. */
  #shown: readonly string[] = [""];
  #next = "";
  #entries: readonly Members[] = [];
  #total: number | undefined;
  #remark = "";
  #isKnown = false;
  #asking = 0;
  /** Events since the oldest question that is not answered: the answer may not know of them. */
  #heard: Members[] = [];

  constructor(options: ListOptions) {
    this.#options = options;
    this.#query = options.query;
    this.element = h("section", { class: "card" }, this.#form(), this.#found, this.#rows, this.#turn);
  }

  /** Whether this is the first page of all entries there are. */
  get isBeginning(): boolean {
    return this.#shown.length === 1 && Object.values(this.#query).every((value) => value === "");
  }

  async refresh(): Promise<void> {
    const { ask, path, member, cursor, limit = "", remark, isLater = () => false } = this.#options;
    const asked = this.#cursors;
    const heardBefore = this.#heard.length;
    this.#asking += 1;
    const answer = await ask("GET", pathWith(path, { ...this.#query, limit, [cursor]: asked.at(-1) ?? "" })).finally(() => {
      this.#asking -= 1;
    });
    const heard = this.#heard.slice(heardBefore);
    if (this.#asking === 0) this.#heard = [];
    if (asked !== this.#cursors) return;
    this.#shown = asked;
    this.#isKnown = true;
    this.#entries = listOf(answer, member);
    this.#total = numberOrNone(answer["total"]);
    this.#next = textOf(answer, "next");
    this.#remark = remark?.(answer) ?? "";
    for (const event of heard) if (isLater(event, answer)) this.#apply(event);
    this.render();
  }

  /** Take an event; what it changes is shown when `render` is called. */
  take(event: Members): void {
    if (this.#asking > 0) this.#heard.push(event);
    this.#apply(event);
  }

  #apply(event: Members): void {
    const changed = this.#options.after?.(this.#entries, event, this.isBeginning);
    if (changed === undefined) return;
    if (this.#total !== undefined) this.#total += changed.length - this.#entries.length;
    this.#entries = changed;
  }

  render(): void {
    if (!this.#isKnown) return;
    const { one, many = `${one}s`, caption, columns, cells, key } = this.#options;
    const page = this.#shown.length > 1 ? `, page ${this.#shown.length}` : "";
    const count = this.#total === undefined ? `${countText(this.#entries.length, one, many)} on this page` : countText(this.#total, one, many);
    const text = `${count}${page}${this.#remark}`;
    if (this.#found.textContent !== text) this.#found.textContent = text;
    const made = table(caption, columns, this.#entries.map(cells), key && this.#entries.map(key));
    if (this.#entries.length === 0) this.#rows.replaceChildren();
    else if (key === undefined) replaceKeepingFocus(this.#rows, made);
    else showTable(this.#rows, made);
    replaceWhatDiffers(
      this.#turn,
      this.#shown.length > 1 && this.#button("Back", () => this.#shown.slice(0, -1)),
      this.#next !== "" && this.#button("Next", () => [...this.#shown, this.#next]),
    );
  }

  #button(label: string, cursors: () => readonly string[]): HTMLElement {
    const click = (): void => {
      this.#cursors = cursors();
      this.#ask();
    };
    return h("button", { type: "button", "data-focus": label, click }, label);
  }

  #ask(): void {
    void this.refresh().catch(this.#options.complain);
  }

  #form(): HTMLElement | undefined {
    const { filters, query } = this.#options;
    if (filters.length === 0) return undefined;
    const fields = filters.map((filter) => fieldOf(filter, query[filter.name] ?? ""));
    const submit = (event: Event): void => {
      event.preventDefault();
      const given = new FormData(event.currentTarget as HTMLFormElement);
      this.#query = Object.fromEntries(filters.map(({ name }) => [name, String(given.get(name) ?? "").trim()]));
      this.#cursors = [""];
      this.#options.onQuery(this.#query);
      this.#ask();
    };
    return h("form", { class: "filters", submit }, ...fields, h("button", { type: "submit", class: "primary" }, "Show"));
  }
}

function fieldOf({ name, label, choices }: Filter, value: string): HTMLElement {
  const id = `filter-${name}`;
  const field =
    choices === undefined
      ? h("input", { id, name, type: "search", autocomplete: "off", spellcheck: "false", value })
      : h("select", { id, name }, ...choices.map(([one, text]) => h("option", { value: one, selected: one === value }, text)));
  return labelled(label, field);
}
