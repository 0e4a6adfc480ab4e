/** Lists that come page by page: where their buttons lead. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { textOf, type Members } from "../../console/members.ts";
import { PagedList } from "../../console/paged-list.ts";

const unexpected = (): never => assert.fail("nothing of this kind is expected");

/** As much of an element as a list needs. */
class Part {
  readonly dataset: Record<string, string> = {};
  children: (Part | string)[] = [];
  textContent = "";
  #click: () => void = () => undefined;

  setAttribute(): void {}

  addEventListener(name: string, listener: () => void): void {
    if (name === "click") this.#click = listener;
  }

  append(...children: (Part | string)[]): void {
    this.children.push(...children);
  }

  replaceChildren(...children: (Part | string)[]): void {
    this.children = children;
  }

  click(): void {
    this.#click();
  }

  /** The element that says this, and nothing else. */
  find(text: string): Part | undefined {
    for (const child of this.children) {
      if (child === text) return this;
      const found = child instanceof Part ? child.find(text) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  get text(): string {
    const texts = this.children.map((child) => (child instanceof Part ? child.text : child));
    return [this.textContent, ...texts].filter((text) => text !== "").join(" ");
  }
}

Object.assign(globalThis, { HTMLElement: Part, document: { activeElement: null, createElement: () => new Part() } });

/** A service whose pages are a, b, c...; each answer comes when the test says so. */
class Service {
  readonly asked: string[] = [];
  #waiting: (() => void)[] = [];

  readonly ask = (_method: string, path: string): Promise<Members> => {
    const cursor = new URLSearchParams(path.split("?")[1]).get("cursor") ?? "";
    this.asked.push(cursor);
    const following = String.fromCharCode((cursor || "`").charCodeAt(0) + 1);
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve({ rows: [{ name: `row behind ${cursor}.` }], next: following }));
    });
  };

  async answer(): Promise<void> {
    for (const one of this.#waiting.splice(0)) one();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** The last question is answered first. */
  async answerLastFirst(): Promise<void> {
    for (const one of this.#waiting.splice(0).reverse()) {
      one();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function shown(service: Service): Promise<Part> {
  const list = new PagedList({
    ask: service.ask, path: "/x", member: "rows", cursor: "cursor", filters: [], query: {}, caption: "", one: "row",
    columns: [{ title: "" }], cells: (entry) => [textOf(entry, "name")], complain: unexpected, onQuery: unexpected,
  }); // prettier-ignore
  const first = list.refresh();
  await service.answer();
  await first;
  return list.element as unknown as Part;
}

function click(list: Part, label: string): void {
  (list.find(label) ?? assert.fail(`no ${label}`)).click();
}

test("a page is turned once, however often the button is clicked while the service is asked", async () => {
  const service = new Service();
  const list = await shown(service);
  click(list, "Next");
  click(list, "Next");
  await service.answer();
  assert.match(list.text, /1 row on this page, page 2 row behind a\./);
  click(list, "Next");
  await service.answer();
  click(list, "Back");
  click(list, "Back");
  await service.answer();
  assert.match(list.text, /, page 2 row behind a\./);
  assert.deepEqual(service.asked, ["", "a", "a", "b", "a", "a"]);
});

test("the page that was asked for last is the one that is shown, whichever answer comes last", async () => {
  const service = new Service();
  const list = await shown(service);
  click(list, "Next");
  await service.answer();
  click(list, "Next");
  click(list, "Back");
  await service.answerLastFirst();
  assert.match(list.text, /1 row on this page row behind \./);
});
