/** Keeps the screen on while somebody talks; a page that comes back into view asks again, as the browser wants it. */

let wanted = false;
let lock: WakeLockSentinel | undefined;

export function keepAwake(awake: boolean): void {
  wanted = awake;
  if (awake) void acquire();
  else void lock?.release();
}

async function acquire(): Promise<void> {
  if (!wanted || document.visibilityState !== "visible" || (lock !== undefined && !lock.released)) return;
  try {
    lock = await navigator.wakeLock?.request("screen");
  } catch {
    return; // a low battery, say: no reason to disturb a call
  }
  if (!wanted) void lock?.release();
}

document.addEventListener("visibilitychange", () => void acquire());
