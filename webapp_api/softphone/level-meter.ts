/** Shows how loud a stream is. */

const INTERVAL_MS = 100;
/** What counts as silence and as full, decibels below full scale. */
const QUIET_DB = -60;
const LOUD_DB = -6;

export class LevelMeter {
  readonly #element: HTMLElement;
  #timer: ReturnType<typeof setInterval> | undefined;
  #source: MediaStreamAudioSourceNode | undefined;

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  /** Follow the audio of `stream`; a stream without audio shows nothing. */
  start(context: AudioContext, stream: MediaStream): void {
    this.stop();
    if (stream.getAudioTracks().length === 0) return;
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    this.#source = context.createMediaStreamSource(stream);
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      this.#show(percentFromSamples(samples));
    }, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = undefined;
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
