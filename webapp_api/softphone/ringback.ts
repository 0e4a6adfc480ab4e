/** What a caller hears while the other side rings: the network's own sound where it sends one, else a tone of the page. */

import type { Call } from "../sdk/src/index.ts";
import { RingTone } from "./ring-tone.ts";

const LOOK_MS = 400;

const tone = new RingTone();

/** Ring for `call` while it rings and nothing is heard; returns what ends that. */
export function ringBack(call: Call): () => void {
  let looks: ReturnType<typeof setInterval> | undefined;
  let heard = 0;
  const quiet = (): void => {
    clearInterval(looks);
    looks = undefined;
    tone.stop();
  };
  const energy = async (): Promise<number> =>
    (await call.stats()).inbound.reduce((sum, line) => sum + (line.totalAudioEnergy ?? 0), 0);
  const look = async (): Promise<void> => {
    if ((await energy()) > heard && looks !== undefined) quiet();
  };
  const changed = async (): Promise<void> => {
    if (call.state !== "ringing") {
      quiet();
      return;
    }
    if (looks !== undefined) return;
    looks = setInterval(() => void look(), LOOK_MS);
    const before = await energy();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    heard = await energy();
    // Sound that comes already needs no tone beside it.
    if (looks !== undefined && heard === before) tone.start("ringback");
  };
  const off = call.onState(() => void changed());
  void changed();
  return () => {
    off();
    quiet();
  };
}
