/**
 * The media session of one call: SIP.js's SessionDescriptionHandler on a peer connection. One exchange of offer and
 * answer at a time (RFC 3264 §4); each line keeps its own direction and its own transport. Knows nothing of SIP.
 */

import { OfferCrossedError } from "./errors.ts";
import { candidateFromText, IceGathering } from "./ice-gathering.ts";
import { MediaLines, type MediaLinesOptions } from "./media-lines.ts";
import { bundleGroups, linesWithoutCandidates, withBundleGroups, type BundleGroups } from "./sdp.ts";
import type { SessionDescriptionHandler } from "./sipjs.ts";

/** How long an exchange that is under way may keep the next one waiting, milliseconds. */
const SETTLE_TIMEOUT_MS = 5000;

export interface MediaSessionOptions extends MediaLinesOptions {
  readonly iceServers: readonly RTCIceServer[];
  readonly iceGatheringTimeoutMs: number;
  readonly onRemoteTrack: (track: MediaStreamTrack) => void;
  readonly onConnectionState: (state: RTCPeerConnectionState) => void;
  /** Offer and answer are agreed. */
  readonly onAgreed: () => void;
  /** The browser does not take the far side's description; SIP.js goes on to give up the session. */
  readonly onDescriptionRefused: (error: Error) => void;
}

/**
 * Whose offer is open. `making`: ours, and the far side does not know of it yet; an offer of the far side goes first.
 * `closing`: it is over, and the browser is taking the answer, or the offer back; the next description is an offer.
 */
type Exchange = "none" | "making" | "local" | "closing" | "remote";

interface Description {
  readonly body: string;
  readonly contentType: string;
}

export class MediaSession implements SessionDescriptionHandler {
  readonly lines: MediaLines;
  readonly gathering: IceGathering;
  /** How long the wait for candidates of the first offer took, milliseconds. */
  gatheringMs: number | undefined;
  /** Why the last description was not taken. */
  descriptionError: Error | undefined;
  readonly #options: MediaSessionOptions;
  readonly #connection: RTCPeerConnection;
  readonly #settling = new Set<() => void>();
  #exchange: Exchange = "none";
  #closed = false;
  /** An offer of the far side came while ours was being made. */
  #givesWay = false;
  /** Look again whether there are candidates enough. */
  #wake = (): void => undefined;

