/** Tells that the connection is lost and coming back, for as long as that takes. */

import type { Phone } from "../sdk/src/index.ts";
import { element } from "./dom.ts";

const TICK_MS = 500;

const notice = element("connection-notice", HTMLElement);
const words = element("connection-text", HTMLElement);
const countdown = element("connection-countdown", HTMLElement);

/** Watch `phone` until it is closed. */
export function watchConnection(phone: Phone): void {
  let nextAttemptMs = 0;
  let clock: ReturnType<typeof setInterval> | undefined;
  const tick = (): void => {
    const seconds = Math.ceil((nextAttemptMs - performance.now()) / 1000);
    const trying = seconds > 0 ? `Next attempt in ${seconds} s.` : "Trying…";
    countdown.textContent = phone.state === "reconnecting" ? trying : "";
  };
  const show = (): void => {
    const over = phone.state === "closed" || phone.state === "signed-out" || phone.state === "disconnected";
    const text = over ? "" : textFor(phone);
    notice.hidden = text === "";
    // Said once, not with every tick of the countdown.
    if (words.textContent !== text) words.textContent = text;
    clearInterval(clock);
    tick();
    if (text !== "") clock = setInterval(tick, TICK_MS);
    if (!over) return;
    removeEventListener("online", show);
    removeEventListener("offline", show);
  };
  phone.on("reconnecting", ({ delayMs }) => {
    nextAttemptMs = performance.now() + delayMs;
    tick();
  });
  phone.onState(show);
  addEventListener("online", show);
  addEventListener("offline", show);
}

/** What is wrong; empty when nothing is. The browser may know before the socket does. */
function textFor(phone: Phone): string {
  const reconnecting = phone.state === "reconnecting";
  const goesOn = phone.calls.some((call) => call.state === "established") ? " Your call goes on." : "";
  if (!navigator.onLine) return `This device has no network: check the cable or the wireless network.${goesOn}`;
  return reconnecting ? `The connection to the gateway is lost.${goesOn} Reconnecting.` : "";
}
