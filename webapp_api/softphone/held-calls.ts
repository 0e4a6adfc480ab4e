/** The calls that wait while the person talks to somebody else. Uses the SDK's public API only. */

import type { Call } from "../sdk/src/index.ts";
import { element } from "./dom.ts";

export interface HeldCall {
  readonly call: Call;
  readonly name: string;
}

const list = element("held-calls", HTMLElement);
const held = new Map<Call, string>();
let onReturn: (call: HeldCall) => void = () => undefined;

/** Wire the list once; `take` makes a held call the running one. */
export function initHeldCalls(take: (call: HeldCall) => void): void {
  onReturn = take;
}

/** Set `call` aside until it is taken back, or ends. */
export function setAside({ call, name }: HeldCall): void {
  held.set(call, name);
  call.on("end", () => {
    if (held.delete(call)) show();
  });
  show();
}

/** Take a call back from the list; any when undefined. */
export function takeBack(call: Call | undefined = held.keys().next().value): HeldCall | undefined {
  const name = call === undefined ? undefined : held.get(call);
  if (call === undefined || name === undefined) return undefined;
  held.delete(call);
  show();
  return { call, name };
}

/** The calls that wait, the longest first. */
export function heldCalls(): readonly HeldCall[] {
  return [...held].map(([call, name]) => ({ call, name }));
}

function show(): void {
  list.hidden = held.size === 0;
  list.replaceChildren(
    ...[...held].map(([call, name]) => {
      const row = document.createElement("p");
      const words = document.createElement("span");
      words.textContent = `On hold: ${name}`;
      const back = document.createElement("button");
      back.type = "button";
      back.className = "plain";
      back.textContent = "Switch";
      back.setAttribute("aria-label", `Switch to ${name}`);
      back.addEventListener("click", () => onReturn({ call, name }));
      row.append(words, back);
      return row;
    }),
  );
}
