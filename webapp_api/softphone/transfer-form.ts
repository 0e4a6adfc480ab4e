/** Handing the other side on: to somebody it shall call, or to a call that waits. Uses the SDK's public API only. */

import type { Call } from "../sdk/src/index.ts";
import { showBanner } from "./banners.ts";
import { button, element, input } from "./dom.ts";
import { heldCalls, setLeaving, takeBack, type HeldCall } from "./held-calls.ts";

const toggle = button("transfer");
const form = element("transfer-form", HTMLFormElement);
const target = input("transfer-target");
const waiting = element("transfer-held", HTMLElement);

/** How long the far side of a call that was handed on has to end it, milliseconds. */
const GRACE_MS = 2000;

/** Wire the form once; `run` does what is asked for with the running call. */
export function initTransferForm(run: (action: (call: Call) => Promise<void>) => void): void {
  toggle.addEventListener("click", () => showTransferForm(form.hidden === true, run));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(async (call) => {
      await call.transfer(target.value.trim());
      showBanner("info", "The call is transferred.");
    });
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    showTransferForm(false);
    toggle.focus();
  });
}

/** Show the form, with a button for each call that waits; or hide it. */
export function showTransferForm(visible: boolean, run: (action: (call: Call) => Promise<void>) => void = () => undefined): void {
  form.hidden = !visible;
  toggle.setAttribute("aria-expanded", String(visible));
  if (!visible) return;
  target.value = "";
  waiting.replaceChildren(
    ...heldCalls().map((held) => {
      const join = document.createElement("button");
      join.type = "button";
      join.textContent = `Connect with ${held.name}`;
      join.addEventListener("click", () => run((call) => connect(call, held)));
      return join;
    }),
  );
  target.focus();
}

/** The far sides of both calls shall talk to each other; this page leaves. */
async function connect(call: Call, held: HeldCall): Promise<void> {
  setLeaving(held.call);
  try {
    await call.transfer(held.call);
  } finally {
    setLeaving(undefined);
  }
  takeBack(held.call);
  showBanner("info", "They are connected with each other.");
  setTimeout(() => void held.call.hangup(), GRACE_MS);
}
