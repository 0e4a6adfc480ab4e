/** The line that says how well the call sounds, and the button that copies what the operator wants to know. */

import type { Call, CallStats } from "../sdk/src/index.ts";
import { showBanner } from "./banners.ts";
import { diagnosticsText } from "./diagnostics-text.ts";
import { button, element } from "./dom.ts";
import { detailText, qualityBetween, ratingText, type Quality, type Rating } from "./quality.ts";

const SAMPLE_MS = 2000;
/** Sound may pause for so many samples before that is told: telephones that suppress silence send little. */
const SILENT_SAMPLES = 3;
const KEPT = 30;

const line = element("quality", HTMLElement);
const words = element("quality-rating", HTMLElement);
const details = element("quality-details", HTMLElement);
const copy = button("copy-diagnostics");

let watched: Call | undefined;
let version = "";
let qualities: Quality[] = [];
let clock: ReturnType<typeof setInterval> | undefined;

/** Wire the button once. */
export function initQualityLine(): void {
  copy.addEventListener("click", () => {
    if (watched !== undefined) void copyDiagnostics(watched);
  });
}

/** Follow `call`; `onSilence` hears when no sound arrives though it should, and when it does again. */
export function watchQuality(call: Call, gatewayVersion: string, onSilence: (silent: boolean) => void): void {
  stopQuality();
  watched = call;
  version = gatewayVersion;
  qualities = [];
  let earlier: { readonly stats: CallStats; readonly atMs: number } | undefined;
  let silent = 0;
  show("unknown", "");
  const sample = async (): Promise<void> => {
    const stats = await call.stats();
    const atMs = performance.now();
    if (watched !== call || call.state !== "established") return;
    const due = !call.held.local && !call.held.remote && !call.recovering;
    if (earlier !== undefined && due) {
      const quality = qualityBetween(earlier.stats, stats, atMs - earlier.atMs);
      qualities = [...qualities, quality].slice(-KEPT);
      silent = quality.rating === "silent" ? silent + 1 : 0;
      if (silent === 0 || silent >= SILENT_SAMPLES) show(quality.rating, detailText(quality));
    } else if (!due) silent = 0;
    onSilence(silent >= SILENT_SAMPLES);
    earlier = due ? { stats, atMs } : undefined;
    if (!due) show("paused", "");
  };
  clock = setInterval(() => void sample(), SAMPLE_MS);
  void sample();
}

export function stopQuality(): void {
  clearInterval(clock);
  watched = undefined;
}

function show(rating: Rating, detail: string): void {
  line.dataset["rating"] = rating;
  // Said when it changes; the numbers are there to be read.
  if (words.textContent !== ratingText(rating)) words.textContent = ratingText(rating);
  details.textContent = detail;
}

/** Put what is known of `call`, the one that was watched last, into the clipboard. */
export async function copyDiagnostics(call: Call): Promise<void> {
  const text = diagnosticsText({
    call,
    stats: await call.stats(),
    qualities,
    userAgent: navigator.userAgent,
    version,
    now: new Date(),
  });
  try {
    await navigator.clipboard.writeText(text);
    showBanner("info", "Copied.", "Paste it into a message to the operator. It holds no names, numbers or keys.");
  } catch {
    showBanner("error", "The browser does not let the page copy.", "Allow the clipboard for this page, then try again.");
  }
}
