/** How running calls sound: asked of their traces, of a few at a time. */

import { ApiError, type Ask } from "./api.ts";
import { LEG_TEXT, qualityOf } from "./quality-series.ts";
import type { RunningCall } from "./running-calls.ts";
import { traceFrom } from "./trace.ts";

/** Calls that are asked for in one round. */
const MOST = 20;

export class LiveQuality {
  readonly #ask: Ask;
  #texts = new Map<string, string>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** "" while nothing is known. */
  textOf(key: string): string {
    return this.#texts.get(key) ?? "";
  }

  /** Ask for the first calls of those that are shown. */
  async refresh(calls: readonly RunningCall[]): Promise<void> {
    const talking = calls.filter(({ state }) => state === "talking").slice(0, MOST);
    const texts = new Map<string, string>();
    for (const { key } of talking) texts.set(key, (await this.#latest(key)) ?? this.textOf(key));
    this.#texts = texts;
  }

  async #latest(key: string): Promise<string | undefined> {
    try {
      const trace = traceFrom(await this.#ask("GET", `/operator/traces/${encodeURIComponent(key)}`));
      const told = qualityOf(trace).flatMap(({ medium, leg, points }) => {
        const mos = points.filter((point) => point.mos !== undefined).at(-1)?.mos;
        return mos === undefined || medium !== "audio" ? [] : [`${LEG_TEXT[leg] ?? leg} ${mos.toFixed(1)}`];
      });
      return told.length === 0 ? "" : `MOS: ${told.join(", ")}`;
    } catch (error) {
      // Not recorded, or not any more: the calls themselves are still worth showing.
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }
}
