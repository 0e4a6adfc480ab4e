/**
 * A call that the page makes. The offer is one-way (sendonly), unless told otherwise. The gateway answers it at once in a
 * reliable 183 and adds the other direction with an UPDATE in the early dialog, so that the media path stands before the
 * callee is alerted.
 */

import { Call } from "./call.ts";
import { failure } from "./call-end.ts";
import type { CallDependencies } from "./call-types.ts";
import { RECV_INFO_HEADER } from "./dtmf.ts";
import { phoneErrorFromException, SessionDescriptionError, SipError, UsageError } from "./errors.ts";
import { acquireLocalMedia, releaseLocalMedia, type MediaRequest } from "./media.ts";
import { withSingleAllow } from "./sip-headers.ts";
import { errorFromResponse } from "./sip-response.ts";
import {
  Inviter,
  SessionState,
  UserAgent,
  type IncomingResponseMessage,
  type OutgoingInviteRequest,
} from "./sipjs.ts";

export class OutgoingCall extends Call {
  readonly direction = "outgoing";
  /** The address that is called, a SIP URI. */
  readonly target: string;
  /** @internal */
  protected readonly withdrawal = "cancelled";
  /** @internal */
  protected readonly oneWay: boolean;
  readonly #headers: readonly string[];
  #inviter: Inviter | undefined;
  #inviteRequest: OutgoingInviteRequest | undefined;

  /** Made by Phone.call; `headers` are lines for the INVITE. @internal */
  constructor(dependencies: CallDependencies, targetUri: string, media: MediaRequest, headers: readonly string[] = []) {
    super(dependencies, "preparing");
    this.target = targetUri;
    this.oneWay = dependencies.oneWayStreams;
    this.#headers = headers;
    void this.#run(media);
  }

  /** @internal */
  protected get session(): Inviter | undefined {
    return this.#inviter;
  }

  /** @internal */
  protected get callId(): string | undefined {
    return this.#inviter?.request.callId;
  }

  /** @internal */
  protected withdraw(): Promise<unknown> | undefined {
    return this.#inviter?.cancel();
  }

  async #run(request: MediaRequest): Promise<void> {
    try {
      const media = await acquireLocalMedia(request);
      if (this.end !== undefined) {
        releaseLocalMedia(media);
        return;
      }
      this.take(media);
      this.#inviter = this.#createInviter();
      this.apply("media_ready");
      this.#inviteRequest = await this.#inviter.invite({
        requestDelegate: {
          onAccept: ({ message }) => this.farEndNamed(message),
          onProgress: ({ message }) =>
            this.apply(message.statusCode === 180 ? "ringing_received" : "progress_received"),
          onReject: ({ message }) => this.#refused(message),
          onRedirect: ({ message }) => this.#refused(message),
        },
      });
    } catch (error) {
      this.finish(this.state === "ending" ? this.localEnd() : failure(phoneErrorFromException(error, "an offer")));
    }
  }

  #createInviter(): Inviter {
    const { userAgent, updateSupport } = this.dependencies;
    const uri = UserAgent.makeURI(this.target);
    if (uri === undefined) throw new UsageError(`"${this.target}" is not an address that can be called`);
    const inviter = new Inviter(userAgent, uri, {
      // The answer of the 183 must be applied at once: an early UPDATE could never be answered otherwise.
      earlyMedia: true,
      delegate: this.sessionDelegate(),
    });
    inviter.request.extraHeaders = [
      ...withSingleAllow(inviter.request.extraHeaders),
      RECV_INFO_HEADER,
      ...this.#headers,
    ];
    inviter.data = this;
    inviter.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.answered("answer_received");
      if (state === SessionState.Terminated) queueMicrotask(() => this.#terminated());
    });
    updateSupport.track(inviter);
    return inviter;
  }

  #refused(message: IncomingResponseMessage): void {
    this.finish(this.state === "ending" ? this.localEnd() : failure(errorFromResponse("INVITE", message)));
  }

  /** SIP.js ended the session, and neither a response nor a BYE told us why. */
  #terminated(): void {
    if (this.end !== undefined) return;
    if (this.state === "ending") {
      this.finish(this.localEnd());
      return;
    }
    const cause = this.handler?.descriptionError;
    // SIP.js ends its session on an answer the browser refuses, but leaves the callee ringing.
    if (this.state !== "established") this.#inviteRequest?.cancel('SIP;cause=488;text="Not Acceptable Here"');
    const error =
      cause === undefined
        ? new SipError({ method: "INVITE", status: 500, reasonPhrase: "The call ended unexpectedly" })
        : new SessionDescriptionError(`the browser does not take the gateway's answer: ${cause.message}`, { cause });
    this.finish(failure(error));
  }
}
