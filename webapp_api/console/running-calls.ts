/** The running calls, as the gateways told them and as events change them. Pure but for its own counts. */

import { isEstimate } from "./quality-series.ts";
import { listOf, membersOf, numberOf, numberOrNone, textOf, type Members } from "./members.ts";

/** What one side hears; undefined is what nobody has told. */
export interface Hearing {
  readonly mos: number | undefined;
  /** The side reports nothing: what is known of the other one has been taken for it. */
  readonly isEstimated: boolean;
  readonly lossPercent: number | undefined;
  readonly jitterMs: number | undefined;
  readonly roundTripMs: number | undefined;
}

/** How far a call is, by what its dialog with the page is, in the order in which it gets there. */
const DIALOGS = ["none", "early", "confirmed"];
export const STATE_OF_DIALOG: Readonly<Partial<Record<string, "calling" | "ringing" | "talking">>> = {
  none: "calling",
  early: "ringing",
  confirmed: "talking",
};

const DIALOG_AFTER: Readonly<Partial<Record<string, string>>> = {
  call_started: "none",
  call_ringing: "early",
  call_answered: "confirmed",
};

/**
 * The calls of a page of /api/operator/calls after an event; undefined: they are as they were.
 * `takesNew`: whether a call that begins now is on this page.
 */
export function callsAfter(calls: readonly Members[], event: Members, takesNew: boolean): readonly Members[] | undefined {
  const key = textOf(event, "key");
  const type = textOf(event, "type");
  const known = calls.find((call) => textOf(call, "key") === key);
  const changed = (made: Members): readonly Members[] => calls.map((call) => (call === known ? made : call));
  if (key === "") return undefined;
  if (type === "call_ended") return known && calls.filter((call) => call !== known);
  if (type === "call_quality") return known && changed(heard(known, event));
  const dialog = DIALOG_AFTER[type];
  if (dialog === undefined) return undefined;
  if (known === undefined) return takesNew ? [begun(event, dialog), ...calls] : undefined;
  // An event that was missed and is told later than the answer.
  return DIALOGS.indexOf(dialog) <= DIALOGS.indexOf(textOf(known, "dialog")) ? undefined : changed({ ...known, dialog });
}

/** Whether the event was after what its gateway has answered (/api/operator/calls): its clock says so. */
export function isLaterThan(event: Members, answer: Members): boolean {
  const told = listOf(answer, "gateways").find((one) => textOf(one, "gateway") === textOf(event, "node"));
  return told === undefined || numberOf(event, "at") > numberOf(told, "at");
}

/** A side that the event says nothing of is as it was. */
function heard(call: Members, event: Members): Members {
  const audio = membersOf(membersOf(event["quality"])["audio"]);
  const leg = (name: string, told: unknown): Members => {
    const known = membersOf(call[name]);
    return told === null || told === undefined ? known : { ...known, media: { ...membersOf(known["media"]), audio: told } };
  };
  return { ...call, page: leg("page", audio["wic"]), far: leg("far", audio["ims"]) };
}

function begun(event: Members, dialog: string): Members {
  const [owner, gateway, since] = [textOf(event, "impu"), textOf(event, "node"), numberOf(event, "at")];
  return { ...event, dialog, owner, gateway, since, node: "", kinds: [] };
}

/** How many calls each gateway has that says so. */
export class CallCounts {
  readonly #counts = new Map<string, { total: number; at: number }>();
  #isKnown = false;

  /** Take what /api/operator/status answers. */
  replace(status: Members): void {
    this.#counts.clear();
    this.#isKnown = numberOrNone(status["calls"]) !== undefined;
    const countedAt = membersOf(status["counted_at"]);
    for (const one of listOf(status, "gateways")) {
      const [name, total] = [textOf(one, "gateway"), numberOrNone(one["calls"])];
      if (total !== undefined) this.#counts.set(name, { total, at: numberOf(countedAt, name) });
    }
  }

  /** Take an event, unless it was of before the answer: the gateway's clock says so. */
  apply(event: Members): void {
    const counted = this.#counts.get(textOf(event, "node"));
    const change = ({ call_started: 1, call_ended: -1 } as Partial<Record<string, number>>)[textOf(event, "type")];
    if (counted === undefined || change === undefined || numberOf(event, "at") <= counted.at) return;
    counted.total = Math.max(0, counted.total + change);
  }

  byGateway(): [string, number][] {
    return [...this.#counts].map(([gateway, { total }]): [string, number] => [gateway, total]).sort(([a], [b]) => a.localeCompare(b));
  }

  /** Undefined: nobody has said. */
  get total(): number | undefined {
    if (!this.#isKnown) return undefined;
    return this.byGateway().reduce((sum, [, total]) => sum + total, 0);
  }
}

/** What a leg of a call hears; undefined while nothing is known. */
export function hearingOf(leg: Members): Hearing | undefined {
  const sound = membersOf(leg["media"])["audio"];
  if (sound === undefined) return undefined;
  const told = membersOf(sound);
  const reported = isEstimate(told) ? {} : told;
  return {
    mos: numberOrNone(told["mos"]),
    isEstimated: isEstimate(told),
    lossPercent: numberOrNone(reported["loss_percent"]),
    jitterMs: numberOrNone(reported["jitter_ms"]),
    roundTripMs: numberOrNone(reported["round_trip_ms"]),
  };
}

/** In words: what is not known is left out. */
export function hearingText({ mos, isEstimated, lossPercent, jitterMs, roundTripMs }: Hearing): string {
  return [
    mos !== undefined && `MOS ${mos.toFixed(1)}${isEstimated ? " (estimated)" : ""}`,
    lossPercent !== undefined && `loss ${lossPercent.toFixed(1)} %`,
    jitterMs !== undefined && `jitter ${jitterMs.toFixed(0)} ms`,
    roundTripMs !== undefined && `round trip ${roundTripMs.toFixed(0)} ms`,
  ]
    .filter((words) => words !== false)
    .join(", ");
}
