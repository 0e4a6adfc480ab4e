/** The sounds of a telephone, made by the browser: no file to load. Silent where the browser allows no sound yet. */

import { chosenDevice } from "./devices.ts";

/** Seconds, and how loud. A person who is in a call gets a short knock instead of a ring. */
interface Pattern {
  readonly onS: number;
  readonly everyS: number;
  readonly gain: number;
}

const RING: Pattern = { onS: 1.6, everyS: 4, gain: 0.12 };
const KNOCK: Pattern = { onS: 0.25, everyS: 5, gain: 0.05 };
/** What a caller hears while the other side rings. */
const RINGBACK: Pattern = { onS: 2, everyS: 6, gain: 0.05 };
/** How long sound may take to come where the browser allows it. */
const CHANCE_MS = 1000;
/** What browsers take for leave to be heard. */
const TOUCHES = ["click", "keydown"] as const;
const KEY_S = 0.12;
const KEY_GAIN = 0.06;
const EDGE_S = 0.04;

/** The two tones of a ringing telephone (ITU-T E.180 supplement 2, North America), softened. */
const RING_HZ = [440, 480] as const;
/** Rows and columns of the keys (ITU-T Q.23). */
const KEYS = ["123", "456", "789", "*0#"] as const;
const ROW_HZ = [697, 770, 852, 941] as const;
const COLUMN_HZ = [1209, 1336, 1477] as const;

/** Chromium's; other browsers play to the system's loudspeaker. */
interface ChoosingContext extends AudioContext {
  setSinkId?(id: string): Promise<void>;
}

/** One for what rings, one for what belongs to a call. */
const contexts: { ring?: ChoosingContext; call?: ChoosingContext } = {};

function contextFor(what: "ring" | "call"): AudioContext {
  const context: ChoosingContext = (contexts[what] ??= new AudioContext());
  // A device that is not there any more leaves the sound where it is: a call must be heard.
  void context.setSinkId?.(chosenDevice(what === "ring" ? "ringoutput" : "audiooutput")).catch(() => undefined);
  return context;
}

/** What takes back that the page is silent, as long as it is. */
let takeBack: (() => void)[] = [];

/**
 * Find out whether the browser lets the page ring, which it may not before the person has touched the page. `tell` says
 * that it does not; what that returns is called when it does.
 */
export async function tryToRing(tell: () => () => void): Promise<void> {
  if (takeBack.length > 0) {
    takeBack.push(tell());
    return;
  }
  // One of its own: an open one keeps the loudspeaker, and some machines, awake.
  const probe = new AudioContext();
  const allowed = probe.resume();
  await Promise.race([allowed, new Promise((resolve) => setTimeout(resolve, CHANCE_MS))]);
  if (probe.state !== "running") {
    const touched = (): void => {
      for (const context of [probe, contexts.ring, contexts.call]) void context?.resume();
    };
    for (const touch of TOUCHES) document.addEventListener(touch, touched);
    takeBack.push(tell());
    await allowed;
    for (const touch of TOUCHES) document.removeEventListener(touch, touched);
    for (const done of takeBack) done();
    takeBack = [];
  }
  await probe.close();
}

export class RingTone {
  #timer: ReturnType<typeof setInterval> | undefined;
  #output: GainNode | undefined;

  /** Ring until `stop`: this page, softly during a call, or as one hears it who calls. */
  start(what: "ring" | "knock" | "ringback"): void {
    this.stop();
    const { onS, everyS, gain } = { ring: RING, knock: KNOCK, ringback: RINGBACK }[what];
    const context = contextFor(what === "ring" ? "ring" : "call");
    const output = (this.#output = new GainNode(context));
    output.connect(context.destination);
    const ring = (): void => burst(context, output, RING_HZ, onS, gain);
    void context.resume().then(() => {
      if (this.#output !== output) return;
      ring();
      this.#timer = setInterval(ring, everyS * 1000);
    });
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#output?.disconnect();
    this.#output = undefined;
  }
}

/** Let the person hear which key was pressed. */
export function playKey(key: string): void {
  const row = KEYS.findIndex((keys) => keys.includes(key));
  const [low, high] = [ROW_HZ[row], COLUMN_HZ[KEYS[row]?.indexOf(key) ?? -1]];
  if (low === undefined || high === undefined) return;
  const context = contextFor("call");
  void context.resume().then(() => burst(context, context.destination, [low, high], KEY_S, KEY_GAIN));
}

function burst(context: AudioContext, output: AudioNode, tonesHz: readonly number[], onS: number, gain: number): void {
  // Its clock stands still, and all that was missed would be heard at once.
  if (context.state !== "running") return;
  const begin = context.currentTime + EDGE_S;
  const envelope = new GainNode(context, { gain: 0 });
  envelope.gain.setTargetAtTime(gain, begin, EDGE_S);
  envelope.gain.setTargetAtTime(0, begin + onS - EDGE_S, EDGE_S);
  envelope.connect(output);
  for (const frequency of tonesHz) {
    const oscillator = new OscillatorNode(context, { frequency });
    oscillator.connect(envelope);
    oscillator.start(begin);
    oscillator.stop(begin + onS + 5 * EDGE_S);
  }
}
