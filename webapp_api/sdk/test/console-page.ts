/** A page for tests of the console in Node.js. Import it first. */

/** As much of an element as the console's pages need. */
export class Part {
  readonly dataset: Record<string, string> = {};
  readonly classList = { toggle: (): void => undefined };
  readonly tBodies: Part[] = [];
  children: (Part | string)[] = [];
  textContent = "";
  value = "";
  id = "";
  readonly #listeners = new Map<string, (event: object) => void>();

  setAttribute(name: string, value: string): void {
    if (name === "id" || name === "value") this[name] = value;
  }

  focus(): void {}

  querySelector(): null {
    return null;
  }

  addEventListener(name: string, listener: (event: object) => void): void {
    this.#listeners.set(name, listener);
  }

  append(...children: (Part | string)[]): void {
    this.children.push(...children);
  }

  replaceChildren(...children: (Part | string)[]): void {
    this.children = children;
  }

  get childNodes(): (Part | string)[] {
    return this.children;
  }

  isEqualNode(other: Part): boolean {
    return this === other;
  }

  replaceChild(child: Part | string, old: Part | string): void {
    this.children[this.children.indexOf(old)] = child;
  }

  removeChild(old: Part | string): void {
    this.children.splice(this.children.indexOf(old), 1);
  }

  click(): void {
    this.#listeners.get("click")?.({});
  }

  submit(): void {
    this.#listeners.get("submit")?.({ preventDefault: () => undefined });
  }

  /** The element of this id. */
  byId(id: string): Part | undefined {
    if (this.id === id) return this;
    for (const child of this.children) {
      const found = child instanceof Part ? child.byId(id) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
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

Object.assign(globalThis, { HTMLElement: Part, document: { activeElement: null, createElement: () => new Part(), createElementNS: () => new Part() } });
