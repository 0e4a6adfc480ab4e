/** Media quality over time, out of a trace. Pure. */

import { membersOf, numberOrNone, type Members } from "./members.ts";
import type { Entry, Trace } from "./trace.ts";

export interface QualityPoint {
  /** Seconds since the call began. */
  readonly afterS: number;
  readonly mos: number | undefined;
  readonly lossPercent: number | undefined;
  readonly jitterMs: number | undefined;
  readonly packets: number | undefined;
}

export interface QualitySeries {
  /** audio, video. */
  readonly medium: string;
  /** wic: what the page's side is told; ims: the core's. */
  readonly leg: string;
  readonly points: readonly QualityPoint[];
}

export const LEG_TEXT: Readonly<Record<string, string>> = { wic: "Page", ims: "Core", page: "Page", core: "Core" };

export function qualityOf(trace: Trace): QualitySeries[] {
  const series = new Map<string, { medium: string; leg: string; points: QualityPoint[] }>();
  for (const entry of trace.entries) {
    if (entry.what !== "quality") continue;
    const found = series.get(`${entry.name} ${entry.leg}`) ?? { medium: entry.name, leg: entry.leg, points: [] };
    found.points.push(pointOf(entry, trace.beganAt));
    series.set(`${entry.name} ${entry.leg}`, found);
  }
  return [...series.values()].sort((a, b) => a.medium.localeCompare(b.medium) || b.leg.localeCompare(a.leg));
}

/** Whether these figures are not the party's, which reports nothing, but what is known of the other one, or of nobody. */
export function isEstimate(heard: Members): boolean {
  return heard["mos_source"] === "estimated";
}

/**
 * What the party heard since the point before (rtpengine/recent.py). Traces of before have averages of the call so far
 * alone, in the leg or within it (rtpengine/quality.py).
 */
function pointOf({ at, values }: Entry, beganAt: number): QualityPoint {
  const soFar = { ...values, ...membersOf(values["heard"]) };
  const heard = "recent" in values ? membersOf(values["recent"]) : isEstimate(soFar) ? {} : soFar;
  return {
    afterS: Math.max(0, at - beganAt),
    mos: numberOrNone(heard["mos"]),
    lossPercent: numberOrNone(heard["loss_percent"]),
    jitterMs: numberOrNone(heard["jitter_ms"]),
    packets: numberOrNone(values["packets"]),
  };
}

/** Where values of an axis are marked: round numbers from 0 on, with room for `most`. */
export function ticks(most: number, wanted = 5): number[] {
  const raw = Math.max(most, 1e-9) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10) * power;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: Math.max(1, count) + 1 }, (_, at) => Number((at * step).toPrecision(6)));
}
