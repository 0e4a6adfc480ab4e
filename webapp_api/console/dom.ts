/** Makes elements. Texts are always text: nothing that a caller or a peer wrote becomes markup. */

export type Child = Node | string | false | undefined;
export type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (a function listens to the event of that name, true and false are set as such). */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  return filled(document.createElement(tag), attributes, children);
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled<Made extends Element>(made: Made, attributes: Attributes, children: readonly Child[]): Made {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== false && child !== undefined));
  return made;
}

/** The element with this id, of this class; a page without it is broken and says so. */
export function element<Type extends Element>(id: string, type: abstract new (...args: never[]) => Type): Type {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} "${id}"`);
  return found;
}

/** A field of a form below its name. */
export function labelled(label: string, field: HTMLInputElement | HTMLSelectElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: field.id }, label), field);
}

export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/**
 * A table. On a narrow screen each row becomes a card, so roles are said anew and cells carry their column's name.
 * `rows`: the cells of each row; `keys`: what names it, for `showTable`.
 */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Child[])[],
  keys: readonly string[] = [],
): HTMLTableElement {
  const head = columns.map(({ title, isNumber }) =>
    h("th", { scope: "col", role: "columnheader", ...(isNumber && { class: "number" }) }, title),
  );
  return h(
    "table",
    { role: "table" },
    h("caption", { class: "visually-hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)),
    h("tbody", { role: "rowgroup" }, ...rows.map((cells, at) => tableRow(columns, cells, keys[at]))),
  );
}

function tableRow(columns: readonly Column[], cells: readonly Child[], key: string | undefined): HTMLTableRowElement {
  const made = columns.map(({ title, isNumber }, at) =>
    h("td", { role: "cell", "data-label": title, ...(isNumber && { class: "number" }) }, cells[at] ?? ""),
  );
  return h("tr", { role: "row", ...(key !== undefined && { "data-key": key }) }, ...made);
}

/** Put `made` in the place of what `area` has, and give the focus back to the same control, where there is one. */
export function replaceKeepingFocus(area: Element, ...made: Child[]): void {
  keepingFocus(area, () => area.replaceChildren(...made.filter((child) => child !== false && child !== undefined)));
}

/** The same, but what is the same as before stays: a press that has begun there becomes a click. */
export function replaceWhatDiffers(area: Element, ...made: Child[]): void {
  const fresh = made.filter((child): child is Node | string => child !== false && child !== undefined);
  keepingFocus(area, () => {
    fresh.forEach((child, at) => {
      const old = area.childNodes[at];
      if (old === undefined) area.append(child);
      else if (typeof child === "string") area.replaceChild(document.createTextNode(child), old);
      else if (!old.isEqualNode(child)) area.replaceChild(child, old);
    });
    for (const old of [...area.childNodes].slice(fresh.length)) area.removeChild(old);
  });
}

/**
 * Put a table in the place of the one that `area` has; cells that are the same in rows of the same key stay: a press that
 * has begun there becomes a click, and marked text stays marked.
 */
export function showTable(area: Element, made: HTMLTableElement): void {
  const [shown, fresh] = [area.querySelector("tbody"), made.tBodies[0]];
  if (shown === null || fresh === undefined) replaceKeepingFocus(area, made);
  else keepingFocus(area, () => updateRows(shown, [...fresh.rows]));
}

function updateRows(shown: HTMLTableSectionElement, fresh: readonly HTMLTableRowElement[]): void {
  const known = new Map([...shown.rows].map((row) => [row.dataset["key"], row]));
  const rows = fresh.map((row) => {
    const key = row.dataset["key"];
    const same = key === undefined ? undefined : known.get(key);
    if (same === undefined) return row;
    known.delete(key);
    [...row.cells].forEach((cell, at) => {
      const old = same.cells[at];
      if (old !== undefined && !old.isEqualNode(cell)) old.replaceWith(cell);
    });
    return same;
  });
  for (const row of [...shown.rows]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, at) => {
    if (shown.rows[at] !== row) shown.insertBefore(row, shown.rows[at] ?? null);
  });
}

function keepingFocus(area: Element, change: () => void): void {
  const focused = document.activeElement;
  const name = focused instanceof HTMLElement && area.contains(focused) ? focused.dataset["focus"] : undefined;
  change();
  if (name === undefined || area.contains(document.activeElement)) return;
  for (const control of area.querySelectorAll<HTMLElement>("[data-focus]")) {
    if (control.dataset["focus"] === name) control.focus();
  }
}
