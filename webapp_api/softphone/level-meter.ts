/** Shows how loud a stream is. */

const INTERVAL_MS = 100;
/** What counts as silence and as full, decibels below full scale. */
const QUIET_DB = -60;
const LOUD_DB = -6;

export class LevelMeter {
  readonly #element: HTMLElement;
  #timer: ReturnType<typeof setInterval> | undefined;
  #source: MediaStreamAudioSourceNode | undefined;
  #copies: readonly MediaStreamTrack[] = [];
  readonly #onLevel: (percent: number) => void;

  /** `onLevel` hears each level, from 0 to 100. */
  constructor(element: HTMLElement, onLevel: (percent: number) => void = () => undefined) {
    this.#element = element;
    this.#onLevel = onLevel;
  }

  /** Follow the audio of `stream`, also while it is muted where `isOwn`; a stream without audio shows nothing. */
  start(context: AudioContext, stream: MediaStream, isOwn = false): void {
    this.stop();
    if (stream.getAudioTracks().length === 0) return;
    // A copy of a track is not muted with it.
    if (isOwn) this.#copies = stream.getAudioTracks().map((track) => track.clone());
    for (const copy of this.#copies) copy.enabled = true;
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    this.#source = context.createMediaStreamSource(isOwn ? new MediaStream([...this.#copies]) : stream);
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const percent = percentFromSamples(samples);
      this.#show(percent);
      this.#onLevel(percent);
    }, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = undefined;
    for (const copy of this.#copies) copy.stop();
    this.#copies = [];
    this.#show(0);
  }

  #show(percent: number): void {
    this.#element.setAttribute("aria-valuenow", String(percent));
    const bar = this.#element.firstElementChild;
    if (bar instanceof HTMLElement) bar.style.transform = `scaleX(${percent / 100})`;
  }
}

/** Loudness from 0 to 100, in steps a person can see. */
function percentFromSamples(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const db = 10 * Math.log10(sum / samples.length + Number.EPSILON);
  return Math.round(100 * Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB))));
}
