/** How well a call sounds, from two samples of its statistics. Pure: no page. */

import type { CallStats, InboundMedia } from "../sdk/src/index.ts";

export type Rating = "good" | "fair" | "poor" | "silent" | "paused" | "unknown";

export interface Quality {
  readonly rating: Rating;
  /** Of the packets that should have come between the two samples, percent. */
  readonly lossPercent: number;
  readonly jitterMs: number;
  readonly roundTripMs: number | undefined;
  readonly codec: string | undefined;
  /** What arrives, kbit/s. */
  readonly kbitPerS: number;
}

/** Below the first number of each line it is good, below the second fair (ITU-T G.114, G.1020). */
const LIMITS = {
  lossPercent: [2, 6],
  jitterMs: [30, 80],
  roundTripMs: [300, 600],
} as const;

const RATING_TEXT: Readonly<Record<Rating, string>> = {
  good: "Good",
  fair: "Fair",
  poor: "Poor",
  silent: "No sound arrives",
  paused: "Paused",
  unknown: "Measuring…",
};

/** Quality of the sound that came between two samples, `elapsedMs` apart. */
export function qualityBetween(earlier: CallStats, later: CallStats, elapsedMs: number): Quality {
  const before = new Map(soundOf(earlier).map((line) => [line.mid, line]));
  const lines = soundOf(later);
  let received = 0;
  let lost = 0;
  let bytes = 0;
  let busiest: InboundMedia | undefined;
  let most = 0;
  for (const line of lines) {
    const first = before.get(line.mid);
    const packets = line.packets - (first?.packets ?? 0);
    received += packets;
    lost += Math.max(0, line.packetsLost - (first?.packetsLost ?? 0));
    bytes += line.bytes - (first?.bytes ?? 0);
    if (packets <= most) continue;
    most = packets;
    busiest = line;
  }
  const measured = {
    lossPercent: received + lost === 0 ? 0 : (100 * lost) / (received + lost),
    jitterMs: busiest?.jitterMs ?? 0,
    roundTripMs: later.roundTripTimeMs,
  };
  return {
    ...measured,
    rating: received <= 0 ? "silent" : ratingOf(measured),
    codec: codecName(busiest?.codec),
    kbitPerS: elapsedMs <= 0 ? 0 : (bytes * 8) / elapsedMs,
  };
}

/** The rating in one or two words. */
export function ratingText(rating: Rating): string {
  return RATING_TEXT[rating];
}

/** The numbers behind it, as a person reads them. */
export function detailText({ rating, lossPercent, jitterMs, roundTripMs, codec }: Quality): string {
  if (rating === "silent") return "";
  const loss = lossPercent < 0.05 ? "no loss" : `${lossPercent.toFixed(1)} % lost`;
  const parts = [loss, `${Math.round(jitterMs)} ms jitter`];
  if (roundTripMs !== undefined) parts.push(`${Math.max(1, Math.round(roundTripMs))} ms round trip`);
  if (codec !== undefined) parts.push(codec);
  return parts.join(" · ");
}

function ratingOf(measured: Readonly<Record<keyof typeof LIMITS, number | undefined>>): Rating {
  let worst = 0;
  for (const [name, limits] of Object.entries(LIMITS)) {
    const value = measured[name as keyof typeof LIMITS] ?? 0;
    worst = Math.max(worst, limits.filter((limit) => value >= limit).length);
  }
  return (["good", "fair", "poor"] as const)[worst] ?? "poor";
}

function soundOf(stats: CallStats): InboundMedia[] {
  return stats.inbound.filter(({ kind }) => kind === "audio");
}

function codecName(codec: string | undefined): string | undefined {
  return codec?.toLowerCase() === "opus" ? "Opus" : codec;
}
