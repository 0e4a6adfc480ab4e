/** What a person can do with the running call besides talking: hold, camera, transfer. Uses the SDK's public API only. */

import { PhoneError, type Call } from "../sdk/src/index.ts";
import { showError } from "./banners.ts";
import { wishedDevice } from "./devices.ts";
import { button } from "./dom.ts";
import { initTransferForm, showTransferForm } from "./transfer-form.ts";

const hold = button("hold");
const video = button("change-video");
const transfer = button("transfer");
const addCall = button("add-call");

let shown: Call | undefined;
/** What is under way: its button waits. */
let busy = false;

let changed = (): void => undefined;

/** Wire the controls once; `onChanged` hears when one of them has done its work. */
export function initCallActions(onChanged: () => void): void {
  changed = onChanged;
  hold.addEventListener("click", () => void run((call) => (call.held.local ? call.resume() : call.hold())));
  video.addEventListener("click", () => void run((call) => (call.sendsVideo ? call.removeVideo() : call.addVideo({ video: wishedDevice("videoinput") }))));
  initTransferForm((action) => void run(action));
}

/** Act on `call` from now on; on none when undefined. */
export function actOn(call: Call | undefined): void {
  shown = call;
  showTransferForm(false);
  showActions();
}

/** Show what can be done now. */
export function showActions(): void {
  const running = shown?.state === "established" && !busy;
  for (const control of [hold, video, transfer, addCall]) control.disabled = !running;
  const held = shown?.held.local ?? false;
  hold.setAttribute("aria-pressed", String(held));
  label(hold, held ? "Resume" : "Hold");
  label(video, shown?.sendsVideo === true ? "End video" : "Add video");
}

async function run(action: (call: Call) => Promise<void>): Promise<void> {
  if (shown === undefined || busy) return;
  busy = true;
  showActions();
  try {
    await action(shown);
  } catch (error) {
    if (!(error instanceof PhoneError)) throw error;
    if (error.kind !== "call-ended") showError(error);
  } finally {
    busy = false;
    showActions();
    changed();
  }
}

function label(control: HTMLButtonElement, text: string): void {
  const words = control.querySelector("span");
  if (words !== null && words.textContent !== text) words.textContent = text;
}
