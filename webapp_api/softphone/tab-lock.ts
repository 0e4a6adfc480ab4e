/**
 * Which tabs of this browser an account's telephone is open in: each holds the same shared lock (Web Locks), which the
 * browser takes back when a tab is closed or dies. Nothing is stored. Without Web Locks (no https) every tab may ring.
 */

/** How long a tab that is being reloaded may still hold it. */
const RELOAD_MS = 300;

export class TabLock {
  readonly #name: string;
  readonly #onTaken: () => void;
  #release = (): void => undefined;

  /** `user`: the account, as the person or the web service writes it. `onTaken`: another tab has taken it over. */
  constructor(user: string, onTaken: () => void) {
    this.#name = `softphone ${accountOf(user)}`;
    this.#onTaken = onTaken;
  }

  /** Hold it, if no other tab does. */
  async take(): Promise<boolean> {
    if (await this.#takeFree()) return true;
    await new Promise((resolve) => setTimeout(resolve, RELOAD_MS));
    return this.#takeFree();
  }

  /** Hold it alone: all other tabs lose it, and are told. */
  async takeOver(): Promise<void> {
    await this.#exclusively({ steal: true });
  }

  /** Hold it beside the other tabs. */
  share(): void {
    const held = new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    navigator.locks?.request(this.#name, { mode: "shared" }, () => held).catch(this.#onTaken);
  }

  /** Let others have it. */
  release(): void {
    this.#release();
  }

  #takeFree(): Promise<boolean> {
    return this.#exclusively({ ifAvailable: true });
  }

  /** The shared lock is asked for while nobody else can get between; it is held as soon as this one is over. */
  async #exclusively(options: LockOptions): Promise<boolean> {
    if (navigator.locks === undefined) return true;
    try {
      return await navigator.locks.request(this.#name, options, (lock) => {
        if (lock !== null) this.share();
        return lock !== null;
      });
    } catch {
      return true; // the browser keeps no locks for this page
    }
  }
}

/** One name for all ways to write an account of this gateway's domain. */
function accountOf(user: string): string {
  return user.trim().toLowerCase().replace(/^(sips?|tel):/, "").replace(/@.*$/, "");
}
