/**
 * The m-lines of one call: which of them send and receive what, and why. A call has one two-way line of a kind, or a
 * line for each direction ("one-way lines"). Knows transceivers; knows nothing of SIP.
 */

import type { MediaLine } from "./call-types.ts";
import { directionsByMid, receives, sends, type Direction } from "./sdp.ts";

export type MediaKind = "audio" | "video";

const KINDS = ["audio", "video"] as const;

/** What this side wants of one kind of media. */
export interface MediaWish {
  readonly send: boolean;
  readonly receive: boolean;
}

/** What a line may be used for: as it was offered, by whoever offered it. */
interface Line {
  readonly kind: MediaKind;
  sends: boolean;
  receives: boolean;
}

export interface MediaLinesOptions {
  readonly stream: MediaStream;
  /** Kinds that `setTrack` brings later; their lines are agreed on as if they were sent already. */
  readonly expected?: readonly MediaKind[];
  /** Whether silence is sent in the place of what there is of a kind. */
  readonly silenced: (kind: MediaKind) => boolean;
  /** Whether this side's own lines go one way. */
  readonly oneWay: boolean;
  /** Whether a picture of the far side is taken without being asked for. */
  readonly receiveVideo: boolean;
}

/** The wishes of one moment, to go back to. */
export interface MediaSnapshot {
  readonly wishes: Readonly<Record<MediaKind, MediaWish>>;
  readonly held: boolean;
  readonly tracks: ReadonlyMap<MediaKind, MediaStreamTrack>;
}

/** The direction of a line that sends, and receives. */
export function directionOf(sending: boolean, receiving: boolean): Direction {
  if (sending) return receiving ? "sendrecv" : "sendonly";
  return receiving ? "recvonly" : "inactive";
}

export class MediaLines {
  /** Whether new lines of this side go one way. */
  readonly #oneWay: boolean;
  readonly #connection: RTCPeerConnection;
  readonly #lines = new Map<RTCRtpTransceiver, Line>();
  readonly #tracks = new Map<MediaKind, MediaStreamTrack>();
  /** Lines of an offer that came to nothing. */
  readonly #spare = new Map<MediaKind, RTCRtpTransceiver>();
  /** Which track has taken the place of which: a device that was changed is not changed back with an offer. */
  readonly #successors = new WeakMap<MediaStreamTrack, MediaStreamTrack>();
  /** What shall be sent, but is not there yet. */
  readonly #expected: ReadonlySet<MediaKind>;
  #stream: MediaStream;
  #wishes: Record<MediaKind, MediaWish>;
  #held = false;
  readonly #silenced: (kind: MediaKind) => boolean;
  /** The last time that lines were directed. */
  #directed: Promise<unknown> = Promise.resolve();
  /** Firefox leaves the promise of replaceTrack open when the connection closes: nobody waits longer than that. */
  #end = (): void => undefined;
  readonly #over = new Promise<void>((resolve) => (this.#end = resolve));
  /** What is sent in the place of each track while this side holds, or has muted it: silence and black pictures. */
  readonly #silence = new Map<MediaStreamTrack, MediaStreamTrack>();
  /** Whether the far side would take our picture, were there one. */
  #videoWelcome = false;

