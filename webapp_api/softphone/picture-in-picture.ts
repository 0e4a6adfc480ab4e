/** The other side's picture in a window of its own, where the browser has such (Chromium; Firefox has its own button). */

import { showBanner } from "./banners.ts";
import { button, element } from "./dom.ts";

const video = element("remote-video", HTMLVideoElement);
const toggle = button("picture-in-picture");

/** Wire it once. */
export function initPictureInPicture(): void {
  toggle.addEventListener("click", () => void switchOver());
  for (const event of ["enterpictureinpicture", "leavepictureinpicture"]) {
    video.addEventListener(event, () => toggle.setAttribute("aria-pressed", String(isOut())));
  }
}

/** Offer it while there is a picture. */
export function offerPictureInPicture(picture: boolean): void {
  toggle.hidden = !picture || !document.pictureInPictureEnabled;
  if (!picture && isOut()) void document.exitPictureInPicture();
}

function isOut(): boolean {
  return document.pictureInPictureElement === video;
}

async function switchOver(): Promise<void> {
  try {
    await (isOut() ? document.exitPictureInPicture() : video.requestPictureInPicture());
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    showBanner("error", "The browser shows no picture in picture now.", "Try again when the picture moves.");
  }
}
