/** Microphone and camera: acquisition, and the typed error when it fails. */

import type { CallEvents } from "./call-types.ts";
import type { Emitter } from "./events.ts";
import { MediaPermissionError, UsageError, type MediaFailure } from "./errors.ts";

export interface MediaRequest {
  /** true, or constraints for the microphone; default true */
  readonly audio?: boolean | MediaTrackConstraints;
  /** true, or constraints for the camera; default false */
  readonly video?: boolean | MediaTrackConstraints;
  /** A stream of the application's own instead of devices; the SDK never stops its tracks. */
  readonly streams?: MediaStream;
}

export interface LocalMedia {
  readonly stream: MediaStream;
  /** true: the tracks belong to the application and survive the call */
  readonly borrowed: boolean;
  /** Tracks that came later, and whether each is ours to stop. */
  readonly added?: ReadonlyMap<MediaStreamTrack, boolean>;
}

const FAILURE_BY_EXCEPTION: Readonly<Record<string, MediaFailure>> = {
  NotAllowedError: "denied",
  PermissionDeniedError: "denied",
  SecurityError: "insecure-page",
  NotFoundError: "no-device",
  NotReadableError: "device-busy",
  AbortError: "device-busy",
  OverconstrainedError: "constraints",
};

/** The devices as the getUserMedia of the page gives them, or the application's own stream. */
export async function acquireLocalMedia(
  request: MediaRequest,
  devices: Pick<MediaDevices, "getUserMedia"> | undefined = globalThis.navigator?.mediaDevices,
): Promise<LocalMedia> {
  if (request.streams !== undefined) {
    if (request.streams.getTracks().length === 0) throw new UsageError("the stream given for the call has no track");
    return { stream: request.streams, borrowed: true };
  }
  const constraints = { audio: request.audio ?? true, video: request.video ?? false };
  if (constraints.audio === false && constraints.video === false) {
    throw new UsageError("a call needs audio or video");
  }
  if (devices === undefined) {
    throw new MediaPermissionError("insecure-page", "this page may not use microphone and camera");
  }
  try {
    return { stream: await devices.getUserMedia(constraints), borrowed: false };
  } catch (error) {
    throw mediaErrorFromException(error);
  }
}

/** Which kind of failure a getUserMedia exception is. */
export function mediaErrorFromException(error: unknown): MediaPermissionError {
  const name = error instanceof Error ? error.name : "";
  const reason = FAILURE_BY_EXCEPTION[name] ?? "unknown";
  const detail = error instanceof Error && error.message !== "" ? error.message : String(error);
  return new MediaPermissionError(reason, `microphone or camera cannot be used: ${detail}`, { cause: error });
}

/** Give the devices back, unless the tracks are the application's. */
export function releaseLocalMedia(media: LocalMedia): void {
  for (const track of media.stream.getTracks()) if (isOwn(media, track)) track.stop();
}

/** The media with one more track, ours to stop if `own`; one that it has already goes on belonging to whom it did. */
export function withTrack(media: LocalMedia, track: MediaStreamTrack, own: boolean): LocalMedia {
  const tracks = media.stream.getTracks();
  const stays = tracks.includes(track);
  return {
    ...media,
    stream: new MediaStream(stays ? tracks : [...tracks, track]),
    added: new Map([...(media.added ?? []), [track, stays ? isOwn(media, track) : own]]),
  };
}

/** The media without what it has of `kind`; devices that are ours are given back. */
export function withoutTracks(media: LocalMedia, kind: "audio" | "video"): LocalMedia {
  const rest: MediaStreamTrack[] = [];
  for (const track of media.stream.getTracks()) {
    if (track.kind !== kind) rest.push(track);
    else if (isOwn(media, track)) track.stop();
  }
  return { ...media, stream: new MediaStream(rest) };
}

/** Tell of each device that goes away, as one that is unplugged: its track sends nothing more. Tracks of the application are its own affair. */
export function watchDevices(media: LocalMedia, events: Pick<Emitter<CallEvents>, "emit">): void {
  for (const track of media.stream.getTracks()) {
    if (isOwn(media, track)) track.onended = () => events.emit("deviceLost", track.kind as "audio" | "video");
  }
}

/** Whether the track is ours: to be stopped, and to be muted. */
export function isOwn(media: LocalMedia, track: MediaStreamTrack): boolean {
  return media.added?.get(track) ?? !media.borrowed;
}
