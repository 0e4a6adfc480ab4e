/** A page for tests of the console in Node.js. Import it first. */

/** As much of an element as the console's pages need. */
export class Part {
  readonly dataset: Record<string, string> = {};
  readonly classList = { toggle: (): void => undefined };
  readonly tBodies: Part[] = [];
  children: (Part | string)[] = [];
  textContent = "";
  #click: () => void = () => undefined;

  setAttribute(): void {}

  querySelector(): null {
    return null;
  }

  addEventListener(name: string, listener: () => void): void {
    if (name === "click") this.#click = listener;
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

Object.assign(globalThis, { HTMLElement: Part, document: { activeElement: null, createElement: () => new Part(), createElementNS: () => new Part() } });
