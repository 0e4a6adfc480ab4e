/**
 * SIP.js's session description handler for two-way m-lines, without what the stock one does to them: it answers every
 * line with the direction of the first and stops tracks that are not its own. Knows the peer connection; knows nothing
 * of calls or UPDATE.
 */

import { candidateFromText, IceGathering } from "./ice-gathering.ts";
import type { LocalMedia } from "./media.ts";
import { mediaLineCount } from "./sdp.ts";
import {
  WebSessionDescriptionHandler,
  type Logger,
  type SessionDescriptionHandlerModifier,
  type WebSessionDescriptionHandlerOptions,
} from "./sipjs.ts";

/** How long an answer that is being applied may keep an offer waiting, milliseconds. */
const SETTLE_TIMEOUT_MS = 5000;

export interface MediaSessionOptions {
  readonly media: LocalMedia;
  readonly iceServers: readonly RTCIceServer[];
  readonly iceGatheringTimeoutMs: number;
  readonly onRemoteTrack: (track: MediaStreamTrack) => void;
  readonly onConnectionState: (state: RTCPeerConnectionState) => void;
  /** The browser does not take the far side's description; SIP.js goes on to give up the session. */
  readonly onDescriptionRefused?: (error: Error) => void;
}

export class MediaSessionDescriptionHandler extends WebSessionDescriptionHandler {
  readonly gathering: IceGathering;
  /** How long the wait for candidates of the first offer took, milliseconds. */
  gatheringMs: number | undefined;
  /** Why the last description was not taken. */
  descriptionError: Error | undefined;
  readonly #options: MediaSessionOptions;

  constructor(logger: Logger, options: MediaSessionOptions) {
    super(logger, () => Promise.resolve(options.media.stream), {
      iceGatheringTimeout: options.iceGatheringTimeoutMs,
      // "balanced": each kind gets its own transport until the gateway bundles; "max-bundle" would forbid it to refuse.
      peerConnectionConfiguration: {
        bundlePolicy: "balanced",
        rtcpMuxPolicy: "require",
        iceServers: [...options.iceServers],
      },
    });
    this.#options = options;
    this.gathering = new IceGathering(options.iceServers.length > 0);
    this.peerConnectionDelegate = {
      onicecandidate: (event) => this.#candidateGathered((event as RTCPeerConnectionIceEvent).candidate),
      onconnectionstatechange: () => {
        const state = this.peerConnection?.connectionState;
        if (state !== undefined) options.onConnectionState(state);
      },
    };
  }

  /** Resolve when no offer is open, so that the next one can be taken. */
  settled(): Promise<void> {
    const connection = this.peerConnection;
    if (connection === undefined) return Promise.reject(new Error("the call is over"));
    if (connection.signalingState === "stable") return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (finish: () => void): void => {
        clearTimeout(timer);
        connection.removeEventListener("signalingstatechange", check);
        finish();
      };
      const check = (): void => {
        if (connection.signalingState === "stable") done(resolve);
        if (connection.signalingState === "closed") done(() => reject(new Error("the call is over")));
      };
      const timer = setTimeout(() => done(() => reject(new Error("the earlier offer stays open"))), SETTLE_TIMEOUT_MS);
      connection.addEventListener("signalingstatechange", check);
    });
  }

  /** Go back to the last stable description (RFC 8829 §5.7). */
  async rollbackDescription(): Promise<void> {
    const connection = this.peerConnection;
    if (connection?.signalingState === "have-remote-offer") await connection.setRemoteDescription({ type: "rollback" });
    if (connection?.signalingState === "have-local-offer") await connection.setLocalDescription({ type: "rollback" });
  }

  override async getDescription(
    options?: WebSessionDescriptionHandlerOptions,
    modifiers?: SessionDescriptionHandlerModifier[],
  ): ReturnType<WebSessionDescriptionHandler["getDescription"]> {
    const startedMs = performance.now();
    const description = await super.getDescription(options, modifiers);
    this.gatheringMs ??= performance.now() - startedMs;
    return description;
  }

  override async setDescription(
    sdp: string,
    options?: WebSessionDescriptionHandlerOptions,
    modifiers?: SessionDescriptionHandlerModifier[],
  ): Promise<void> {
    try {
      await super.setDescription(sdp, options, modifiers);
      this.descriptionError = undefined;
    } catch (error) {
      this.descriptionError = error instanceof Error ? error : new Error(String(error));
      this.#options.onDescriptionRefused?.(this.descriptionError);
      throw error;
    }
  }

  override close(): void {
    const connection = this.peerConnection;
    // The stock close() stops the tracks of all senders; those of the application must go on.
    if (this.#options.media.borrowed && connection !== undefined && connection.signalingState !== "closed") {
      for (const sender of connection.getSenders()) connection.removeTrack(sender);
    }
    super.close();
  }

  /** Two-way: the browser answers each m-line with what is offered and what the page has (RFC 8829 §5.3.1). */
  protected override updateDirection(): Promise<void> {
    return Promise.resolve();
  }

  /** Hand the track on. The stock handler stops the earlier track of the kind, which would end it for good. */
  protected override setRemoteTrack(track: MediaStreamTrack): void {
    this.#options.onRemoteTrack(track);
  }

  #candidateGathered(browserCandidate: RTCIceCandidate | null): void {
    if (browserCandidate === null) return;
    const candidate = candidateFromText(browserCandidate.candidate, browserCandidate.sdpMLineIndex ?? 0);
    if (candidate === undefined) return;
    this.gathering.add(candidate);
    const local = this.peerConnection?.localDescription;
    // An answer may put its lines on one transport, which then gathers for the first line only.
    const mediaLines = local?.type === "offer" ? mediaLineCount(local.sdp) : 1;
    if (this.gathering.suffices(mediaLines)) this.iceGatheringComplete();
  }
}
