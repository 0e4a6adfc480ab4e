/**
 * One call, from its begin to its end: what outgoing and incoming calls share. Knows SIP.js's Session and the media
 * session; knows nothing of registration.
 */

import { CALL_TRANSITIONS, type CallEvent, type CallState } from "./call-state.ts";
import type { CallEnd, CallEndCause } from "./call-end.ts";
import type { PhoneConfig } from "./config.ts";
import { DTMF_CONTENT_TYPE, dtmfRelayToText, signalsFromText } from "./dtmf.ts";
import { IceError, PhoneError, SessionDescriptionError, UsageError } from "./errors.ts";
import { Emitter, type Listener } from "./events.ts";
import type { GatheredCandidate, ReflexiveAddress } from "./ice-gathering.ts";
import { releaseLocalMedia, type LocalMedia } from "./media.ts";
import type { MediaSessionDescriptionHandler, MediaSessionOptions } from "./media-session-description-handler.ts";
import { reasonsFromFields } from "./sip-headers.ts";
import { sipErrorFromResponse } from "./sip-response.ts";
import type { IncomingResponse, Logger, Session, SessionDelegate, UserAgent } from "./sipjs.ts";
import { nextState } from "./state-table.ts";
import { callStatsFromReport, type CallStats } from "./stats.ts";
import type { UpdateSupport } from "./update-support.ts";

/** How long a hang-up waits for the gateway to confirm it before the call is over all the same, milliseconds. */
const HANGUP_TIMEOUT_MS = 4000;

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
  /** Every state the call has been in, with milliseconds since the call began. */
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
}

export abstract class Call {
  abstract readonly direction: "outgoing" | "incoming";
  /** All that comes from the far side. It is there from the start; tracks join it as the gateway adds them. */
  readonly remoteStream: MediaStream = new MediaStream();
  protected readonly dependencies: CallDependencies;
  protected media: LocalMedia | undefined;
  protected handler: MediaSessionDescriptionHandler | undefined;
  readonly #events = new Emitter<CallEvents>();
  readonly #startedMs = performance.now();
  readonly #states: { state: CallState; atMs: number }[];
  #state: CallState;
  #hangupTimer: ReturnType<typeof setTimeout> | undefined;
  #lastDiagnostics: CallDiagnostics | undefined;
  #answeredAt: Date | undefined;
  #updates = 0;
  #end: CallEnd | undefined;
  #owesBye = false;

  protected constructor(dependencies: CallDependencies, state: CallState) {
    this.dependencies = dependencies;
    this.#state = state;
    this.#states = [{ state, atMs: 0 }];
  }

  /** SIP.js's session, as soon as there is one. */
  protected abstract get session(): Session | undefined;
  protected abstract get callId(): string | undefined;
  /** What this side did when it ends the call before it is answered. */
  protected abstract readonly withdrawal: CallEndCause;
  /** Take back (CANCEL), or refuse, the INVITE that is not answered yet. */
  protected abstract withdraw(): Promise<unknown> | undefined;
  protected abstract makeHandler(logger: Logger, options: MediaSessionOptions): MediaSessionDescriptionHandler;

  get state(): CallState {
    return this.#state;
  }

  /** Why and by whom the call ended; undefined while it goes on. */
  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** When the call was answered. */
  get answeredAt(): Date | undefined {
    return this.#answeredAt;
  }

  /** Microphone and camera, or the application's own stream; undefined until they are there. */
  get localStream(): MediaStream | undefined {
    return this.media?.stream;
  }

  on<Name extends keyof CallEvents>(name: Name, listener: Listener<CallEvents[Name]>): () => void {
    return this.#events.on(name, listener);
  }

  onState(listener: Listener<CallState>): () => void {
    return this.on("state", listener);
  }

