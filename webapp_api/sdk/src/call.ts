/**
 * One call, from the click to its end. Knows SIP.js's Inviter and the media session; knows nothing of registration.
 *
 * The offer is one-way (sendonly). The gateway answers it at once in a reliable 183 and adds the other direction with
 * an UPDATE in the early dialog, so that the media path stands before the callee is alerted.
 */

import { CALL_TRANSITIONS, type CallEvent, type CallState } from "./call-state.ts";
import type { PhoneConfig } from "./config.ts";
import { DirectionalSessionDescriptionHandler } from "./directional-session-description-handler.ts";
import { DTMF_CONTENT_TYPE, dtmfRelayToText, signalsFromText } from "./dtmf.ts";
import { IceError, PhoneError, SessionDescriptionError, SipError, SocketError, UsageError } from "./errors.ts";
import { Emitter, type Listener } from "./events.ts";
import type { GatheredCandidate, ReflexiveAddress } from "./ice-gathering.ts";
import { acquireLocalMedia, releaseLocalMedia, type LocalMedia, type MediaRequest } from "./media.ts";
import { reasonFromText, withSingleAllow, type Reason } from "./sip-headers.ts";
import { sipErrorFromResponse } from "./sip-response.ts";
import {
  Inviter,
  SessionState,
  UserAgent,
  type IncomingResponse,
  type IncomingResponseMessage,
  type Logger,
  type OutgoingInviteRequest,
} from "./sipjs.ts";
import { nextState } from "./state-table.ts";
import { callStatsFromReport, type CallStats } from "./stats.ts";
import type { UpdateSupport } from "./update-support.ts";

/** How long a hang-up waits for the gateway to confirm it before the call is over all the same, milliseconds. */
const HANGUP_TIMEOUT_MS = 4000;

export interface CallEnd {
  readonly by: "local" | "remote" | "failure";
  /** Why it failed; absent for a hang-up of either side. */
  readonly error?: PhoneError;
  /** Reason of the far side's BYE (RFC 3326), when it gave one. */
  readonly reason?: Reason;
}

export interface CallEvents {
  /** The call is in another state. */
  state: CallState;
  /** A track of the far side was added to remoteStream. */
  remoteTrack: MediaStreamTrack;
  /** The gateway changed the media with an UPDATE, and the page agreed. */
  update: { readonly count: number };
  /** The call is over; comes after the last `state`. */
  end: CallEnd;
}

export interface MediaLine {
  readonly mid: string | null;
  readonly kind: string;
  readonly direction: RTCRtpTransceiverDirection;
  readonly currentDirection: RTCRtpTransceiverDirection | null;
}

export interface CallDiagnostics {
  readonly callId: string | undefined;
  /** Every state the call has been in, with milliseconds since the call was made. */
  readonly states: readonly { readonly state: CallState; readonly atMs: number }[];
  /** The page's address as the gateway's STUN server sees it. */
  readonly reflexiveAddress: ReflexiveAddress | undefined;
  readonly candidates: readonly GatheredCandidate[];
  readonly gatheringMs: number | undefined;
  readonly connectionState: RTCPeerConnectionState | undefined;
  readonly iceConnectionState: RTCIceConnectionState | undefined;
  /** UPDATEs with an offer that were answered. */
  readonly updates: number;
  readonly mediaLines: readonly MediaLine[];
}

export interface CallDependencies {
  readonly userAgent: UserAgent;
  readonly updateSupport: UpdateSupport;
  readonly config: PhoneConfig;
  readonly targetUri: string;
  readonly media: MediaRequest;
}

export class Call {
  /** The address that is called, a SIP URI. */
  readonly target: string;
  /** All that comes from the far side. It is there from the start; tracks join it as the gateway adds them. */
  readonly remoteStream: MediaStream = new MediaStream();
  readonly #events = new Emitter<CallEvents>();
  readonly #dependencies: CallDependencies;
  readonly #startedMs = performance.now();
  readonly #states: { state: CallState; atMs: number }[] = [{ state: "preparing", atMs: 0 }];
  #state: CallState = "preparing";
  #media: LocalMedia | undefined;
  #inviter: Inviter | undefined;
  #inviteRequest: OutgoingInviteRequest | undefined;
  #handler: DirectionalSessionDescriptionHandler | undefined;
  #hangupTimer: ReturnType<typeof setTimeout> | undefined;
  #lastDiagnostics: CallDiagnostics | undefined;
  #answeredAt: Date | undefined;
  #updates = 0;
  #end: CallEnd | undefined;

  /** Made by Phone.call. */
  constructor(dependencies: CallDependencies) {
    this.#dependencies = dependencies;
    this.target = dependencies.targetUri;
    void this.#run();
  }

  get state(): CallState {
    return this.#state;
  }

  /** Why and by whom the call ended; undefined while it goes on. */
  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** When the callee answered. */
  get answeredAt(): Date | undefined {
    return this.#answeredAt;
  }

