/** The sound of an incoming call, made by the browser: no file to load. */

/** The two tones of a ringing telephone (ITU-T E.180 supplement 2, North America), softened. */
const TONES_HZ = [440, 480] as const;

/** Seconds; a person who is in a call gets a short knock instead of a ring. */
const RING = { onS: 1.6, everyS: 4, gain: 0.12 } as const;
const KNOCK = { onS: 0.25, everyS: 5, gain: 0.05 } as const;
const EDGE_S = 0.04;

export class RingTone {
  #context: AudioContext | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #output: GainNode | undefined;

  /** Ring until `stop`; `softly` during a call. Stays silent where the browser allows no sound yet. */
  start(softly: boolean): void {
    this.stop();
    const pattern = softly ? KNOCK : RING;
    const context = (this.#context ??= new AudioContext());
    void context.resume();
    this.#output = new GainNode(context);
    this.#output.connect(context.destination);
    const ring = (): void => this.#burst(context, pattern.onS, pattern.gain);
    ring();
    this.#timer = setInterval(ring, pattern.everyS * 1000);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#output?.disconnect();
    this.#output = undefined;
  }

  #burst(context: AudioContext, onS: number, gain: number): void {
    if (this.#output === undefined) return;
    const begin = context.currentTime + EDGE_S;
    const envelope = new GainNode(context, { gain: 0 });
    envelope.gain.setTargetAtTime(gain, begin, EDGE_S);
    envelope.gain.setTargetAtTime(0, begin + onS - EDGE_S, EDGE_S);
    envelope.connect(this.#output);
    for (const frequency of TONES_HZ) {
      const oscillator = new OscillatorNode(context, { frequency });
      oscillator.connect(envelope);
      oscillator.start(begin);
      oscillator.stop(begin + onS + 5 * EDGE_S);
    }
  }
}
