/**
 * A call to the page. The gateway offers one two-way line of each kind, or a line for each direction; the page rings until
 * somebody answers, refuses, or the caller (or another device of the user) ends it.
 */

import { Call } from "./call.ts";
import type { CallDependencies } from "./call-types.ts";
import { endOfCancelledCall, failure, whileRunning, type CallEnd } from "./call-end.ts";
import { callerFromMessage, type Caller } from "./caller.ts";
import { RECV_INFO_HEADER } from "./dtmf.ts";
import { CallEndedError, phoneErrorFromException, SessionDescriptionError, SipError, UsageError } from "./errors.ts";
import { acquireLocalMedia, releaseLocalMedia, withoutTracks, type LocalMedia, type MediaRequest } from "./media.ts";
import { offers, splitsDirections } from "./sdp.ts";
import { ALLOW_HEADER, reasonsFromFields, warningToText } from "./sip-headers.ts";
import { SessionState, type Invitation } from "./sipjs.ts";
import { targetUriFromText } from "./target.ts";

const BUSY_HERE = 486;
const TEMPORARILY_UNAVAILABLE = 480;

export class IncomingCall extends Call {
  readonly direction = "incoming";
  readonly caller: Caller;
  /** Whether the caller wants to show, or to see, a picture. */
  readonly offersVideo: boolean;
  /** The call of this page that this one takes the place of when it is answered (RFC 3891). */
  readonly replaces: Call | undefined;
  override get farEnd(): Caller {
    return super.farEnd ?? this.caller;
  }

  /** @internal */
  protected readonly withdrawal = "declined";
  /** @internal */
  protected readonly oneWay: boolean;
  /** @internal */
  protected override acknowledged = false;
  readonly #invitation: Invitation;
  readonly #offersAudio: boolean;

  /** Made by Phone. @internal */
  constructor(dependencies: CallDependencies, invitation: Invitation) {
    super(dependencies, "alerting");
    const { request } = invitation;
    this.#invitation = invitation;
    this.caller = callerFromMessage(request, request.getHeader("from") ?? "");
    // Without a description the page is the one to offer (RFC 3261 §13.2.1), and may offer what it likes.
    this.#offersAudio = request.body === "" || offers(request.body, "audio");
    this.offersVideo = request.body === "" || offers(request.body, "video");
    this.oneWay = splitsDirections(request.body);
    this.replaces = invitation.replacee?.data instanceof Call ? invitation.replacee.data : undefined;
    // SIP.js would say BYE in it, which fails where it is over by then, or not answered yet.
    invitation._replacee = undefined;
    invitation.data = this;
    invitation.delegate = {
      ...this.sessionDelegate(),
      onAck: () => void (this.acknowledged = true),
      onCancel: ({ request: cancel }) =>
        this.finish(endOfCancelledCall(reasonsFromFields(cancel.getHeaders("reason")))),
    };
    invitation.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.answered("answer_sent");
      if (state === SessionState.Terminated) queueMicrotask(() => this.finish(this.#unexplainedEnd()));
    });
    dependencies.updateSupport.track(invitation);
  }

  /**
   * Take the call. Audio unless told otherwise; video only when asked for, and only when the caller offers it.
   * When there is no microphone or camera, the call goes on ringing and may be answered another way; any other failure
   * ends it.
   */
  async answer(request: MediaRequest = {}): Promise<void> {
    if (this.state !== "alerting") throw new UsageError("only a call that rings can be answered");
    this.apply("answer_requested");
    const media = await this.#acquire(request);
    if (this.end !== undefined) {
      releaseLocalMedia(media);
      return;
    }
    this.take(media);
    await this.#attach(media);
    await this.#accept();
  }