  /** Microphone and camera, or the application's own stream; undefined until they are there. */
  get localStream(): MediaStream | undefined {
    return this.#media?.stream;
  }

  on<Name extends keyof CallEvents>(name: Name, listener: Listener<CallEvents[Name]>): () => void {
    return this.#events.on(name, listener);
  }

  onState(listener: Listener<CallState>): () => void {
    return this.on("state", listener);
  }

  /** Cancel, or end, the call. Resolves when it is over; does nothing more when it already is. */
  async hangup(): Promise<void> {
    if (this.#state === "ended") return;
    const over = new Promise<void>((resolve) => this.on("end", () => resolve()));
    if (this.#state !== "ending") this.#requestHangup();
    await over;
  }

  /** Stop or resume sending `kind`; the line itself stays as it is. */
  mute(kind: "audio" | "video", muted: boolean): void {
    for (const track of this.#localTracks(kind)) track.enabled = !muted;
  }

  /** Whether nothing of `kind` is sent. */
  muted(kind: "audio" | "video"): boolean {
    return this.#localTracks(kind).every((track) => !track.enabled);
  }

  /** Send DTMF signals (0-9, A-D, *, #) one after the other by SIP INFO; SipError when the gateway refuses one. */
  async sendDtmf(tones: string, options: { readonly durationMs?: number } = {}): Promise<void> {
    const bodies = signalsFromText(tones).map((signal) => dtmfRelayToText(signal, options.durationMs));
    for (const content of bodies) {
      const inviter = this.#inviter;
      if (inviter === undefined || this.#state !== "established") throw new UsageError("DTMF needs an answered call");
      await new Promise<void>((resolve, reject) => {
        const refused = ({ message }: IncomingResponse): void => reject(sipErrorFromResponse("INFO", message));
        inviter
          .info({
            requestOptions: { body: { contentDisposition: "render", contentType: DTMF_CONTENT_TYPE, content } },
            requestDelegate: { onAccept: () => resolve(), onReject: refused, onRedirect: refused },
          })
          .catch(reject);
      });
    }
  }

  /** The browser's statistics of this moment; empty before and after the media session. */
  async stats(): Promise<CallStats> {
    const report = await this.#handler?.peerConnection?.getStats();
    return callStatsFromReport(report === undefined ? [] : (report as unknown as Map<string, unknown>));
  }

  /** What is known of this call's signalling and media path; after the end, as it last was. */
  diagnostics(): CallDiagnostics {
    const connection = this.#handler?.peerConnection;
    const last = this.#lastDiagnostics;
    return {
      callId: this.#inviter?.request.callId,
      states: [...this.#states],
      reflexiveAddress: this.#handler?.gathering.reflexiveAddress,
      candidates: [...(this.#handler?.gathering.candidates ?? [])],
      gatheringMs: this.#handler?.gatheringMs,
      connectionState: connection?.connectionState ?? last?.connectionState,
      iceConnectionState: connection?.iceConnectionState ?? last?.iceConnectionState,
      updates: this.#updates,
      mediaLines:
        connection?.getTransceivers().map(({ mid, receiver, direction, currentDirection }) => ({
          mid,
          kind: receiver.track.kind,
          direction,
          currentDirection,
        })) ??
        last?.mediaLines ??
        [],
    };
  }

  /** Phone: the socket is lost. A call that is not answered yet can no longer be; an answered one keeps its media. */
  socketLost(error: SocketError): void {
    if (this.#state === "ended" || this.#state === "established") return;
    this.#finish(this.#state === "ending" ? { by: "local" } : { by: "failure", error });
    void this.#inviter?.dispose().catch(() => undefined);
  }

  /** Phone: the gateway's UPDATE was answered. */
  updateAnswered(): void {
    this.#updates += 1;
    this.#events.emit("update", { count: this.#updates });
  }

  /** Phone: whether this call belongs to `session`. */
  owns(session: unknown): boolean {
    return session === this.#inviter;
  }

  /** Phone: the media session of this call, for SIP.js. */
  createHandler(logger: Logger): DirectionalSessionDescriptionHandler {
    const { config } = this.#dependencies;
    if (this.#media === undefined) throw new UsageError("the call has no local media");
    this.#handler = new DirectionalSessionDescriptionHandler(logger, {
      media: this.#media,
      iceServers: config.iceServers,
      iceGatheringTimeoutMs: config.iceGatheringTimeoutMs,
      onRemoteTrack: (track) => this.#remoteTrackAdded(track),
      onConnectionState: (state) => {
        if (state === "failed") this.#fail(new IceError("no media path to the gateway"));
      },
    });
    return this.#handler;
  }

  async #run(): Promise<void> {
    try {
      const media = await acquireLocalMedia(this.#dependencies.media);
      if (this.#end !== undefined) {
        releaseLocalMedia(media);
        return;
      }
      this.#media = media;
      this.#inviter = this.#createInviter();
      this.#apply("media_ready");
      this.#inviteRequest = await this.#inviter.invite({
        requestDelegate: {
          onProgress: ({ message }) =>
            this.#apply(message.statusCode === 180 ? "ringing_received" : "progress_received"),
          onReject: ({ message }) => this.#refused(message),
          onRedirect: ({ message }) => this.#refused(message),
        },
      });
    } catch (error) {
      this.#finish(
        this.#state === "ending" ? { by: "local" } : { by: "failure", error: phoneErrorFromException(error) },
      );
    }
  }

  #createInviter(): Inviter {
    const { userAgent, updateSupport } = this.#dependencies;
    const uri = UserAgent.makeURI(this.target);
    if (uri === undefined) throw new UsageError(`"${this.target}" is not an address that can be called`);
    const inviter = new Inviter(userAgent, uri, {
      // The answer of the 183 must be applied at once: an early UPDATE could never be answered otherwise.
      earlyMedia: true,
      delegate: {
        onBye: (bye) => {
          void bye.accept();
          const reason = reasonFromText(bye.request.getHeader("reason") ?? "");
          this.#finish({ by: "remote", ...(reason && { reason }) });
        },
        onInfo: (info) => void info.accept(),
        onRefer: (referral) => void referral.reject({ statusCode: 603 }),
      },
    });
    inviter.request.extraHeaders = withSingleAllow(inviter.request.extraHeaders);
    inviter.data = this;
    inviter.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.#answered();
      if (state === SessionState.Terminated) queueMicrotask(() => this.#terminated());
    });
    updateSupport.track(inviter);
    return inviter;
  }

  #requestHangup(): void {
    const { state } = this;
    this.#apply("hangup_requested");
    if (this.#state === "ended") {
      this.#finish({ by: "local" });
      return;
    }
    this.#hangupTimer = setTimeout(() => this.#finish({ by: "local" }), HANGUP_TIMEOUT_MS);
    const sent = state === "established" ? this.#inviter?.bye() : this.#inviter?.cancel();
    // A session that is already over in SIP.js reports its own end.
    sent?.catch(() => undefined);
    if (this.#media !== undefined) releaseLocalMedia(this.#media);
  }

  #answered(): void {
    this.#answeredAt ??= new Date();
    this.#apply("answer_received");
  }

  #refused(message: IncomingResponseMessage): void {
    if (this.#state === "ending") this.#finish({ by: "local" });
    else this.#finish({ by: "failure", error: sipErrorFromResponse("INVITE", message) });
  }

  /** SIP.js ended the session, and neither a response nor a BYE told us why. */
  #terminated(): void {
    if (this.#end !== undefined) return;
    if (this.#state === "ending") {
      this.#finish({ by: "local" });
      return;
    }
    const cause = this.#handler?.descriptionError;
    // SIP.js ends its session on an answer the browser refuses, but leaves the callee ringing.
    if (this.#state !== "established") this.#inviteRequest?.cancel('SIP;cause=488;text="Not Acceptable Here"');
    const error =
      cause === undefined
        ? new SipError({ method: "INVITE", status: 500, reasonPhrase: "The call ended unexpectedly" })
        : new SessionDescriptionError(`the browser does not take the gateway's answer: ${cause.message}`, { cause });
    this.#finish({ by: "failure", error });
  }

  #fail(error: PhoneError): void {
    if (this.#end !== undefined || this.#state === "ending") return;
    const { state } = this;
    this.#finish({ by: "failure", error });
    const sent = state === "established" ? this.#inviter?.bye() : this.#inviter?.cancel();
    sent?.catch(() => undefined);
  }

  #finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#lastDiagnostics = this.diagnostics();
    this.#end = end;
    clearTimeout(this.#hangupTimer);
    if (this.#media !== undefined) releaseLocalMedia(this.#media);
    if (this.#state !== "ended") this.#apply("call_terminated");
    this.#events.emit("end", end);
  }

  #apply(event: CallEvent): void {
    // SIP.js goes on reporting responses that come after the end.
    if (this.#state === "ended") return;
    const next = nextState(CALL_TRANSITIONS, this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#states.push({ state: next, atMs: performance.now() - this.#startedMs });
    this.#events.emit("state", next);
  }

  #remoteTrackAdded(track: MediaStreamTrack): void {
    if (this.remoteStream.getTrackById(track.id) !== null) return;
    // The newest line of a kind is the one the gateway sends on.
    for (const earlier of this.remoteStream.getTracks()) {
      if (earlier.kind === track.kind) this.remoteStream.removeTrack(earlier);
    }
    this.remoteStream.addTrack(track);
    this.#events.emit("remoteTrack", track);
  }

  #localTracks(kind: "audio" | "video"): MediaStreamTrack[] {
    return this.#media?.stream.getTracks().filter((track) => track.kind === kind) ?? [];
  }
}

function phoneErrorFromException(error: unknown): PhoneError {
  if (error instanceof PhoneError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SessionDescriptionError(`the browser cannot make an offer: ${message}`, { cause: error });
}
