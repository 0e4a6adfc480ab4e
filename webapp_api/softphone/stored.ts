/** What the page remembers in this browser. A browser that keeps nothing (private windows, policies) is no fault. */

/** The object kept under `key`; undefined when there is none that makes sense. */
export function readStored(key: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keep `value` under `key`; undefined forgets it. */
export function writeStored(key: string, value: unknown): void {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Remembered until the page is left, by those who hold it.
  }
}