  constructor(options: MediaSessionOptions) {
    this.#options = options;
    this.gathering = new IceGathering(options.iceServers.length > 0);
    // "balanced": each kind gets its own transport until the gateway bundles; "max-bundle" would forbid it to refuse.
    const connection = new RTCPeerConnection({
      bundlePolicy: "balanced",
      rtcpMuxPolicy: "require",
      iceServers: [...options.iceServers],
    });
    this.#connection = connection;
    this.lines = new MediaLines(connection, options);
    connection.addEventListener("track", ({ track }) => options.onRemoteTrack(track));
    connection.addEventListener("connectionstatechange", () => options.onConnectionState(connection.connectionState));
    connection.addEventListener("icecandidate", ({ candidate }) => {
      const gathered = candidateFromText(candidate?.candidate ?? "", candidate?.sdpMLineIndex ?? 0);
      if (gathered !== undefined) this.gathering.add(gathered);
      this.#wake();
    });
    connection.addEventListener("icegatheringstatechange", () => this.#wake());
  }

  /** The browser's connection; undefined when the session is over. */
  get peerConnection(): RTCPeerConnection | undefined {
    return this.#closed ? undefined : this.#connection;
  }

  /** Whether no offer is open on either side. */
  get idle(): boolean {
    return this.#exchange === "none";
  }

  /** Resolve when no offer is open, so that the next one can be taken; an offer of ours that is not sent yet gives way. */
  async settled(): Promise<void> {
    while (this.#exchange !== "none") {
      if (this.#exchange === "making") {
        this.#givesWay = true;
        this.#wake();
      }
      await this.#nextSettled();
    }
    if (this.#closed) throw new Error("the call is over");
  }

  /** SIP.js: an answer when the far side has offered, else an offer. */
  async getDescription(): Promise<Description> {
    if (this.#exchange === "remote") return this.#answer();
    await this.settled();
    return this.offer();
  }

  /**
   * An offer with all that is wished for; `change` adjusts the wishes first. Throws OfferCrossedError when an offer of
   * the far side came before it was ready; nothing has changed then but the wishes.
   */
  async offer(options: { readonly iceRestart?: boolean; readonly change?: () => void } = {}): Promise<Description> {
    if (this.#exchange !== "none") throw new OfferCrossedError("another offer is open");
    this.#exchange = "making";
    this.#givesWay = false;
    const startedMs = performance.now();
    const connection = this.#connection;
    const crossed = (): void => {
      if (this.#givesWay) throw new OfferCrossedError("an offer of the far side came first");
    };
    try {
      options.change?.();
      await this.lines.prepareOffer();
      const offer = await connection.createOffer({ iceRestart: options.iceRestart ?? false });
      crossed();
      const agreed = connection.currentRemoteDescription;
      const groups = agreed === null ? [] : bundleGroups(agreed.sdp);
      const sdp = offer.sdp ?? "";
      await connection.setLocalDescription({ type: "offer", sdp: agreed === null ? sdp : withBundleGroups(sdp, groups) });
      await this.#gather(groups);
      crossed();
      this.#exchange = "local";
      this.gatheringMs ??= performance.now() - startedMs;
      return this.#described();
    } catch (error) {
      await this.rollbackDescription();
      throw error;
    }
  }

  hasDescription(contentType: string): boolean {
    return contentType === "application/sdp";
  }

  /** The far side's answer when ours is open, else its offer. */
  async setDescription(sdp: string): Promise<void> {
    const answers = this.#exchange === "local";
    let offered = false;
    try {
      if (answers) {
        this.#exchange = "closing";
        await this.#connection.setRemoteDescription({ type: "answer", sdp });
        this.#agreed();
      } else {
        await this.settled();
        offered = true;
        this.#exchange = "remote";
        await this.#connection.setRemoteDescription({ type: "offer", sdp });
      }
      this.descriptionError = undefined;
    } catch (error) {
      if (offered) this.#over();
      else if (answers && !this.#closed) this.#exchange = "local";
      this.descriptionError = error instanceof Error ? error : new Error(String(error));
      this.#options.onDescriptionRefused(this.descriptionError);
      throw error;
    }
  }

  /** Go back to the last stable description (RFC 8829 §5.7). */
  async rollbackDescription(): Promise<void> {
    const connection = this.#connection;
    if (this.#exchange !== "none") this.#exchange = "closing";
    try {
      if (connection.signalingState === "have-remote-offer") await connection.setRemoteDescription({ type: "rollback" });
      if (connection.signalingState === "have-local-offer") await connection.setLocalDescription({ type: "rollback" });
      this.lines.forgetVanished();
    } finally {
      this.#over();
    }
  }

  /**
   * Agree with ourselves on what stands, after an offer of ours came to nothing and the lines are restored. A rollback
   * does not undo what Chromium 156 has done to its receivers: a line that was offered `inactive` hears no new source.
   */
  async reaffirm(): Promise<void> {
    const connection = this.#connection;
    const { currentLocalDescription: local, currentRemoteDescription: remote } = connection;
    // An open offer puts the receivers right by itself; one that adds a line switches none off.
    if (this.#closed || this.#exchange !== "none" || local === null || remote === null || this.lines.hasSpare) return;
    this.#exchange = "making";
    try {
      const { sdp = "" } = await connection.createOffer();
      await connection.setLocalDescription({ type: "offer", sdp: withBundleGroups(sdp, bundleGroups(remote.sdp)) });
      await connection.setRemoteDescription({ type: "answer", sdp: asAnswer(remote.sdp, local.sdp) });
    } catch {
      await this.rollbackDescription().catch(() => undefined);
    } finally {
      this.#over();
    }
  }

  /** SIP.js: DTMF is the call's own affair. */
  sendDtmf(): boolean {
    return false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.lines.close();
    this.#connection.close();
    this.#wake();
    this.#over();
  }

  async #answer(): Promise<Description> {
    this.#givesWay = false;
    const startedMs = performance.now();
    const connection = this.#connection;
    await this.lines.prepareAnswer(connection.remoteDescription?.sdp ?? "");
    await connection.setLocalDescription(await connection.createAnswer());
    await this.#gather(bundleGroups(connection.localDescription?.sdp ?? ""));
    this.gatheringMs ??= performance.now() - startedMs;
    this.#agreed();
    return this.#described();
  }

  #described(): Description {
    const description = this.#connection.localDescription;
    if (description === null) throw new Error("the call is over");
    return { body: description.sdp, contentType: "application/sdp" };
  }

  #agreed(): void {
    this.#over();
    this.#options.onAgreed();
  }

  #over(): void {
    this.#exchange = "none";
    for (const finish of [...this.#settling]) finish();
  }

  #nextSettled(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#settling.delete(finish);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#settling.delete(finish);
        reject(new Error("the earlier offer stays open"));
      }, SETTLE_TIMEOUT_MS);
      this.#settling.add(finish);
    });
  }

  /**
   * Wait for the candidates of every transport that has none yet: all of them at first, later those of new lines, and
   * all again after an ICE restart.
   */
  async #gather(groups: BundleGroups): Promise<void> {
    const connection = this.#connection;
    const missing = (): number[] => linesWithoutCandidates(connection.localDescription?.sdp ?? "", groups);
    this.gathering.begin(missing());
    const enough = (): boolean =>
      this.#closed ||
      this.#givesWay ||
      this.gathering.suffices ||
      (connection.iceGatheringState === "complete" && missing().length === 0);
    if (!enough()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#options.iceGatheringTimeoutMs);
        this.#wake = (): void => {
          if (!enough()) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = (): void => undefined;
    this.gathering.finish();
  }
}

/** The far side's description as an answer, which names the DTLS role that it has by now. */
function asAnswer(remote: string, local: string): string {
  const role = /^a=setup:active/m.test(local) ? "passive" : "active";
  return remote.replace(/^a=setup:actpass/gm, `a=setup:${role}`);
}
