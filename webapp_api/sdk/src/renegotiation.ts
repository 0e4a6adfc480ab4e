/**
 * Offers of this side in a running call: re-INVITEs, one after the other (RFC 3261 §14.1). A refused one leaves the call
 * as it was. Knows the dialog and the media session; knows nothing of what the changes are for.
 */

import { CallEndedError, OfferCrossedError, PhoneError, SessionDescriptionError, SipError, SocketError } from "./errors.ts";
import type { MediaSession } from "./media-session.ts";
import { ALLOW_HEADER } from "./sip-headers.ts";
import { errorFromResponse } from "./sip-response.ts";
import { getBody, type AckableIncomingResponseWithSession, type IncomingResponse, type SessionDialog } from "./sipjs.ts";

/** How often a change is tried that crosses one of the far side. */
const ATTEMPTS = 5;
/** A gateway says 100 at once: after this long without any response the socket is dead, milliseconds. */
const NO_REPLY_MS = 4000;
/** An ACK that is not there after this long never comes, milliseconds: the gateway waits 5 s for the page's 200. */
const ACK_TIMEOUT_MS = 6000;
/** How long to look again whether the far side is done, milliseconds. */
const POLL_MS = 50;
const REQUEST_PENDING = 491;
const SERVER_ERROR = 500;
/** Seconds that a far side asks for at most which is busy with an earlier INVITE (RFC 3261 §14.2). */
const MOST_BUSY_S = 10;

/** One change of the media: what is wished for from then on. */
export interface MediaChange {
  readonly change?: () => void;
  readonly iceRestart?: boolean;
}

export interface RenegotiationOptions {
  readonly dialog: () => SessionDialog | undefined;
  readonly media: () => MediaSession | undefined;
  /** Our Contact header field. */
  readonly contact: () => string;
  /** Whether this side made the call, and so owns its Call-ID. */
  readonly ownsCallId: boolean;
  readonly isConnected: () => boolean;
  /** Whether the call is answered and not over. */
  readonly isRunning: () => boolean;
  /** Whether the answer to the first INVITE is acknowledged: no other one goes before that (RFC 3261 §14.1). */
  readonly isAcknowledged: () => boolean;
  /** The far side knows nothing of this call, or its answer cannot be used: it cannot go on. */
  readonly onBroken: (error: PhoneError) => void;
  /** The gateway does not react at all. */
  readonly onNoReply: () => void;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/**
 * Milliseconds before the next attempt after 491: who owns the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, in units of
 * 10 ms (RFC 3261 §14.1).
 */
export function pendingDelayMs(ownsCallId: boolean, random: number): number {
  return ownsCallId ? 2100 + 10 * Math.round(190 * random) : 10 * Math.round(200 * random);
}

export class Renegotiation {
  readonly #options: RenegotiationOptions;
  #queue: Promise<unknown> = Promise.resolve();
  /** Ends the re-INVITE that is under way, for us. */
  #abandon: ((error: PhoneError) => void) | undefined;

  constructor(options: RenegotiationOptions) {
    this.#options = options;
  }

