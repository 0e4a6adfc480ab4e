/** What outgoing and incoming calls share. Knows SIP.js's Session and the media session; knows nothing of registration. */

import { CALL_TRANSITIONS, type CallEvent, type CallState } from "./call-state.ts";
import { failure, whileRunning, type CallEnd, type CallEndCause } from "./call-end.ts";
import { callerFromMessage, isSameCaller, type Caller } from "./caller.ts";
import { CallRecord } from "./call-record.ts";
import { CallTransfers } from "./call-transfers.ts";
import type { CallDependencies, CallDiagnostics, CallEvents, Held } from "./call-types.ts";
import { DTMF_CONTENT_TYPE, Digits, dtmfRelayFromText, untilHeard, type DtmfOptions } from "./dtmf.ts";
import { CallEndedError, IceError, PhoneError, phoneErrorFromException, SipError, SocketError, UsageError } from "./errors.ts";
import { Emitter, type Listener } from "./events.ts";
import { releaseLocalMedia, watchDevices, type LocalMedia, type MediaRequest } from "./media.ts";
import { mediaLinesOf, type MediaKind } from "./media-lines.ts";
import { MediaChanges } from "./media-changes.ts";
import { MediaSession } from "./media-session.ts";
import { Recovery } from "./recovery.ts";
import { RemoteMedia } from "./remote-media.ts";
import { Renegotiation } from "./renegotiation.ts";
import { reasonsFromFields } from "./sip-headers.ts";
import { sendInfo } from "./sip-response.ts";
import { SessionDialog, type IncomingResponseMessage, type Session, type SessionDelegate } from "./sipjs.ts";
import { nextState } from "./state-table.ts";
import { callStatsFromReport, type CallStats } from "./stats.ts";

/** How long a hang-up that gets no response may take before the call is over all the same, milliseconds. */
const HANGUP_TIMEOUT_MS = 4000;

export abstract class Call {
  abstract readonly direction: "outgoing" | "incoming";
  /** All that comes from the far side. It is there from the start; tracks join it as the gateway adds them. */
  readonly remoteStream: MediaStream;
  /** @internal */
  protected readonly dependencies: CallDependencies;
  /** @internal */
  protected media: LocalMedia | undefined;
  /** @internal */
  protected handler: MediaSession | undefined;
  #replaced = false;
  readonly #renegotiation: Renegotiation;
  readonly #recovery: Recovery;
  readonly #changes: MediaChanges;
  readonly #transfers: CallTransfers;
  readonly #digits = new Digits();
  readonly #events = new Emitter<CallEvents>();
  readonly #remote = new RemoteMedia();
  readonly #record: CallRecord;
  #hangupTimer: ReturnType<typeof setTimeout> | undefined;
  #lastDiagnostics: CallDiagnostics | undefined;
  #updates = 0;
  #farEnd: Caller | undefined;
  /** Ends the INFO that is under way, for us. */
  #abandonDigit: ((error: PhoneError) => void) | undefined;

