/** Typed access to the elements of the page. */

/** The element with this id, of this class; a page without it is broken and says so. */
export function element<Type extends Element>(id: string, type: abstract new (...args: never[]) => Type): Type {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} "${id}"`);
  return found;
}

export function button(id: string): HTMLButtonElement {
  return element(id, HTMLButtonElement);
}

export function input(id: string): HTMLInputElement {
  return element(id, HTMLInputElement);
}

/** Give `field` the focus where that does not bring up a keyboard on the screen. */
export function focusUnlessTouched(field: HTMLElement): void {
  if (!matchMedia("(pointer: coarse)").matches) field.focus();
}