  /** Cancel, refuse or end the call. Resolves when it is over; does nothing more when it already is. */
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
      const { session } = this;
      if (session === undefined || this.#state !== "established") throw new UsageError("DTMF needs an answered call");
      await new Promise<void>((resolve, reject) => {
        const refused = ({ message }: IncomingResponse): void => reject(sipErrorFromResponse("INFO", message));
        session
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
    const report = await this.handler?.peerConnection?.getStats();
    return callStatsFromReport(report === undefined ? [] : (report as unknown as Map<string, unknown>));
  }

  /** What is known of this call's signalling and media path; after the end, as it last was. */
  diagnostics(): CallDiagnostics {
    const connection = this.handler?.peerConnection;
    const last = this.#lastDiagnostics;
    return {
      callId: this.callId,
      states: [...this.#states],
      reflexiveAddress: this.handler?.gathering.reflexiveAddress,
      candidates: [...(this.handler?.gathering.candidates ?? [])],
      gatheringMs: this.handler?.gatheringMs,
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

  /**
   * Phone: the socket is lost. A call that is not answered yet can no longer be; an answered one keeps its media and
   * waits for the new socket.
   */
  socketLost(error: PhoneError): void {
    if (this.#state === "ended" || this.#state === "established") return;
    this.finish(this.#state === "ending" ? this.localEnd() : failure(error));
    void this.session?.dispose().catch(() => undefined);
  }

  /** Phone: the socket will not come back, and with it nothing that could be said about this call. */
  abandon(error: PhoneError): void {
    this.finish(failure(error));
    void this.session?.dispose().catch(() => undefined);
  }

  /** Phone: this call ended while the socket was away, and the far side does not know yet. */
  get owesBye(): boolean {
    return this.#owesBye;
  }

  /** Phone: the gateway knows this page again; say what could not be said. */
  socketRestored(): void {
    if (!this.#owesBye) return;
    this.#owesBye = false;
    this.session?.bye().catch(() => undefined);
  }

  /** Phone: the gateway's UPDATE was answered. */
  updateAnswered(): void {
    this.#updates += 1;
    this.#events.emit("update", { count: this.#updates });
  }

  /** Phone: whether this call belongs to `session`. */
  owns(session: unknown): boolean {
    return session === this.session;
  }

  /** Phone: the media session of this call, for SIP.js. */
  createHandler(logger: Logger): MediaSessionDescriptionHandler {
    const { config } = this.dependencies;
    if (this.media === undefined) throw new UsageError("the call has no local media");
    this.handler = this.makeHandler(logger, {
      media: this.media,
      iceServers: config.iceServers,
      iceGatheringTimeoutMs: config.iceGatheringTimeoutMs,
      onRemoteTrack: (track) => this.#remoteTrackAdded(track),
      onConnectionState: (state) => {
        if (state === "failed") this.fail(new IceError("no media path to the gateway"));
      },
    });
    return this.handler;
  }

  /** What both kinds of session tell in the same way. */
  protected sessionDelegate(): SessionDelegate {
    return {
      onBye: (bye) => {
        void bye.accept();
        const reason = reasonsFromFields(bye.request.getHeaders("reason"))[0];
        this.finish({ by: "remote", cause: "hangup", ...(reason && { reason }) });
      },
      onInfo: (info) => void info.accept(),
      onRefer: (referral) => void referral.reject({ statusCode: 603 }),
    };
  }

  protected answered(event: "answer_received" | "answer_sent"): void {
    this.#answeredAt ??= new Date();
    this.apply(event);
  }

  /** The end that this side brought about. */
  protected localEnd(): CallEnd {
    return { by: "local", cause: this.#answeredAt === undefined ? this.withdrawal : "hangup" };
  }

  /** End the call because of `error`, and tell the far side. */
  protected fail(error: PhoneError): void {
    if (this.#end !== undefined || this.#state === "ending") return;
    const established = this.#state === "established";
    this.finish(failure(error));
    this.#tellFarSide(established);
  }

  protected finish(end: CallEnd): void {
    if (this.#end !== undefined) return;
    this.#lastDiagnostics = this.diagnostics();
    this.#end = end;
    clearTimeout(this.#hangupTimer);
    if (this.media !== undefined) releaseLocalMedia(this.media);
    if (this.#state !== "ended") this.apply("call_terminated");
    this.#events.emit("end", end);
  }

  protected apply(event: CallEvent): void {
    // SIP.js goes on reporting responses that come after the end.
    if (this.#state === "ended") return;
    const next = nextState(CALL_TRANSITIONS, this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#states.push({ state: next, atMs: performance.now() - this.#startedMs });
    this.#events.emit("state", next);
  }

  #requestHangup(): void {
    const established = this.#state === "established";
    this.apply("hangup_requested");
    if (this.media !== undefined) releaseLocalMedia(this.media);
    if (this.#state === "ended" || !this.dependencies.userAgent.isConnected()) {
      this.#tellFarSide(established);
      this.finish(this.localEnd());
      return;
    }
    this.#hangupTimer = setTimeout(() => this.finish(this.localEnd()), HANGUP_TIMEOUT_MS);
    this.#tellFarSide(established);
  }

  #tellFarSide(established: boolean): void {
    if (established && !this.dependencies.userAgent.isConnected()) {
      this.#owesBye = true;
      this.handler?.close();
      return;
    }
    const sent = established ? this.session?.bye() : this.withdraw();
    // A session that is already over in SIP.js reports its own end.
    sent?.catch(() => undefined);
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
    return this.media?.stream.getTracks().filter((track) => track.kind === kind) ?? [];
  }
}

export function failure(error: PhoneError): CallEnd {
  return { by: "failure", cause: "failed", error };
}

/** The typed error for what SIP.js or the browser threw while it made a description; `what` is "an offer" or "an answer". */
export function phoneErrorFromException(error: unknown, what: string): PhoneError {
  if (error instanceof PhoneError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SessionDescriptionError(`the browser cannot make ${what}: ${message}`, { cause: error });
}
