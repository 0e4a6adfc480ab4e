/** Messages to the person: what happened and what to do. */

import type { PhoneError } from "../sdk/src/index.ts";
import { element } from "./dom.ts";

export type BannerTone = "error" | "info";

const area = element("banners", HTMLDivElement);

/** Show a message; screen readers speak errors at once. */
export function showBanner(tone: BannerTone, title: string, advice = ""): void {
  const banner = document.createElement("div");
  banner.className = `banner ${tone}`;
  banner.setAttribute("role", tone === "error" ? "alert" : "status");
  const words = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = title;
  words.append(strong, advice === "" ? "" : ` ${advice}`);
  const dismiss = document.createElement("button");
  dismiss.type = "button";
  dismiss.className = "plain";
  dismiss.textContent = "Dismiss";
  dismiss.addEventListener("click", () => banner.remove());
  banner.append(words, dismiss);
  area.replaceChildren(banner);
}

/** Show a failure with its advice. */
export function showError(error: PhoneError): void {
  showBanner("error", `${sentence(error.message)}`, error.advice);
}

export function clearBanners(): void {
  area.replaceChildren();
}

function sentence(text: string): string {
  const upper = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}
