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
  const show = (): void => {
    const seconds = Math.ceil((nextAttemptMs - performance.now()) / 1000);
    countdown.textContent = seconds > 0 ? `Next attempt in ${seconds} s.` : "Trying…";
  };
  phone.on("reconnecting", ({ delayMs }) => {
    nextAttemptMs = performance.now() + delayMs;
    show();
  });
  phone.onState((state) => {
    const reconnecting = state === "reconnecting";
    const established = phone.calls.some((call) => call.state === "established");
    notice.hidden = !reconnecting;
    // Said once, not with every tick of the countdown.
    const lost = navigator.onLine
      ? "The connection to the gateway is lost."
      : "This device has no network: check the cable or the wireless network.";
    words.textContent = reconnecting ? `${lost}${established ? " Your call goes on." : ""} Reconnecting.` : "";
    clearInterval(clock);
    if (reconnecting) clock = setInterval(show, TICK_MS);
  });
}
