/**
 * What a person changes in a running call: hold, and video. Turns it into wishes for the m-lines and has them offered.
 * Knows local media and lines; knows nothing of SIP.
 */

import type { Held } from "./call-types.ts";
import { CallEndedError, SipError, UsageError } from "./errors.ts";
import { acquireLocalMedia, isOwn, releaseLocalMedia, withTrack, withoutTracks, type LocalMedia, type MediaRequest } from "./media.ts";
import type { MediaKind } from "./media-lines.ts";
import type { MediaSession } from "./media-session.ts";
import type { MediaChange } from "./renegotiation.ts";

export interface MediaChangesOptions {
  readonly session: () => MediaSession | undefined;
  readonly localMedia: () => LocalMedia | undefined;
  readonly onLocalMedia: (media: LocalMedia) => void;
  readonly isOver: () => boolean;
  /** Have a change agreed on by the far side; throws when the call cannot be changed, or they refuse. */
  readonly renegotiate: (change: MediaChange) => Promise<void>;
  readonly onHold: (held: Held) => void;
  readonly onVideoOffered: () => void;
}

export class MediaChanges {
  readonly #options: MediaChangesOptions;
  #held: Held = { local: false, remote: false };
  #videoOffered = false;
  /** What was muted while there was none of it that is ours (no track says so), each with the wish that said so last. */
  readonly #muted = new Map<string, symbol>();
  /** Names the video that is being added; removing video takes the name away. */
  #adding: symbol | undefined;
  /** How many devices were asked for, and of each kind the number of the one that is used. */
  #asked = 0;
  readonly #used = new Map<MediaKind, number>();
  /** One device is put on a line at a time. */
  #turn: Promise<void> = Promise.resolve();
  /** What the far side did not take. */
  #refused: MediaStreamTrack | undefined;

  constructor(options: MediaChangesOptions) {
    this.#options = options;
  }

  get held(): Held {
    return this.#held;
  }

  get videoOffered(): boolean {
    return this.#videoOffered;
  }

  get sendsVideo(): boolean {
    return this.#options.session()?.lines.wish("video").send ?? false;
  }