  /**
   * Make a change when those before it are done. Throws SipError when the far side refuses it, SocketError without a
   * connection, CallEndedError when the call ends first, OfferCrossedError when the far side is always faster.
   */
  run(change: MediaChange): Promise<void> {
    const done = this.#queue.then(() => this.#attempt(change));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /**
   * A re-INVITE of the far side is answered. Without its ACK SIP.js would make and take no offer ever again; its 200 is
   * repeated meanwhile.
   */
  offerAnswered(): void {
    const dialog = this.#options.dialog();
    const server = dialog?.reinviteUserAgentServer;
    setTimeout(() => {
      if (dialog === undefined || server === undefined || dialog.reinviteUserAgentServer !== server) return;
      dialog.reinviteUserAgentServer = undefined;
      // The 200 may have had an offer, and the ACK its answer.
      dialog.signalingStateRollback();
      const media = this.#options.media();
      if (media?.idle === false) media.rollbackDescription().catch(() => undefined);
    }, ACK_TIMEOUT_MS);
  }

  /** What is under way gets no response any more: the call is over, or the socket lost. */
  abandon(error: PhoneError): void {
    this.#abandon?.(error);
  }

  async #attempt(change: MediaChange): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const { dialog, media } = await this.#turn();
      const before = media.lines.snapshot();
      let sent = false;
      try {
        const offer = await media.offer(change);
        sent = true;
        await this.#invite(dialog, media, offer.body);
        return;
      } catch (error) {
        // An offer that was not sent has been taken back already.
        if (sent && !media.idle) await media.rollbackDescription().catch(() => undefined);
        if (media.peerConnection !== undefined) {
          await media.lines.restore(before);
          await media.reaffirm();
        }
        const wait = attempt < ATTEMPTS ? this.#retryDelayMs(error) : undefined;
        if (wait === undefined) throw this.#typed(error);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /** Wait until no offer is open on either side. */
  async #turn(): Promise<{ dialog: SessionDialog; media: MediaSession }> {
    for (;;) {
      const dialog = this.#options.dialog();
      const media = this.#options.media();
      if (!this.#options.isRunning() || dialog === undefined || media === undefined) {
        throw new CallEndedError("the call is over");
      }
      if (!this.#options.isConnected()) throw new SocketError("there is no connection to the gateway now");
      const isFree = dialog.reinviteUserAgentServer === undefined && dialog.reinviteUserAgentClient === undefined;
      if (media.idle && isFree && this.#options.isAcknowledged()) return { dialog, media };
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #invite(dialog: SessionDialog, media: MediaSession, offer: string): Promise<void> {
    // An offer of the far side may have come in the very last moment.
    if (dialog.reinviteUserAgentServer !== undefined) throw new OfferCrossedError("an offer of the far side came first");
    return new Promise((resolve, reject) => {
      let abandoned = false;
      const silent = setTimeout(() => this.#options.onNoReply(), NO_REPLY_MS);
      const over = (): void => {
        clearTimeout(silent);
        this.#abandon = undefined;
      };
      const refused = ({ message }: IncomingResponse): void => {
        if (abandoned) return;
        over();
        reject(errorFromResponse("INVITE", message));
      };
      dialog.invite(
        {
          onTrying: () => clearTimeout(silent),
          onProgress: () => clearTimeout(silent),
          onAccept: (response) => {
            if (abandoned) {
              acknowledgeLate(dialog, client, response);
              return;
            }
            over();
            this.#accepted(media, response).then(resolve, reject);
          },
          onReject: refused,
          onRedirect: refused,
        },
        {
          extraHeaders: [ALLOW_HEADER, `Contact: ${this.#options.contact()}`],
          body: { contentDisposition: "session", contentType: "application/sdp", content: offer },
        },
      );
      const client = dialog.reinviteUserAgentClient;
      this.#abandon = (error) => {
        abandoned = true;
        over();
        // The next offer need not wait for what may never come.
        dialog.signalingStateRollback();
        if (dialog.reinviteUserAgentClient === client) dialog.reinviteUserAgentClient = undefined;
        reject(error);
      };
    });
  }

  async #accepted(media: MediaSession, response: AckableIncomingResponseWithSession): Promise<void> {
    const answer = getBody(response.message);
    response.ack();
    try {
      if (answer === undefined) throw new Error("it has no description");
      await media.setDescription(answer.content);
    } catch (cause) {
      // Both sides would go on with different sessions (RFC 3261 §14.1).
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new SessionDescriptionError(`the browser does not take the gateway's answer: ${why}`, { cause });
      this.#options.onBroken(error);
      throw error;
    }
  }

  #retryDelayMs(error: unknown): number | undefined {
    if (error instanceof OfferCrossedError) return 0;
    if (!(error instanceof SipError)) return undefined;
    const random = this.#options.random?.() ?? Math.random();
    if (error.status === REQUEST_PENDING) return pendingDelayMs(this.#options.ownsCallId, random);
    const { status, retryAfterS = Infinity } = error;
    return status === SERVER_ERROR && retryAfterS <= MOST_BUSY_S ? retryAfterS * 1000 : undefined;
  }

  #typed(error: unknown): PhoneError {
    if (error instanceof SipError && error.status === 481) this.#options.onBroken(error);
    if (error instanceof PhoneError) return error;
    if (!this.#options.isRunning()) return new CallEndedError("the call is over", { cause: error });
    const message = error instanceof Error ? error.message : String(error);
    return new SessionDescriptionError(`the browser cannot make an offer: ${message}`, { cause: error });
  }
}

/** A 200 that nobody waits for any more is acknowledged all the same (RFC 3261 §13.2.2.4). */
function acknowledgeLate(
  dialog: SessionDialog,
  client: SessionDialog["reinviteUserAgentClient"],
  response: AckableIncomingResponseWithSession,
): void {
  const current = dialog.reinviteUserAgentClient;
  dialog.reinviteUserAgentClient = client;
  response.ack();
  dialog.reinviteUserAgentClient = current;
}
