/** Telling the far side that a call is over: at once, or as soon as there is a socket again. */

import type { Session } from "./sipjs.ts";

/** How long a hang-up waits for the gateway to confirm it before the call is over all the same, milliseconds. */
const HANGUP_TIMEOUT_MS = 4000;

export interface FarewellOptions {
  readonly session: () => Session | undefined;
  /** Take back (CANCEL), or refuse, an INVITE that is not answered yet. */
  readonly withdraw: () => Promise<unknown> | undefined;
  readonly isConnected: () => boolean;
  readonly closeMedia: () => void;
}

export class Farewell {
  readonly #options: FarewellOptions;
  #owed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: FarewellOptions) {
    this.#options = options;
  }

  /** The far side does not know yet. */
  get owed(): boolean {
    return this.#owed;
  }

  /** `established`: whether it is a BYE that has to be sent. */
  say(established: boolean): void {
    const { session, withdraw, isConnected, closeMedia } = this.#options;
    if (established && !isConnected()) {
      this.#owed = true;
      closeMedia();
      return;
    }
    const sent = established ? session()?.bye() : withdraw();
    // A session that is already over in SIP.js reports its own end.
    sent?.catch(() => undefined);
  }

  /** There is a socket again. */
  sayWhatIsOwed(): void {
    if (!this.#owed) return;
    this.#owed = false;
    this.#options.session()?.bye().catch(() => undefined);
  }

  /** Call `over` when nobody has confirmed in time. */
  wait(over: () => void): void {
    this.#timer = setTimeout(over, HANGUP_TIMEOUT_MS);
  }

  confirmed(): void {
    clearTimeout(this.#timer);
  }
}
