/** The calls that failed within the last hour, counted by cause. Pure but for its own list. */

import { numberOf, textOf, type Members } from "./members.ts";
import { causeText } from "./words.ts";

export const HOUR_S = 3600;

export interface FailedCall {
  /** Names its trace: the call's key, or the Call-ID of one that was refused before it had a key. */
  readonly key: string;
  readonly atS: number;
  readonly cause: string;
  readonly callId: string;
  /** Told when a rule of the site forbade it; the end of such a call is told as well where it had begun. */
  readonly isRefusal: boolean;
}

export interface CauseCount {
  readonly cause: string;
  readonly count: number;
  readonly lastAtS: number;
  /** Names the trace of the last one. */
  readonly lastKey: string;
}

/** Not a fault, but somebody's wish: `by` of the command (kemi/state/keys.py). */
const WISHES: readonly string[] = ["ended by the operator", "ended by the user"];

/** A finished call (an event, or a recorded call) as a failure; undefined when it is none. */
export function failureFrom(call: Members): FailedCall | undefined {
  const atS = numberOf(call, "ended_at") || numberOf(call, "at");
  const ending = { by: textOf(call, "by"), why: textOf(call, "why"), status: numberOf(call, "status") };
  const callId = textOf(call, "call_id");
  const key = textOf(call, "key") || callId;
  const type = textOf(call, "type");
  if (WISHES.includes(ending.why)) return undefined;
  if (type === "call_refused" || type === "call_forbidden") {
    return { key, atS, callId, cause: `Refused: ${ending.why}`, isRefusal: true };
  }
  if (type !== "" && type !== "call_ended") return undefined;
  const answered = numberOf(call, "answered_at") > 0;
  if (answered ? ending.by !== "gateway" || ending.why === "" : isNoFailure(ending.status, ending.why)) return undefined;
  return { key, atS, callId, cause: causeText(ending), isRefusal: false };
}

/** A caller who gives up, and a device that rang beside the one that answered, are no failure. */
function isNoFailure(status: number, why: string): boolean {
  return status === 487 || why === "CANCEL" || why === "answered elsewhere";
}

export class Failures {
  #calls: FailedCall[] = [];

  add(call: FailedCall): void {
    const isSame = (known: FailedCall): boolean => known.callId === call.callId && known.isRefusal !== call.isRefusal;
    const at = this.#calls.findIndex(isSame);
    if (at < 0) this.#calls.push(call);
    else if (!call.isRefusal) this.#calls[at] = call;
  }

  /** Of the hour before `nowS`, the most frequent first. */
  counts(nowS: number): CauseCount[] {
    this.#calls = this.#calls.filter(({ atS }) => atS > nowS - HOUR_S);
    const found = new Map<string, CauseCount>();
    for (const { cause, atS, key } of this.#calls) {
      const known = found.get(cause) ?? { cause, count: 0, lastAtS: 0, lastKey: "" };
      const isLater = atS >= known.lastAtS;
      found.set(cause, {
        cause,
        count: known.count + 1,
        lastAtS: isLater ? atS : known.lastAtS,
        lastKey: isLater && key !== "" ? key : known.lastKey,
      });
    }
    return [...found.values()].sort((a, b) => b.count - a.count || a.cause.localeCompare(b.cause));
  }
}
