/**
 * Tries again and again with growing waits (RFC 5626 §4.5) until it works, is pointless, or takes too long.
 * Knows time and chance; what is tried is somebody else's.
 */

/** `done`: nothing more to do, whether it worked or never will. */
export type AttemptResult = { readonly done: true } | { readonly done: false; readonly retryAfterS?: number | undefined };

export interface ReconnectSettings {
  /** How long to try before giving up, seconds, 24 days at most; 0: do not try at all. */
  readonly giveUpAfterS: number;
  /** The longest first wait, milliseconds; each later one is up to twice as long as the one before. */
  readonly firstDelayMs: number;
  /** The longest wait, milliseconds. */
  readonly maxDelayMs: number;
}

export const DEFAULT_RECONNECT: ReconnectSettings = { giveUpAfterS: 600, firstDelayMs: 1000, maxDelayMs: 10_000 };

/** After a restart of the gateway all its pages come back: they spread over this many times the first wait. */
const RESTART_SPREAD = 4;
/** With a call that runs, the first attempt comes after this part of the first wait. */
const URGENT_PART = 0.25;

export interface Wait {
  /** Number of the attempt that follows, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

export interface ReconnectorOptions {
  readonly settings: ReconnectSettings;
  readonly attempt: () => Promise<AttemptResult>;
  readonly onWait: (wait: Wait) => void;
  /** Whether it is no time to give up, although it has taken so long. */
  readonly goesOn?: () => boolean;
  readonly onGivenUp: () => void;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Milliseconds before attempt number `attempt` (from 1): chance spreads the pages over half of the growing time. */
export function delayMs(attempt: number, settings: ReconnectSettings, random: number): number {
  const longest = Math.min(settings.maxDelayMs, settings.firstDelayMs * 2 ** (attempt - 1));
  return Math.round(longest * (0.5 + random / 2));
}

/** Milliseconds of a timer for so many seconds: browsers count in 32 bits, and a longer time (24 days) is over at once. */
export function timerMs(seconds: number): number {
  return Math.min(seconds * 1000, 2 ** 31 - 1);
}

export class Reconnector {
  readonly #options: ReconnectorOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  /** Tells a run from the one before it: an attempt that ends late must not go on. */
  #run = 0;
  #attempts = 0;
  #trying = false;

  constructor(options: ReconnectorOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#deadline !== undefined;
  }

  /**
   * Begin; `restart` spreads the first attempts wider, `urgent` lets the first one come soon. Does nothing while a run
   * is under way.
   */
  start({
    restart = false,
    urgent = false,
    retryAfterS = 0,
  }: { restart?: boolean; urgent?: boolean; retryAfterS?: number | undefined } = {}): void {
    if (this.running) return;
    this.#run += 1;
    this.#attempts = 0;
    this.#setDeadline();
    const { settings } = this.#options;
    const random = this.#random();
    const spread = Math.round(settings.firstDelayMs * (restart ? RESTART_SPREAD : URGENT_PART) * random);
    const delay = restart || urgent ? spread : delayMs(1, settings, random);
    this.#wait(Math.max(delay, timerMs(retryAfterS)));
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#trying = false;
    this.#run += 1;
  }

  /** The network is back: do not wait any longer. */
  hurry(): void {
    if (!this.running || this.#trying) return;
    clearTimeout(this.#timer);
    void this.#try(this.#run);
  }

  #wait(delay: number): void {
    const run = this.#run;
    this.#options.onWait({ attempt: this.#attempts + 1, delayMs: delay });
    this.#timer = setTimeout(() => void this.#try(run), delay);
  }

  async #try(run: number): Promise<void> {
    this.#attempts += 1;
    this.#trying = true;
    const result = await this.#options.attempt();
    if (run !== this.#run) return;
    this.#trying = false;
    if (result.done) {
      this.stop();
      return;
    }
    const delay = delayMs(this.#attempts + 1, this.#options.settings, this.#random());
    this.#wait(Math.max(delay, timerMs(result.retryAfterS ?? 0)));
  }

  #setDeadline(): void {
    this.#deadline = setTimeout(() => this.#giveUp(), timerMs(this.#options.settings.giveUpAfterS));
  }

  #giveUp(): void {
    if (this.#options.goesOn?.()) {
      this.#setDeadline();
      return;
    }
    this.stop();
    this.#options.onGivenUp();
  }

  #random(): number {
    return this.#options.random?.() ?? Math.random();
  }
}
