/**
 * UPDATE (RFC 3311) for SIP.js 0.21.2, which answers it with 405. No prototype is patched: the hook is
 * `Transport.onMessage`, an assignable callback of SIP.js's public Transport interface. Only this file takes SIP.js's
 * dialog layer in hand; it knows nothing of calls, pages or peer connections.
 */

import { ALLOW_HEADER, warningToText } from "./sip-headers.ts";
import {
  Dialog,
  getBody,
  IncomingRequestMessage,
  NameAddrHeader,
  NonInviteServerTransaction,
  Parser,
  SessionDialog,
  SessionState,
  SignalingState,
  UserAgentServer,
  type Body,
  type Logger,
  type Session,
  type SessionDescriptionHandler,
  type UserAgent,
  type UserAgentCore,
} from "./sipjs.ts";

/** A handler that can say when it has no open offer; the stock one cannot. */
interface SettlingHandler extends SessionDescriptionHandler {
  settled?(): Promise<void>;
}

/** What was agreed in an UPDATE. */
export interface AnsweredUpdate {
  readonly session: Session;
  readonly offer: string;
  readonly answer: string;
}

export interface UpdateSupportOptions {
  readonly onUpdate?: (update: AnsweredUpdate) => void;
  /** An UPDATE was taken, with an offer or without. */
  readonly onTaken?: (session: Session, update: IncomingRequestMessage) => void;
  /** Retry-After in whole seconds, 0 to 10 (RFC 3311 §5.2). */
  readonly retryAfterS?: () => number;
}

class UpdateUserAgentServer extends UserAgentServer {
  constructor(core: UserAgentCore, message: IncomingRequestMessage) {
    super(NonInviteServerTransaction, core, message);
  }
}

/** `dialogState` is protected; a subclass may reach it in its own kind. UPDATE is a target refresh (RFC 3311 §5.2). */
class TargetRefresh extends SessionDialog {
  static refresh(dialog: SessionDialog, message: IncomingRequestMessage): void {
    const contact: unknown = message.parseHeader("contact");
    if (contact instanceof NameAddrHeader) (dialog as TargetRefresh).dialogState.remoteTarget = contact.uri;
  }
}

const ACCEPT_HEADER = "Accept: application/sdp";
const MANDATORY_HEADERS = ["from", "to", "call-id", "cseq", "via"];

export class UpdateSupport {
  readonly #userAgent: UserAgent;
  readonly #core: UserAgentCore;
  readonly #logger: Logger;
  readonly #options: UpdateSupportOptions;
  /** by SIP.js's id of a session: Call-ID and the tag of the side that sent the INVITE */
  readonly #sessions = new Map<string, Session>();
  /** dialogs with an offer that is being answered */
  readonly #busy = new Set<string>();