  constructor(connection: RTCPeerConnection, options: MediaLinesOptions) {
    this.#connection = connection;
    this.#oneWay = options.oneWay;
    this.#stream = options.stream;
    this.#expected = new Set(options.expected);
    this.#silenced = options.silenced;
    for (const track of options.stream.getTracks()) this.#tracks.set(track.kind as MediaKind, track);
    this.#wishes = {
      audio: { send: this.#has("audio"), receive: true },
      video: { send: this.#has("video"), receive: this.#has("video") || options.receiveVideo },
    };
  }

  /** Whether this side holds the call. */
  get held(): boolean {
    return this.#held;
  }

  /** Whether the far side holds the call: it takes nothing of what this side would send. Sound counts, if there is any. */
  get heldByFarSide(): boolean {
    for (const kind of KINDS) {
      const transceiver = this.#sendingLine(kind);
      if (!this.#wishes[kind].send || transceiver === undefined || transceiver.currentDirection === null) continue;
      return !sends(transceiver.currentDirection as Direction);
    }
    return false;
  }

  /** Whether the far side offers video that this side does not send. */
  get videoWelcome(): boolean {
    return this.#videoWelcome && !this.#wishes.video.send;
  }

  wish(kind: MediaKind): MediaWish {
    return this.#wishes[kind];
  }

  setWish(kind: MediaKind, wish: MediaWish): void {
    this.#wishes = { ...this.#wishes, [kind]: wish };
  }

  /** What of `kind` this side has to send; undefined takes it away. */
  setTrack(kind: MediaKind, track: MediaStreamTrack | undefined, stream: MediaStream = this.#stream): void {
    this.#stream = stream;
    this.#tracks.delete(kind);
    if (track === undefined) return;
    this.#tracks.set(kind, track);
    this.#successors.delete(track);
  }

  /** Another device takes the place of `old`, with nothing agreed anew. */
  exchangeTrack(kind: MediaKind, old: MediaStreamTrack, track: MediaStreamTrack): void {
    this.setTrack(kind, track);
    this.#successors.set(old, track);
  }

  /** After an agreement: give up our video where no line takes it, or later offers would ask for it again. What was to be sent. */
  dropRefusedVideo(): MediaStreamTrack | undefined {
    const track = this.#tracks.get("video");
    const wish = this.#wishes.video;
    if (!wish.send || this.#sendingLine("video") !== undefined) return undefined;
    this.setTrack("video", undefined);
    this.setWish("video", { ...wish, send: false });
    this.#forgetSilence();
    return track;
  }

  setHeld(held: boolean): void {
    this.#held = held;
  }

  snapshot(): MediaSnapshot {
    return { wishes: this.#wishes, held: this.#held, tracks: new Map(this.#tracks) };
  }

  /** Back to an earlier moment, after an offer came to nothing; devices stay as they are now. */
  async restore(snapshot: MediaSnapshot): Promise<void> {
    this.#wishes = { ...snapshot.wishes };
    this.#held = snapshot.held;
    this.#tracks.clear();
    for (const [kind, track] of snapshot.tracks) this.#tracks.set(kind, this.#latest(track));
    this.forgetVanished();
    await this.#direct();
  }

  /**
   * Lines that a rollback took away: those of the far side are gone, those of ours are for the next offer that wants one.
   * Chromium 156 takes the transceiver of a line that was stopped then for that of the next new line.
   */
  forgetVanished(): void {
    const there = new Set(this.#connection.getTransceivers());
    for (const [transceiver, { kind }] of [...this.#lines]) {
      if (there.has(transceiver) && transceiver.mid !== null) continue;
      if (there.has(transceiver)) this.#spare.set(kind, transceiver);
      this.#lines.delete(transceiver);
    }
  }

  /** Before an offer of this side: a line for all that shall be sent, and the direction of each. */
  async prepareOffer(): Promise<void> {
    for (const kind of KINDS) {
      const track = this.#tracks.get(kind);
      if (track === undefined || !this.#wishes[kind].send || this.#sendingLine(kind) !== undefined) continue;
      const twoWay = this.#oneWay ? undefined : this.#receivingLine(kind);
      if (twoWay !== undefined) {
        twoWay[1].sends = true;
        continue;
      }
      const transceiver = this.#spare.get(kind) ?? this.#connection.addTransceiver(track, {
        direction: this.#oneWay ? "sendonly" : "sendrecv",
        streams: [this.#stream],
      });
      this.#spare.delete(kind);
      this.#lines.set(transceiver, { kind, sends: true, receives: !this.#oneWay });
    }
    for (const transceiver of this.#spare.values()) transceiver.stop();
    this.#spare.clear();
    await this.#direct();
  }

  /** Whether a line of an offer that came to nothing would be in the next one. */
  get hasSpare(): boolean {
    return this.#spare.size > 0;
  }

  /** Before an answer of this side: what the offered lines may be used for, and the direction of each. */
  async prepareAnswer(offer: string): Promise<void> {
    const offered = directionsByMid(offer);
    for (const transceiver of this.#connection.getTransceivers()) {
      const direction = transceiver.mid === null ? undefined : offered.get(transceiver.mid);
      if (direction === undefined) continue;
      const kind = transceiver.receiver.track.kind as MediaKind;
      const line = this.#lines.get(transceiver) ?? { kind, sends: false, receives: false };
      line.sends ||= receives(direction);
      line.receives ||= sends(direction);
      this.#lines.set(transceiver, line);
    }
    this.#videoWelcome = [...this.#live("video")].some(([{ mid }]) => receives(offered.get(mid ?? "")));
    await this.#direct();
  }

  /**
   * Send what was expected, once it is there, or silence in its place; the lines are as they were agreed. Throws for
   * lines of `kinds` alone: what others have is for whoever changes them.
   */
  async attach(...kinds: MediaKind[]): Promise<void> {
    await this.#direct(kinds);
  }

  /** End what silence is made of. */
  close(): void {
    this.#end();
    this.#tracks.clear();
    this.#forgetSilence();
  }

  /** A copy keeps its device open. */
  #forgetSilence(): void {
    const needed = [...this.#tracks].filter(([kind]) => this.#isSilent(kind)).map(([, track]) => track);
    for (const [track, silence] of this.#silence) {
      if (needed.includes(track)) continue;
      silence.stop();
      this.#silence.delete(track);
    }
  }

  /** One at a time, each by the wishes of its moment: two at once would look at senders whose track is being replaced. */
  #direct(concerned: readonly MediaKind[] = KINDS): Promise<void> {
    const done = this.#directed.then(() => this.#directNow(concerned));
    this.#directed = done.catch(() => undefined);
    return done;
  }

  /** A line that fails leaves no other one as it was: a microphone that cannot be silenced keeps no camera on. */
  async #directNow(concerned: readonly MediaKind[]): Promise<void> {
    const failed = new Map<MediaKind, unknown>();
    for (const kind of KINDS) {
      const sender = this.#sendingLine(kind);
      for (const [transceiver, line] of this.#live(kind)) {
        // It would throw.
        if (this.#connection.signalingState === "closed") return;
        try {
          await this.#directLine(transceiver, line, transceiver === sender);
        } catch (error) {
          failed.set(kind, error);
        }
      }
    }
    // A copy may still be sent where a line has failed.
    if (failed.size === 0) this.#forgetSilence();
    for (const kind of concerned) if (failed.has(kind)) throw failed.get(kind);
  }

  async #directLine(transceiver: RTCRtpTransceiver, line: Line, isSender: boolean): Promise<void> {
    const { kind } = line;
    const sending = isSender && this.#wishes[kind].send && this.#has(kind);
    const receiving = line.receives && this.#wishes[kind].receive && !this.#held;
    const direction = directionOf(sending, receiving);
    if (transceiver.direction !== direction) transceiver.direction = direction;
    await this.#send(transceiver, sending ? this.#toSend(kind) : null);
  }

  #latest(track: MediaStreamTrack): MediaStreamTrack {
    const successor = this.#successors.get(track);
    return successor === undefined ? track : this.#latest(successor);
  }

  #has(kind: MediaKind): boolean {
    return this.#tracks.has(kind) || this.#expected.has(kind);
  }

  /** A track that has ended is silent by itself. */
  #isSilent(kind: MediaKind): boolean {
    return this.#tracks.get(kind)?.readyState !== "ended" && (this.#held || this.#silenced(kind));
  }

  #toSend(kind: MediaKind): MediaStreamTrack | null {
    const track = this.#tracks.get(kind) ?? null;
    if (track === null || !this.#isSilent(kind)) return track;
    const silence = this.#silence.get(track) ?? track.clone();
    silence.enabled = false;
    this.#silence.set(track, silence);
    return silence;
  }

  async #send(transceiver: RTCRtpTransceiver, track: MediaStreamTrack | null): Promise<void> {
    if (transceiver.sender.track === track) return;
    if (track !== null) transceiver.sender.setStreams?.(this.#stream);
    await Promise.race([transceiver.sender.replaceTrack(track), this.#over]);
  }

  /** The line of `kind` that sends, or would: the one that did before, else the first that may. */
  #sendingLine(kind: MediaKind): RTCRtpTransceiver | undefined {
    const able = [...this.#live(kind)].filter(([, line]) => line.sends).map(([transceiver]) => transceiver);
    return able.find(({ sender }) => sender.track !== null) ?? able[0];
  }

  #receivingLine(kind: MediaKind): [RTCRtpTransceiver, Line] | undefined {
    return [...this.#live(kind)].find(([, line]) => line.receives);
  }

  *#live(kind: MediaKind): Generator<[RTCRtpTransceiver, Line]> {
    for (const entry of this.#lines) {
      const [{ direction, currentDirection }, line] = entry;
      if (line.kind === kind && direction !== "stopped" && currentDirection !== "stopped") yield entry;
    }
  }
}

/** The m-lines as the application sees them. */
export function mediaLinesOf(connection: RTCPeerConnection): MediaLine[] {
  return connection.getTransceivers().map(({ mid, receiver, direction, currentDirection }) => ({
    mid,
    kind: receiver.track.kind,
    direction,
    currentDirection,
  }));
}
