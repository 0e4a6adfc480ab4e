/** Telling far sides that answered calls are over: again after each loss of the socket, until it is confirmed. */

import { SessionDialog, type IncomingResponse, type Session } from "./sipjs.ts";

export class Farewells {
  /** Dialogs whose BYE had no response yet. */
  readonly #unheard = new Set<SessionDialog>();

  /** Say BYE; without a socket, or where nobody hears it, it is said by `sayAgain`. */
  say(session: Session | undefined): void {
    const dialog = session?.dialog;
    if (!(dialog instanceof SessionDialog)) return;
    this.#unheard.add(dialog);
    // A session that is already over in SIP.js reports its own end.
    session?.bye({ requestDelegate: this.#untilHeard(dialog) }).catch(() => this.#unheard.delete(dialog));
  }

  /** The gateway knows this page again. */
  sayAgain(): void {
    for (const dialog of this.#unheard) {
      try {
        dialog.bye(this.#untilHeard(dialog));
      } catch {
        // It awaits an ACK (RFC 3261 §15); SIP.js says BYE after that.
      }
    }
  }

  #untilHeard(dialog: SessionDialog): Record<"onAccept" | "onReject" | "onRedirect", (response: IncomingResponse) => void> {
    // The 408 and 503 that SIP.js makes up have no Via.
    const heard = ({ message }: IncomingResponse): void => {
      if (message.hasHeader("via")) this.#unheard.delete(dialog);
    };
    return { onAccept: heard, onReject: heard, onRedirect: heard };
  }
}