  /**
   * Agree on the media before the person answers, in a reliable 183 (RFC 3262): sound flows at once when they do. Nothing
   * is captured or sent until then; a camera is added after the answer. Throws UsageError when the caller takes none,
   * the error of the call, or CallEndedError, when it ends first.
   */
  async prepare(): Promise<void> {
    const { request } = this.#invitation;
    const able = /\b100rel\b/i.test([...request.getHeaders("supported"), ...request.getHeaders("require")].join());
    if (this.state !== "alerting" || this.media !== undefined || !able || request.body === "") {
      throw new UsageError("this call cannot be prepared");
    }
    this.expectedMedia = this.#offersAudio ? ["audio"] : [];
    this.media = { stream: new MediaStream(), borrowed: true };
    try {
      await whileRunning(this, this.#invitation.progress({ statusCode: 183, rel100: true, extraHeaders: [ALLOW_HEADER] }));
    } catch (error) {
      if (this.end === undefined) throw phoneErrorFromException(error, "an answer");
    }
    // SIP.js tells of it in its own words, and after a CANCEL late or not at all.
    if (this.end !== undefined) throw this.end.error ?? new CallEndedError("the call is over");
  }

  /** Refuse the call: 486 by default, 603 to decline on all devices, 480 to let others go on ringing. */
  async reject(options: { readonly status?: number } = {}): Promise<void> {
    const status = options.status ?? BUSY_HERE;
    if (!Number.isInteger(status) || status < 400 || status > 699) {
      throw new UsageError("a call is refused with a status from 400 to 699");
    }
    if (this.state !== "alerting" && this.state !== "answering") throw new UsageError("the call does not ring any more");
    this.finish(this.localEnd());
    await this.#invitation.reject({ statusCode: status });
  }

  /** Send the caller to somebody else (302): a name, a number, a tel or SIP address. */
  async deflect(target: string): Promise<void> {
    const uri = targetUriFromText(target, this.dependencies.config.domain);
    if (this.state !== "alerting") throw new UsageError("the call does not ring any more");
    this.finish({ by: "local", cause: "deflected" });
    await this.#invitation.reject({ statusCode: 302, extraHeaders: [`Contact: <${uri}>`] });
  }

  /** Phone: tell the caller that this side rings. @internal */
  alert(): void {
    if (this.state !== "alerting") return;
    // A caller that requires 100rel would need an answer in the 180 before anybody has answered: it gets none.
    if (/\b100rel\b/i.test(this.#invitation.request.getHeader("require") ?? "")) return;
    this.#invitation.progress({ statusCode: 180, extraHeaders: [ALLOW_HEADER] }).catch(() => undefined);
  }

  /** @internal */
  protected get session(): Invitation {
    return this.#invitation;
  }

  /** @internal */
  protected get callId(): string {
    return this.#invitation.request.callId;
  }

  /** @internal */
  protected withdraw(): Promise<unknown> {
    return this.#invitation.reject({ statusCode: TEMPORARILY_UNAVAILABLE });
  }

  /** SIP.js would refuse with 480; what is wrong is the description (RFC 3261 §21.4.26). @internal */
  protected override descriptionRefused(cause: Error): void {
    if (this.state !== "answering" && this.state !== "alerting") return;
    const warning = warningToText({ code: 399, agent: "webrtc-ims-sdk", text: cause.message });
    this.finish(failure(new SessionDescriptionError(`the browser does not take the offer: ${cause.message}`, { cause })));
    void this.#invitation.reject({ statusCode: 488, extraHeaders: [warning] }).catch(() => undefined);
  }

  async #accept(): Promise<void> {
    try {
      // SIP.js lists its own methods in the 200; this field adds ours (RFC 3261 §7.3.1).
      await this.#invitation.accept({ extraHeaders: ["Allow: UPDATE", RECV_INFO_HEADER] });
      this.replaces?.makeWay();
    } catch (error) {
      this.finish(failure(phoneErrorFromException(error, "an answer")));
      // After a CANCEL that came in between, the call is over and nothing has failed.
      if (this.end?.error !== undefined) throw this.end.error;
    }
  }

  /** The lines of a call that was prepared get what they waited for. */
  async #attach(media: LocalMedia): Promise<void> {
    const lines = this.handler?.lines;
    const [microphone] = media.stream.getAudioTracks();
    if (lines === undefined) return;
    if (microphone !== undefined) lines.setTrack("audio", microphone, media.stream);
    await lines.attach("audio", "video");
    const [camera] = media.stream.getVideoTracks();
    if (camera === undefined) return;
    // A picture was not promised; it is offered when the call is answered. A camera that nobody wants is given back.
    this.on("state", (state) => {
      if (state !== "established") return;
      this.addVideo({ streams: new MediaStream([camera]) }).catch(() => {
        if (this.media !== undefined && !this.sendsVideo) this.media = withoutTracks(this.media, "video");
      });
    });
  }

  async #acquire(request: MediaRequest): Promise<LocalMedia> {
    const { audio = true, video = false, ...rest } = request;
    try {
      return await acquireLocalMedia({
        ...rest,
        audio: this.#offersAudio && audio,
        video: this.offersVideo && video,
      });
    } catch (error) {
      this.apply("answer_withheld");
      throw error;
    }
  }

  /** SIP.js ended the session, and neither this side nor a CANCEL or BYE said so. */
  #unexplainedEnd(): CallEnd {
    if (this.state === "ending") return this.localEnd();
    if (this.answeredAt === undefined) return { by: "remote", cause: "missed" };
    return failure(new SipError({ method: "INVITE", status: 408, reasonPhrase: "The answer was not acknowledged" }));
  }
}
