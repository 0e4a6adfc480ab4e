/** What comes from the far side: one stream for the whole call, and of each kind the track that counts. */

export class RemoteMedia {
  readonly stream = new MediaStream();

  /** Whether `track` is new. The newest line of a kind is the one the gateway sends on. */
  add(track: MediaStreamTrack): boolean {
    const { stream } = this;
    if (stream.getTrackById(track.id) !== null) return false;
    for (const earlier of stream.getTracks()) if (earlier.kind === track.kind) stream.removeTrack(earlier);
    stream.addTrack(track);
    return true;
  }

  /** A line that was switched off for good ends its track. */
  forgetEnded(): void {
    for (const track of this.stream.getTracks()) if (track.readyState === "ended") this.stream.removeTrack(track);
  }
}