  /** Our tracks at once; those of the application, which other calls may send as well, when the promise resolves. */
  async mute(kind: MediaKind, muted: boolean): Promise<void> {
    const own = this.#own(kind);
    for (const track of own) track.enabled = !muted;
    const before = this.#muted.has(kind);
    const wish = Symbol();
    if (muted && own.length === 0) this.#muted.set(kind, wish);
    else this.#muted.delete(kind);
    if (!before && !this.#muted.has(kind)) return;
    const lines = this.#options.session()?.lines;
    try {
      await lines?.attach(kind);
    } catch (error) {
      // What is heard is not muted, unless somebody has said so again since.
      if (this.#muted.get(kind) === wish) {
        this.#muted.delete(kind);
        await lines?.attach(kind).catch(() => undefined);
      }
      throw error;
    }
  }

  muted(kind: MediaKind): boolean {
    const own = this.#own(kind);
    return own.length === 0 ? this.#muted.has(kind) : own.every(({ enabled }) => !enabled);
  }

  /** Whether silence is sent in the place of what is not ours to mute. */
  silenced(kind: MediaKind): boolean {
    return this.#muted.has(kind) && this.#own(kind).length === 0;
  }

  /** Mute what comes after the person wanted it muted. */
  silence(media: LocalMedia): void {
    for (const track of media.stream.getTracks()) {
      if (this.#muted.has(track.kind) && isOwn(media, track)) track.enabled = false;
    }
  }

  async setHeld(held: boolean): Promise<void> {
    await this.#options.renegotiate({ change: () => this.#options.session()?.lines.setHeld(held) });
  }

  async addVideo(request: Pick<MediaRequest, "video" | "streams">): Promise<void> {
    if (this.sendsVideo || this.#adding !== undefined) throw new UsageError("the call sends video already");
    const adding = (this.#adding = Symbol());
    const needWanted = (): void => {
      if (this.#adding !== adding) throw new UsageError("the video was taken away before it was there");
    };
    try {
      await this.#add(request, needWanted);
    } finally {
      if (this.#adding === adding) this.#adding = undefined;
    }
  }

  async #add(request: Pick<MediaRequest, "video" | "streams">, needWanted: () => void): Promise<void> {
    const camera = await acquireLocalMedia({ video: true, ...request, audio: false });
    const track = camera.stream.getVideoTracks()[0];
    const withCamera = (added: MediaStreamTrack): LocalMedia =>
      withTrack(this.#options.localMedia() ?? camera, added, !camera.borrowed);
    try {
      needWanted();
      if (track === undefined) throw new UsageError("the stream given for the call has no video");
      const media = withCamera(track);
      this.silence(media);
      await this.#options.renegotiate({
        change: () => {
          needWanted();
          // A removal that was asked for before may have been refused.
          if (this.sendsVideo) throw new UsageError("the call sends video already");
          this.#refused = undefined;
          this.#options.session()?.lines.setTrack("video", track, media.stream);
          this.#options.session()?.lines.setWish("video", { send: true, receive: true });
        },
      });
      if (this.#refused === track) throw new SipError({ method: "INVITE", status: 488, reasonPhrase: "Video not taken" });
      // Another microphone, or a wish to be muted or seen, may have come while the far side made up its mind.
      const agreed = withCamera(track);
      if (isOwn(agreed, track)) track.enabled = !this.muted("video");
      this.#options.onLocalMedia(agreed);
    } catch (error) {
      releaseLocalMedia(camera);
      throw error;
    }
  }

  async removeVideo(): Promise<void> {
    this.#adding = undefined;
    await this.#options.renegotiate({
      change: () => {
        this.#options.session()?.lines.setTrack("video", undefined);
        this.#options.session()?.lines.setWish("video", { send: false, receive: false });
      },
    });
    this.#dropCamera();
  }

  #dropCamera(): void {
    const local = this.#options.localMedia();
    if (local !== undefined) this.#options.onLocalMedia(withoutTracks(local, "video"));
  }

  /** Something was agreed, before anybody hears of it: a camera that the far side takes no line of is given back. */
  dropRefused(): void {
    const refused = this.#options.session()?.lines.dropRefusedVideo();
    if (refused === undefined) return;
    this.#refused = refused;
    this.#dropCamera();
  }

  /** Nothing is agreed anew: the line sends from another device. One asked for later stays, also if it came first. */
  async useDevice(kind: MediaKind, constraints: MediaTrackConstraints): Promise<void> {
    this.#needGoingOn();
    this.#asked += 1;
    const number = this.#asked;
    const device = await acquireLocalMedia({ audio: false, [kind]: constraints });
    const used = this.#turn.then(async () => {
      this.#needGoingOn();
      if (number < (this.#used.get(kind) ?? 0)) return releaseLocalMedia(device);
      await this.#sendFrom(kind, device.stream.getTracks()[0]);
      this.#used.set(kind, number);
    });
    this.#turn = used.catch(() => undefined);
    try {
      await used;
    } catch (error) {
      releaseLocalMedia(device);
      throw error;
    }
  }

  async #sendFrom(kind: MediaKind, track: MediaStreamTrack | undefined): Promise<void> {
    // Nobody would release what a call gets that ended while the person was asked.
    this.#needGoingOn();
    const local = (): LocalMedia | undefined => this.#options.localMedia();
    const old = this.#tracks(kind)[0];
    const lines = this.#options.session()?.lines;
    if (track === undefined || old === undefined || lines === undefined) throw new UsageError(`the call sends no ${kind}`);
    track.enabled = !this.muted(kind);
    lines.exchangeTrack(kind, old, track);
    try {
      await lines.attach(kind);
    } catch (error) {
      lines.exchangeTrack(kind, track, old);
      throw error;
    }
    this.#needGoingOn();
    // Who mutes meanwhile mutes the one before.
    track.enabled = !this.muted(kind);
    const media = local();
    if (media !== undefined) this.#options.onLocalMedia(withTrack(withoutTracks(media, kind), track, true));
  }

  /** What of `kind` is ours, and no other call's. */
  #own(kind: MediaKind): MediaStreamTrack[] {
    const media = this.#options.localMedia();
    return media === undefined ? [] : this.#tracks(kind).filter((track) => isOwn(media, track));
  }

  #tracks(kind: MediaKind): MediaStreamTrack[] {
    return this.#options.localMedia()?.stream.getTracks().filter((track) => track.kind === kind) ?? [];
  }

  #needGoingOn(): void {
    if (this.#options.isOver()) throw new CallEndedError("the call is over");
  }

  /** The call is answered, or something was agreed in it: who holds now, and is there video to be answered? */
  agreed(): void {
    const lines = this.#options.session()?.lines;
    if (lines === undefined) return;
    const held = { local: lines.held, remote: lines.heldByFarSide };
    if (held.local !== this.#held.local || held.remote !== this.#held.remote) {
      this.#held = held;
      this.#options.onHold(held);
    }
    const welcome = lines.videoWelcome;
    const offered = welcome && !this.#videoOffered;
    this.#videoOffered = welcome;
    if (offered) this.#options.onVideoOffered();
  }
}
