/**
 * Brings a call's way for media back: after the socket came back, or when the browser finds the way broken, by an ICE
 * restart (RFC 8445 §9). Knows states and time; what a restart is, is somebody else's.
 */

import { CallEndedError, IceError, SipError, type PhoneError } from "./errors.ts";
import { MEDIA_PATH_TRANSITIONS, type MediaPathEvent, type MediaPathState } from "./media-path-state.ts";
import { mayPass } from "./passing.ts";
import { nextState } from "./state-table.ts";

export interface RecoverySettings {
  /** How long a way that gets no reply may come back by itself, milliseconds. */
  readonly patienceMs: number;
  /** The wait before the second restart, milliseconds; each later one is twice as long. */
  readonly firstRetryMs: number;
  /** How long to try with a socket that works, milliseconds. */
  readonly giveUpMs: number;
}

export const DEFAULT_RECOVERY: RecoverySettings = { patienceMs: 500, firstRetryMs: 500, giveUpMs: 30_000 };

export interface RecoveryOptions {
  /** Offer new ICE credentials, and have them answered. */
  readonly restart: () => Promise<void>;
  readonly isConnected: () => boolean;
  /** Whether media can flow now, as the browser sees it. */
  readonly isUp: () => boolean;
  readonly onRecovering: (recovering: boolean) => void;
  readonly onLost: (error: PhoneError) => void;
  readonly settings?: RecoverySettings;
}

export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #settings: RecoverySettings;
  #state: MediaPathState = "building";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #busy = false;
  #answered = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#settings = options.settings ?? DEFAULT_RECOVERY;
  }

  get state(): MediaPathState {
    return this.#state;
  }

  get recovering(): boolean {
    return this.#state === "interrupted" || this.#state === "restarting";
  }

  /** The browser's connection is in another state. */
  connectionChanged(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.#apply(this.#answered ? "restart_agreed" : "path_up");
      if (this.#state === "up") this.#calm();
    } else if (state === "disconnected") {
      this.#apply("path_interrupted");
      if (this.#state === "interrupted") this.#schedule(this.#settings.patienceMs);
    } else if (state === "failed") {
      this.#apply("path_failed");
      if (this.#state === "lost") this.#lose();
      else this.#schedule(0);
    }
  }

  socketLost(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#answered = false;
    this.#apply("socket_lost");
  }

  /** The gateway knows this page again: its address may have changed. */
  socketRestored(): void {
    this.#attempts = 0;
    this.#schedule(0);
  }

  /** The call is over. */
  stop(): void {
    this.#calm();
  }

  #calm(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#attempts = 0;
    this.#answered = false;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#options.isConnected()) return;
    this.#deadline ??= setTimeout(() => {
      this.#apply("given_up");
      this.#lose();
    }, this.#settings.giveUpMs);
    this.#timer = setTimeout(() => void this.#restart(), delayMs);
  }

  async #restart(): Promise<void> {
    if (this.#busy || this.#state === "lost" || !this.#options.isConnected()) return;
    this.#apply("restart_begun");
    this.#busy = true;
    this.#answered = false;
    this.#attempts += 1;
    try {
      await this.#options.restart();
      this.#busy = false;
      this.#agreed();
    } catch (error) {
      this.#busy = false;
      this.#refused(error);
    }
  }

  #agreed(): void {
    if (this.#state !== "restarting") {
      // The way failed, or the socket broke, while the answer was under way.
      if (this.#state === "interrupted") this.#schedule(this.#retryMs());
      return;
    }
    this.#answered = true;
    if (!this.#options.isUp()) return;
    this.#apply("restart_agreed");
    this.#calm();
  }

  #refused(error: unknown): void {
    if (error instanceof CallEndedError || this.#state === "lost") return;
    this.#apply("restart_refused");
    const hopeless = error instanceof SipError && !mayPass(error);
    if (!hopeless) {
      this.#schedule(this.#retryMs());
      return;
    }
    // A gateway that takes no restart: the way there was is the only one.
    if (this.#options.isUp()) {
      this.#apply("path_up");
      this.#calm();
    } else {
      this.#apply("given_up");
      this.#lose();
    }
  }

  #retryMs(): number {
    return this.#settings.firstRetryMs * 2 ** Math.max(0, this.#attempts - 1);
  }

  #lose(): void {
    this.#calm();
    this.#options.onLost(new IceError("no media path to the gateway"));
  }

  #apply(event: MediaPathEvent): void {
    const before = this.recovering;
    this.#state = nextState(MEDIA_PATH_TRANSITIONS, this.#state, event);
    if (this.recovering !== before) this.#options.onRecovering(this.recovering);
  }
}