  constructor(userAgent: UserAgent, options: UpdateSupportOptions = {}) {
    this.#userAgent = userAgent;
    this.#core = userAgent.userAgentCore;
    this.#logger = userAgent.getLogger("sip.UpdateSupport");
    this.#options = options;
    const next = userAgent.transport.onMessage;
    userAgent.transport.onMessage = (raw: string): void => {
      if (raw.startsWith("UPDATE ") && this.#received(raw)) return;
      // SIP.js drops what has a Contact that its grammar does not know, as the urn: of a 380 (TS 24.229 §5.2.10.4).
      next?.(raw.replace(/^(SIP\/2\.0 380 [^]*?\r\n)(?:Contact|m) *: *<urn:[^\r]*\r\n/i, "$1"));
    };
  }

  /** Take UPDATE for this session, until it ends. */
  track(session: Session): void {
    this.#sessions.set(session.id, session);
    session.stateChange.addListener((state) => {
      if (state === SessionState.Terminated) this.#sessions.delete(session.id);
    });
  }

  /** Handle one UPDATE; false when it is so broken that SIP.js shall drop it as it drops any other. */
  #received(raw: string): boolean {
    const message = Parser.parseMessage(raw, this.#userAgent.getLogger("sip.Parser"));
    if (!(message instanceof IncomingRequestMessage)) return false;
    if (!MANDATORY_HEADERS.every((header) => message.hasHeader(header))) return false;
    const retransmitted = this.#core.userAgentServers.get(message.viaBranch);
    if (retransmitted !== undefined) {
      retransmitted.transaction.receiveRequest(message);
      return true;
    }
    const dialog = this.#core.dialogs.get(message.callId + message.toTag + message.fromTag);
    const session =
      this.#sessions.get(message.callId + message.toTag) ?? this.#sessions.get(message.callId + message.fromTag);
    if (!(dialog instanceof SessionDialog) || session === undefined) {
      this.#core.replyStateless(message, { statusCode: 481 });
      return true;
    }
    // RFC 3261 §12.2.2: a CSeq that does not grow is out of order.
    if (dialog.remoteSequenceNumber !== undefined && message.cseq <= dialog.remoteSequenceNumber) {
      this.#core.replyStateless(message, { statusCode: 500 });
      return true;
    }
    // The base class records the CSeq; the session dialog's own method would answer 501.
    Dialog.prototype.receiveRequest.call(dialog, message);
    this.#inDialog(session, dialog, new UpdateUserAgentServer(this.#core, message));
    return true;
  }

  #inDialog(session: Session, dialog: SessionDialog, server: UpdateUserAgentServer): void {
    const unsupported = server.message.getHeader("require");
    if (unsupported !== undefined) {
      server.reject({ statusCode: 420, extraHeaders: [`Unsupported: ${unsupported}`] });
      return;
    }
    const offer = getBody(server.message);
    if (offer === undefined) {
      this.#take(session, dialog, server.message);
      server.accept({ statusCode: 200, extraHeaders: this.#successHeaders() });
      return;
    }
    if (offer.contentDisposition !== "session" || offer.contentType !== "application/sdp") {
      server.reject({ statusCode: 415, extraHeaders: [ACCEPT_HEADER] });
      return;
    }
    // RFC 3311 §5.2: their earlier offer is unanswered → 500 and Retry-After; ours is → 491.
    if (this.#busy.has(dialog.id) || dialog.reinviteUserAgentServer !== undefined) {
      server.reject({ statusCode: 500, extraHeaders: [`Retry-After: ${this.#retryAfterS()}`] });
      return;
    }
    if (dialog.reinviteUserAgentClient !== undefined || dialog.signalingState === SignalingState.HaveLocalOffer) {
      server.reject({ statusCode: 491 });
      return;
    }
    this.#busy.add(dialog.id);
    void this.#answer(session, dialog, offer, server);
  }

  /**
   * Answer an offer. The dialog's own signalingState stays Stable on purpose: were it HaveRemoteOffer when the 200 to
   * the INVITE comes in between, SIP.js would answer this offer in the ACK.
   */
  async #answer(
    session: Session,
    dialog: SessionDialog,
    offer: Body,
    server: UpdateUserAgentServer,
  ): Promise<void> {
    const handler: SettlingHandler | undefined = session.sessionDescriptionHandler;
    try {
      if (handler === undefined) throw new Error("no media in this session");
      // The answer in the 183 may still be on its way into the browser.
      await handler.settled?.();
      const options = session.sessionDescriptionHandlerOptionsReInvite;
      const modifiers = session.sessionDescriptionHandlerModifiersReInvite;
      await handler.setDescription(offer.content, options, modifiers);
      const answer = await handler.getDescription(options, modifiers);
      this.#take(session, dialog, server.message);
      this.#busy.delete(dialog.id);
      server.accept({
        statusCode: 200,
        extraHeaders: this.#successHeaders(),
        body: { contentDisposition: "session", contentType: answer.contentType, content: answer.body },
      });
      this.#options.onUpdate?.({ session, offer: offer.content, answer: answer.body });
    } catch (error) {
      await this.#rollback(handler);
      this.#busy.delete(dialog.id);
      this.#refuse(session, server, error instanceof Error ? error.message : String(error));
    }
  }

  #take(session: Session, dialog: SessionDialog, message: IncomingRequestMessage): void {
    TargetRefresh.refresh(dialog, message);
    this.#options.onTaken?.(session, message);
  }

  async #rollback(handler: SettlingHandler | undefined): Promise<void> {
    try {
      await handler?.rollbackDescription?.();
    } catch {
      // The offer was never taken, or the call ended meanwhile: there is nothing to take back.
    }
  }

  #refuse(session: Session, server: UpdateUserAgentServer, why: string): void {
    if (session.state === SessionState.Terminated) {
      server.reject({ statusCode: 481 });
      return;
    }
    this.#logger.warn("event=update_refused status=488");
    const warning = warningToText({ code: 399, agent: "webrtc-ims-sdk", text: why });
    server.reject({ statusCode: 488, extraHeaders: [warning] });
  }

  #successHeaders(): string[] {
    const { contact } = this.#userAgent;
    return [`Contact: ${contact.toString({ outbound: contact.pubGruu === undefined })}`, ALLOW_HEADER];
  }

  #retryAfterS(): number {
    return this.#options.retryAfterS?.() ?? Math.floor(Math.random() * 11);
  }
}
