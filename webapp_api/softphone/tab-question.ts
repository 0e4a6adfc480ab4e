/** Asks where the softphone is to be used that another tab of this browser has open already. */

import { button, element } from "./dom.ts";

export type TabChoice = "here" | "both" | "neither";

const card = element("other-tab", HTMLElement);
const title = element("other-tab-title", HTMLElement);
const CHOICES: Readonly<Record<string, TabChoice>> = { "use-here": "here", "use-both": "both", "use-neither": "neither" };

/** Show the question until it is answered. */
export function askWhichTab(): Promise<TabChoice> {
  card.hidden = false;
  title.focus();
  return new Promise((resolve) => {
    for (const [id, choice] of Object.entries(CHOICES)) {
      button(id).onclick = (): void => {
        card.hidden = true;
        resolve(choice);
      };
    }
  });
}
