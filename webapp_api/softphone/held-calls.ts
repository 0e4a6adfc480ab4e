/** The calls that wait while the person talks to somebody else. Uses the SDK's public API only. */

import { PhoneError, type Call, type MediaKind } from "../sdk/src/index.ts";
import { element } from "./dom.ts";

export interface HeldCall {
  readonly call: Call;
  readonly name: string;
}

const list = element("held-calls", HTMLElement);
const held = new Map<Call, string>();
/** What of calls that wait is muted here, because they are not on hold yet, or will not be. */
const silenced = new Map<Call, readonly MediaKind[]>();
let leaving: Call | undefined;
const KINDS: readonly MediaKind[] = ["audio", "video"];
let onReturn: (call: HeldCall) => void = () => undefined;

/** Wire the list once; `take` makes a held call the running one. */
export function initHeldCalls(take: (call: HeldCall) => void): void {
  onReturn = take;
}

/** Set `call` aside until it is taken back, or ends. */
export function setAside({ call, name }: HeldCall): void {
  held.set(call, name);
  call.on("end", () => {
    silenced.delete(call);
    if (held.delete(call)) show();
  });
  call.onState((state) => {
    if (state === "established") void silence(call);
  });
  void silence(call);
  show();
}

/** Whoever waits hears nothing of the other talk: muted at once, until the call is on hold; it may still ring. */
async function silence(call: Call): Promise<void> {
  if (!held.has(call) || call.held.local) return;
  const muted = KINDS.filter((kind) => !call.muted(kind));
  for (const kind of muted) call.mute(kind, true);
  silenced.set(call, [...(silenced.get(call) ?? []), ...muted]);
  if (call.state !== "established") return;
  try {
    await call.hold();
  } catch (error) {
    if (!(error instanceof PhoneError)) throw error;
    return; // it stays muted
  }
  if (held.has(call)) speakAgain(call);
}

function speakAgain(call: Call): void {
  for (const kind of silenced.get(call) ?? []) call.mute(kind, false);
  silenced.delete(call);
}

/** Somebody else is at the other end of a call that waits. */
export function renameHeld(call: Call, name: string): void {
  if (!held.has(call)) return;
  held.set(call, name);
  show();
}

/** Take a call back from the list; when undefined any that is not about to be connected with somebody else. */
export function takeBack(call: Call | undefined = [...held.keys()].find((one) => one !== leaving)): HeldCall | undefined {
  const name = call === undefined ? undefined : held.get(call);
  if (call === undefined || name === undefined) return undefined;
  held.delete(call);
  speakAgain(call);
  show();
  return { call, name };
}

/** `call` stays in the list while it is being connected with somebody else, and is not taken back by itself. */
export function setLeaving(call: Call | undefined): void {
  leaving = call;
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
