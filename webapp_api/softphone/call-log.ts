/** One call as the history shows it. Pure: no page, no network. */

import type { CallEnd } from "../sdk/src/index.ts";
import { addressText } from "./caller-text.ts";

export type Outcome = "answered" | "missed" | "elsewhere" | "declined" | "cancelled" | "failed";

export interface LoggedCall {
  readonly callId: string;
  readonly direction: "out" | "in";
  /** What to show; the address when there is no name. */
  readonly name: string;
  /** What to dial to call back; "" when the caller withheld it, or part of it is masked. */
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Seconds of talk. */
  readonly talkS: number;
  readonly outcome: Outcome;
}

const OUTCOMES: Readonly<Partial<Record<CallEnd["cause"], Outcome>>> = {
  missed: "missed",
  "answered-elsewhere": "elsewhere",
  "declined-elsewhere": "declined",
  declined: "declined",
  cancelled: "cancelled",
};

/** What became of a call of this page. */
export function outcomeOf(end: CallEnd, answered: boolean): Outcome {
  return answered ? "answered" : (OUTCOMES[end.cause] ?? "failed");
}

/** The calls of a list that the web service gives (/api/calls); what is not understood is left out. */
export function loggedFromDocument(document: unknown): LoggedCall[] {
  const calls: unknown = isObject(document) ? document["calls"] : undefined;
  return Array.isArray(calls) ? calls.flatMap(loggedFromEntry) : [];
}

/** Best first: what a person's devices that rang for one call have made of it. */
const OF_ONE_CALL: readonly Outcome[] = ["answered", "declined", "elsewhere", "missed", "cancelled", "failed"];

/** Both lists as one, the latest first, each call once: there is an entry for each device, or tab, that rang. */
export function merged(own: readonly LoggedCall[], served: readonly LoggedCall[], most: number): LoggedCall[] {
  const found = new Map<string, LoggedCall>();
  for (const call of [...own, ...served]) {
    const key = `${call.direction} ${call.callId}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, call);
    // Who has called, this page knows better; what became of it, a page that has lost its connection does not.
    else if (rank(call) < rank(known)) found.set(key, { ...known, outcome: call.outcome, talkS: call.talkS });
  }
  return [...found.values()].sort((a, b) => b.atMs - a.atMs).slice(0, most);
}

function rank({ outcome }: LoggedCall): number {
  return OF_ONE_CALL.indexOf(outcome);
}

/** Whether something that was stored is a call. */
export function isLogged(value: unknown): value is LoggedCall {
  return (
    isObject(value) &&
    ["callId", "name", "address", "outcome"].every((member) => typeof value[member] === "string") &&
    (value["direction"] === "out" || value["direction"] === "in") &&
    typeof value["atMs"] === "number" &&
    typeof value["talkS"] === "number"
  );
}

function loggedFromEntry(entry: unknown): LoggedCall[] {
  if (!isObject(entry)) return [];
  const { call_id: callId, peer, direction, began_at: beganAt, duration_s: talkS, answered_at: answeredAt } = entry;
  if (typeof callId !== "string" || typeof peer !== "string" || typeof beganAt !== "number") return [];
  const isWithheld = /^sips?:anonymous@|@anonymous\.invalid\b/i.test(peer);
  const shown = addressText(peer);
  // What followed a service code is in no history: it may be a PIN.
  const address = isWithheld || /\*{4}(?:@|$)/.test(shown) ? "" : shown;
  const out = direction === "out";
  const status = typeof entry["status"] === "number" ? entry["status"] : 0;
  const isDeclined = entry["by"] === "page" && (status === 486 || status >= 600);
  const unanswered = out ? (status === 487 ? "cancelled" : "failed") : isDeclined ? "declined" : "missed";
  const answered = typeof answeredAt === "number" && answeredAt > 0;
  return [
    {
      callId,
      direction: out ? "out" : "in",
      name: isWithheld ? "Anonymous" : shown === "" ? "Unknown" : shown,
      address,
      atMs: beganAt * 1000,
      talkS: typeof talkS === "number" ? Math.round(talkS) : 0,
      outcome: entry["elsewhere"] === true ? "elsewhere" : answered ? "answered" : unanswered,
    },
  ];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
