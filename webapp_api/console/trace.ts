/** A call's trace and its verdicts, out of /api/operator/trace?key=KEY. Pure. */

import { pathWith } from "./api.ts";
import { flagOf, listOf, membersOf, numberOf, textOf, textsOf, type Members } from "./members.ts";

/** Where a trace is: in the query, since a path cannot name each call ("/x" is "x" there, ".." the one above). */
export function tracePath(key: string): string {
  return pathWith("/operator/trace", { key });
}

export const KINDS = ["sip", "state", "decision", "relay", "quality"] as const;
export type Kind = (typeof KINDS)[number];

export interface Entry {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly what: Kind;
  /** page, core, trunk:NAME; of quality wic or ims. */
  readonly leg: string;
  readonly incoming: boolean;
  readonly name: string;
  readonly why: string;
  readonly values: Members;
  readonly text: string;
  readonly result: string;
}

export const GRAVITIES = ["cause", "trouble", "note"] as const;

export interface Verdict {
  readonly code: string;
  readonly gravity: (typeof GRAVITIES)[number];
  readonly says: string;
  readonly because: readonly string[];
  readonly advice: string;
}

/** What the list of traces tells of a call. */
export interface TraceHead {
  readonly key: string;
  readonly callId: string;
  readonly impu: string;
  readonly peer: string;
  readonly direction: "out" | "in";
  readonly node: string;
  readonly beganAt: number;
  /** 0: never. */
  readonly answeredAt: number;
  /** 0: running. */
  readonly endedAt: number;
  readonly by: string;
  readonly why: string;
  readonly status: number;
  readonly relay: string;
}

export interface Trace extends TraceHead {
  readonly media: Members;
  readonly leftOut: number;
  readonly entries: readonly Entry[];
  readonly verdicts: readonly Verdict[];
}

export function headFrom(call: Members): TraceHead {
  const direction = textOf(call, "direction");
  return {
    key: textOf(call, "key"),
    callId: textOf(call, "call_id"),
    impu: textOf(call, "impu"),
    peer: textOf(call, "peer"),
    direction: direction === "from_page" || direction === "out" ? "out" : "in",
    node: textOf(call, "node"),
    beganAt: numberOf(call, "began_at"),
    answeredAt: numberOf(call, "answered_at"),
    endedAt: numberOf(call, "ended_at"),
    by: textOf(call, "by"),
    why: textOf(call, "why"),
    status: numberOf(call, "status"),
    relay: textOf(call, "relay"),
  };
}

export function traceFrom(document: Members): Trace {
  return {
    ...headFrom(document),
    media: membersOf(document["media"]),
    leftOut: numberOf(document, "left_out"),
    entries: listOf(document, "entries").flatMap(entryFrom),
    verdicts: listOf(document, "verdicts").map(verdictFrom).sort((a, b) => rank(a) - rank(b)),
  };
}

function entryFrom(entry: Members): Entry[] {
  const what = KINDS.find((kind) => kind === entry["what"]);
  if (what === undefined) return [];
  return [
    {
      at: numberOf(entry, "at"),
      what,
      leg: textOf(entry, "leg"),
      incoming: flagOf(entry, "incoming"),
      name: textOf(entry, "name"),
      why: textOf(entry, "why"),
      values: membersOf(entry["values"]),
      text: textOf(entry, "text"),
      result: textOf(entry, "result"),
    },
  ];
}

function verdictFrom(verdict: Members): Verdict {
  return {
    code: textOf(verdict, "code"),
    gravity: GRAVITIES.find((known) => known === verdict["gravity"]) ?? "note",
    says: textOf(verdict, "says"),
    because: textsOf(verdict, "because"),
    advice: textOf(verdict, "do"),
  };
}

function rank({ gravity }: Verdict): number {
  return GRAVITIES.indexOf(gravity);
}
