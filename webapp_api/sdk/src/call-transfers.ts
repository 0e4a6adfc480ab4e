/** The transfers of one call: those this side asks for, and those it is asked for. Knows calls' dialogs and events. */

import type { CallDependencies, CallEvents } from "./call-types.ts";
import { UsageError } from "./errors.ts";
import type { Emitter } from "./events.ts";
import type { Notification, Referral, SessionDialog } from "./sipjs.ts";
import { targetUriFromText } from "./target.ts";
import { referToWithReplaces, Transfer, transferRequestFrom } from "./transfer.ts";

const DECLINE = 603;

export interface CallTransfersOptions {
  readonly dependencies: CallDependencies;
  readonly events: Emitter<CallEvents>;
  /** The dialog of the answered call. */
  readonly dialog: () => SessionDialog | undefined;
  /** Our Contact header field. */
  readonly contact: () => string;
}

export class CallTransfers {
  readonly #options: CallTransfersOptions;
  #running: Transfer | undefined;
  /** CSeqs of REFERs before that one; what comes of them late is not about it. */
  readonly #former = new Set<number>();
  #asked = 0;

  constructor(options: CallTransfersOptions) {
    this.#options = options;
  }

  /** Ask the far side to call `target`, or to take the place of this page in another dialog; see Call.transfer. */
  async start(target: string | SessionDialog | undefined): Promise<void> {
    const { dependencies, events, contact } = this.#options;
    const dialog = this.#options.dialog();
    if (this.#running !== undefined && !this.#running.over) throw new UsageError("a transfer is under way");
    if (dialog === undefined || target === undefined || target === dialog) {
      throw new UsageError("only answered calls can be transferred, and to each other");
    }
    const referTo =
      typeof target === "string"
        ? `<${targetUriFromText(target, dependencies.config.domain)}>`
        : referToWithReplaces(target);
    if (this.#running !== undefined) this.#former.add(this.#running.cseq);
    this.#running = new Transfer({
      dialog,
      referTo,
      referredBy: dependencies.userAgent.configuration.uri.toString(),
      contact: contact(),
      onProgress: (progress) => events.emit("transfer", progress),
    });
    await this.#running.done;
  }

  /** A NOTIFY of the far side. */
  notified(notification: Notification): void {
    void notification.accept();
    const event = notification.request.getHeader("event") ?? "";
    if (!/^\s*refer\b/i.test(event)) return;
    const id = /;\s*id\s*=\s*(\d+)/i.exec(event)?.[1];
    if (id === undefined || !this.#former.has(Number(id))) this.#running?.notified(notification);
  }

  /** The far side asks for a call to somebody else: never without the application's consent. */
  asked(referral: Referral): void {
    const { dependencies, events, dialog, contact } = this.#options;
    if (!events.has("transferRequest")) {
      void referral.reject({ statusCode: DECLINE });
      return;
    }
    const request = transferRequestFrom(referral, {
      dialog,
      contact: contact(),
      first: (this.#asked += 1) === 1,
      call: (uri, headers, media) => dependencies.callTransferTarget(uri, headers, media),
    });
    if (request !== undefined) events.emit("transferRequest", request);
  }

  /** The call is over. */
  ended(byFarSide: boolean): void {
    this.#running?.callEnded(byFarSide);
  }
}