  /** @internal */
  protected constructor(dependencies: CallDependencies, state: CallState) {
    this.dependencies = dependencies;
    this.remoteStream = this.#remote.stream;
    this.#record = new CallRecord(state);
    const isConnected = (): boolean => dependencies.userAgent.isConnected();
    this.#renegotiation = new Renegotiation({
      dialog: () => this.#dialog,
      media: () => this.handler,
      contact: () => this.#contact,
      ownsCallId: state === "preparing",
      isConnected,
      isRunning: () => this.state === "established",
      isAcknowledged: () => this.acknowledged,
      onBroken: (error) => this.#broken(error),
      onNoReply: dependencies.onNoReply,
    });
    this.#changes = new MediaChanges({
      session: () => this.handler,
      localMedia: () => this.media,
      onLocalMedia: (media) => watchDevices((this.media = media), this.#events),
      isOver: () => this.end !== undefined || this.state === "ending",
      renegotiate: async (change) => {
        this.#needRunning();
        await whileRunning(this.#events, this.#renegotiation.run(change));
      },
      onHold: (held) => this.#events.emit("hold", held),
      onVideoOffered: () => this.#events.emit("videoOffered", undefined),
    });
    this.#transfers = new CallTransfers({
      dependencies,
      events: this.#events,
      dialog: () => this.#dialog,
      contact: () => this.#contact,
    });
    this.#recovery = new Recovery({
      restart: () => this.#renegotiation.run({ iceRestart: true }),
      isConnected,
      isUp: () => this.handler?.peerConnection?.connectionState === "connected",
      onRecovering: (recovering) => {
        if (this.end === undefined) this.#events.emit("recovering", recovering);
      },
      onLost: (error) => this.fail(error),
    });
  }

  /** SIP.js's session, as soon as there is one. @internal */
  protected abstract get session(): Session | undefined;
  /** @internal */
  protected abstract get callId(): string | undefined;
  /** What this side did when it ends the call before it is answered. @internal */
  protected abstract readonly withdrawal: CallEndCause;
  /** Take back (CANCEL), or refuse, the INVITE that is not answered yet. @internal */
  protected abstract withdraw(): Promise<unknown> | undefined;
  /** Whether new lines of this side go one way. @internal */
  protected abstract readonly oneWay: boolean;
  /** Whether the far side has acknowledged this side's answer; of a call that this side makes there is none. @internal */
  protected acknowledged = true;
  /** What this side will send, but does not have yet. @internal */
  protected expectedMedia: readonly MediaKind[] = [];
  /** The browser does not take the far side's description. @internal */
  protected descriptionRefused(_cause: Error): void {}

  get state(): CallState {
    return this.#record.state;
  }

  /** Why and by whom the call ended; undefined while it goes on. */
  get end(): CallEnd | undefined {
    return this.#record.end;
  }

  /** When the call was answered. */
  get answeredAt(): Date | undefined {
    return this.#record.answeredAt;
  }

  /**
   * Whom the network has at the far side: who calls, who has answered, then whoever takes their place (RFC 4916).
   * Undefined of an outgoing call until the network says it.
   */
  get farEnd(): Caller | undefined {
    return this.#farEnd;
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
    if (this.state === "ended") return;
    const over = new Promise<void>((resolve) => this.on("end", () => resolve()));
    if (this.state !== "ending") this.#requestHangup();
    await over;
  }

  /** Who holds the call. */
  get held(): Held {
    return this.#changes.held;
  }

  /** Whether the way for media is broken and being repaired. */
  get recovering(): boolean {
    return this.end === undefined && this.#recovery.recovering;
  }

  /** Whether the far side would take this side's video, and gets none. */
  get videoOffered(): boolean {
    return this.#changes.videoOffered;
  }

  /** Whether this side sends video, or has a camera that is muted. */
  get sendsVideo(): boolean {
    return this.#changes.sendsVideo;
  }

  /**
   * Hold the call: nothing is received, and silence is sent. Like all changes of a running call it waits for those
   * before it, and throws SipError when the far side refuses it (the call is then as before), SocketError,
   * CallEndedError or OfferCrossedError.
   */
  hold(): Promise<void> {
    return this.#changes.setHeld(true);
  }

  /** Take the call back. */
  resume(): Promise<void> {
    return this.#changes.setHeld(false);
  }

  /** Send video from now on, from the camera or the application's own stream, and take the far side's. */
  async addVideo(request: Pick<MediaRequest, "video" | "streams"> = {}): Promise<void> {
    this.#needRunning();
    await this.#changes.addVideo(request);
  }

  /**
   * End video in both directions; its lines stay, switched off. A camera that is not there yet is given back, and its
   * `addVideo` throws UsageError.
   */
  removeVideo(): Promise<void> {
    return this.#changes.removeVideo();
  }

  /**
   * Send from another microphone or camera; what was muted stays so. UsageError when nothing of `kind` is sent,
   * CallEndedError when the call is over before the device is there. Of several at once the one asked for last stays:
   * another one's device is given back as soon as it comes too late or is replaced, and its promise resolves, too.
   */
  useDevice(kind: MediaKind, constraints: MediaTrackConstraints): Promise<void> {
    return this.#changes.useDevice(kind, constraints);
  }

  /**
   * Hand the far side on: to somebody it shall call (blind), or to the far side of another answered call of this page
   * (attended). Resolves when they talk, and hangs up; throws SipError when they do not, SocketError
   * without a connection, and the call goes on.
   */
  async transfer(target: string | Call): Promise<void> {
    this.#needRunning();
    this.#needSocket();
    const other = target instanceof Call && target.state === "established" ? target.#dialog : undefined;
    await this.#transfers.start(typeof target === "string" ? target : other);
    await this.hangup();
  }

  /**
   * Stop or resume sending `kind` in this call; the line itself stays as it is. What is not there yet will come muted.
   * The SDK's own devices are muted when this returns. A track of the application's is left alone: silence takes its
   * place, and nothing of it is sent any more when the promise resolves.
   */
  async mute(kind: "audio" | "video", muted: boolean): Promise<void> {
    try {
      await whileRunning(this.#events, this.#changes.mute(kind, muted));
    } catch (error) {
      // A call that is over sends nothing.
      if (this.end === undefined) throw phoneErrorFromException(error, "silence");
    }
  }

  /** Whether `kind` is muted in this call; what the application does to its own tracks does not count. */
  muted(kind: "audio" | "video"): boolean {
    return this.#changes.muted(kind);
  }

  /**
   * Send DTMF signals (0-9, A-D, *, #), each after those before it: by SIP INFO (SipError when the gateway refuses one),
   * or as telephone-events where `by` or the feature `rtpDtmf` of the configuration says so and both sides agreed on them.
   * Resolves when they have been played; SocketError when the connection is lost before the gateway has answered,
   * CallEndedError when the call is over before.
   */
  async sendDtmf(tones: string, options: DtmfOptions = {}): Promise<void> {
    this.#answered();
    const { by = this.dependencies.config.features["rtpDtmf"] === true ? "rtp" : "info" } = options;
    const connection = by === "rtp" ? this.handler?.peerConnection : undefined;
    const sent = this.#digits.send(tones, options, connection, async (content) => {
      await untilHeard(this.handler?.peerConnection);
      this.#needSocket();
      const lost = new Promise<never>((_, reject) => (this.#abandonDigit = reject));
      await Promise.race([sendInfo(this.#answered(), DTMF_CONTENT_TYPE, content), lost]);
    });
    await whileRunning(this.#events, sent);
  }

  #answered(): Session {
    if (this.end !== undefined) throw new CallEndedError("the call is over");
    if (this.session === undefined || this.state !== "established") throw new UsageError("DTMF needs an answered call");
    return this.session;
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
      states: this.#record.states,
      reflexiveAddress: this.handler?.gathering.reflexiveAddress,
      candidates: [...(this.handler?.gathering.candidates ?? [])],
      gatheringMs: this.handler?.gatheringMs,
      connectionState: connection?.connectionState ?? last?.connectionState,
      iceConnectionState: connection?.iceConnectionState ?? last?.iceConnectionState,
      updates: this.#updates,
      mediaLines: connection === undefined ? (last?.mediaLines ?? []) : mediaLinesOf(connection),
    };
  }

  /**
   * Phone: the socket is lost. A call that is not answered yet can no longer be; an answered one keeps its media and
   * waits for the new socket. @internal
   */
  socketLost(error: PhoneError): void {
    if (this.state === "ended") return;
    if (this.state === "established") {
      this.#recovery.socketLost();
      this.#renegotiation.abandon(error);
      this.#abandonDigit?.(error); // the next one need not wait for a response that will not come
      return;
    }
    this.finish(this.state === "ending" ? this.localEnd() : failure(error));
    void this.session?.dispose().catch(() => undefined);
  }

  /** Phone: the socket will not come back, and with it nothing that could be said about this call. @internal */
  abandon(error: PhoneError): void {
    this.finish(failure(error));
    void this.session?.dispose().catch(() => undefined);
  }

  /** Phone: the gateway knows this page again; repair the way for media. @internal */
  socketRestored(): void {
    if (this.state === "established") this.#recovery.socketRestored();
  }

  /** Phone: the gateway's UPDATE was answered. @internal */
  updateAnswered(): void {
    this.#updates += 1;
    this.#events.emit("update", { count: this.#updates });
  }

  /** Phone: the media session of this call, for SIP.js. @internal */
  createHandler(): MediaSession {
    const { config, farVideo } = this.dependencies;
    if (this.media === undefined) throw new UsageError("the call has no local media");
    this.handler = new MediaSession({
      stream: this.media.stream,
      expected: this.expectedMedia,
      silenced: (kind) => this.#changes.silenced(kind),
      iceServers: config.iceServers,
      iceGatheringTimeoutMs: config.iceGatheringTimeoutMs,
      oneWay: this.oneWay,
      receiveVideo: farVideo === "receive",
      onRemoteTrack: (track) => this.#remoteTrackAdded(track),
      onConnectionState: (state) => this.#connectionChanged(state),
      onAgreed: () => this.#agreed(),
      onDescriptionRefused: (cause) => this.descriptionRefused(cause),
    });
    return this.handler;
  }

  /** What this side sends is there. @internal */
  protected take(media: LocalMedia): void {
    this.#changes.silence(media);
    watchDevices((this.media = media), this.#events);
  }

  /** What both kinds of session tell in the same way. @internal */
  protected sessionDelegate(): SessionDelegate {
    return {
      onBye: (bye) => {
        void bye.accept();
        const reason = reasonsFromFields(bye.request.getHeaders("reason"))[0];
        this.finish({ by: "remote", cause: "hangup", ...(reason && { reason }) });
      },
      onInvite: (request, _response, status) => {
        if (status === 200) this.farEndNamed(request, request.getHeader("from"));
        this.#renegotiation.offerAnswered();
      },
      onInfo: (info) => {
        void info.accept();
        const key = dtmfRelayFromText(info.request.body);
        if (key !== undefined) this.#events.emit("dtmf", key);
      },
      onNotify: (notification) => this.#transfers.notified(notification),
      onRefer: (referral) => this.#transfers.asked(referral),
    };
  }

  /**
   * A message of the far side may say who is there: whom the network asserts or, in a request with this From, that it
   * is to stay unknown. @internal
   */
  farEndNamed(message: Pick<IncomingResponseMessage, "getHeaders">, from = ""): void {
    const named = callerFromMessage(message, from);
    if (!named.asserted && (from === "" || !named.withheld)) return;
    const before = this.farEnd;
    this.#farEnd = named;
    if (before === undefined || !isSameCaller(named, before)) this.#events.emit("farEnd", named);
  }

  /** @internal */
  protected answered(event: "answer_received" | "answer_sent"): void {
    this.#record.answered();
    this.apply(event);
    this.#changes.agreed();
  }

  /** Another call has taken the place of this one (RFC 3891). @internal */
  makeWay(): void {
    this.#replaced = true;
    void this.hangup();
  }

  /** The end that this side brought about. @internal */
  protected localEnd(): CallEnd {
    if (this.#replaced) return { by: "remote", cause: "replaced" };
    return { by: "local", cause: this.answeredAt === undefined ? this.withdrawal : "hangup" };
  }

  /** End the call because of `error`, and tell the far side. @internal */
  protected fail(error: PhoneError): void {
    if (this.end !== undefined || this.state === "ending") return;
    const established = this.state === "established";
    this.finish(failure(error));
    this.#tell(established);
  }

  /** @internal */
  protected finish(end: CallEnd): void {
    if (!this.#record.ended(end)) return;
    this.#lastDiagnostics = this.diagnostics();
    clearTimeout(this.#hangupTimer);
    this.#recovery.stop();
    this.#renegotiation.abandon(new CallEndedError("the call is over"));
    this.#transfers.ended(end.by === "remote");
    if (this.media !== undefined) releaseLocalMedia(this.media);
    this.apply("call_terminated");
    this.#events.emit("end", end);
    this.handler?.close(); // SIP.js's session may wait for a response for ever
  }

  /** @internal */
  protected apply(event: CallEvent): void {
    if (this.#record.apply(event)) this.#events.emit("state", this.state);
  }

  #requestHangup(): void {
    const established = this.state === "established";
    // A call that is over at once has its end when it tells so.
    if (nextState(CALL_TRANSITIONS, this.state, "hangup_requested") === "ended") this.finish(this.localEnd());
    else this.apply("hangup_requested");
    if (this.media !== undefined) releaseLocalMedia(this.media);
    this.#tell(established);
    if (this.state === "ended" || !this.dependencies.userAgent.isConnected()) this.finish(this.localEnd());
    else this.#hangupTimer = setTimeout(() => this.finish(this.localEnd()), HANGUP_TIMEOUT_MS);
  }

  /** Tell the far side that it is over; `established`: by a BYE. */
  #tell(established: boolean): void {
    if (established) this.dependencies.farewells.say(this.session);
    else this.withdraw()?.catch(() => undefined);
  }

  get #contact(): string {
    const { contact } = this.dependencies.userAgent;
    return contact.toString({ outbound: contact.pubGruu === undefined });
  }

  get #dialog(): SessionDialog | undefined {
    const dialog = this.session?.dialog;
    return dialog instanceof SessionDialog ? dialog : undefined;
  }

  #needRunning(): void {
    if (this.end !== undefined) throw new CallEndedError("the call is over");
    if (this.state !== "established") throw new UsageError("only an answered call can be changed");
  }

  /** Without a socket SIP.js makes up a 503, as if the far side had said it. */
  #needSocket(): void {
    if (!this.dependencies.userAgent.isConnected()) throw new SocketError("there is no connection to the gateway now");
  }

  /** The dialog or its media cannot go on. */
  #broken(error: PhoneError): void {
    if (this.end !== undefined || this.state !== "established") return;
    if (error instanceof SipError) {
      this.finish({ by: "failure", cause: "gone", error });
      void this.session?.dispose().catch(() => undefined);
    } else this.fail(error);
  }

  #connectionChanged(state: RTCPeerConnectionState): void {
    if (this.end !== undefined) return;
    if (this.state === "established" || state === "connected") this.#recovery.connectionChanged(state);
    else if (state === "failed") this.fail(new IceError("no media path to the gateway"));
  }

  #agreed(): void {
    const connection = this.handler?.peerConnection;
    if (this.end !== undefined || connection === undefined) return;
    this.#remote.forgetEnded();
    this.#changes.dropRefused();
    this.#events.emit("media", mediaLinesOf(connection));
    if (this.state === "established") this.#changes.agreed();
  }

  #remoteTrackAdded(track: MediaStreamTrack): void {
    if (this.#remote.add(track)) this.#events.emit("remoteTrack", track);
  }
}
