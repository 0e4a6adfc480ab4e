/**
 * What a person sends to the operator when a call went wrong. Pure: no page. It holds no name, no number that was
 * dialled, no digit that was pressed and nothing that could open anything.
 */

import { SipError, type Call, type CallStats } from "../sdk/src/index.ts";
import type { Quality } from "./quality.ts";

export interface DiagnosticsInput {
  readonly call: Pick<Call, "diagnostics" | "direction" | "state" | "end" | "held" | "recovering" | "answeredAt">;
  readonly stats: CallStats;
  /** The latest ones, oldest first. */
  readonly qualities: readonly Quality[];
  readonly userAgent: string;
  readonly version: string;
  readonly now: Date;
}

/** The report, JSON with two spaces. */
export function diagnosticsText({ call, stats, qualities, userAgent, version, now }: DiagnosticsInput): string {
  const { error } = call.end ?? {};
  const report = {
    at: now.toISOString(),
    gateway: version,
    browser: userAgent,
    direction: call.direction,
    state: call.state,
    held: call.held,
    recovering: call.recovering,
    answeredAt: call.answeredAt?.toISOString(),
    end: call.end && { by: call.end.by, cause: call.end.cause, kind: error?.kind, status: statusOf(error) },
    ...call.diagnostics(),
    quality: qualities.map((quality) => ({
      ...quality,
      lossPercent: rounded(quality.lossPercent),
      jitterMs: rounded(quality.jitterMs),
      roundTripMs: quality.roundTripMs === undefined ? undefined : rounded(quality.roundTripMs),
      kbitPerS: rounded(quality.kbitPerS),
    })),
    stats,
  };
  return JSON.stringify(report, undefined, 2);
}

function statusOf(error: unknown): number | undefined {
  return error instanceof SipError ? error.status : undefined;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
