/** Messages to the person: what happened and what to do. */

import type { PhoneError } from "../sdk/src/index.ts";
import { element } from "./dom.ts";
import { troubleFrom } from "./trouble.ts";

export type BannerTone = "error" | "info";

/** A button beside the words. */
export interface BannerAction {
  readonly label: string;
  readonly run: () => void;
}

const area = element("banners", HTMLDivElement);

/** Show a message; screen readers speak errors at once. Returns what takes it away. */
export function showBanner(tone: BannerTone, title: string, advice = "", ...actions: BannerAction[]): () => void {
  const banner = document.createElement("div");
  banner.className = `banner ${tone}`;
  banner.setAttribute("role", tone === "error" ? "alert" : "status");
  const words = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = title;
  words.append(strong, advice === "" ? "" : ` ${advice}`);
  const buttons = document.createElement("div");
  const dismiss = (): void => banner.remove();
  buttons.append(...actions.map(plainButton), plainButton({ label: "Dismiss", run: dismiss }));
  banner.append(words, buttons);
  area.replaceChildren(banner);
  return dismiss;
}

/** Show a failure with what to do about it. */
export function showError(error: PhoneError, ...actions: BannerAction[]): void {
  const { title, advice } = troubleFrom(error, navigator.onLine);
  showBanner("error", title, advice, ...actions);
}

export function clearBanners(): void {
  area.replaceChildren();
}

function plainButton({ label, run }: BannerAction): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "plain";
  element.textContent = label;
  element.addEventListener("click", run);
  return element;
}
