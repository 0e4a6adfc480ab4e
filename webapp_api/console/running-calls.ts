/** The running calls, as the gateways told them and as events change them. Pure but for its own list. */

import { listOf, membersOf, numberOf, numberOrNone, textOf, textsOf, type Members } from "./members.ts";

/** What one side hears; undefined is what nobody has told. */
export interface Hearing {
  readonly mos: number | undefined;
  readonly lossPercent: number | undefined;
  readonly jitterMs: number | undefined;
  readonly roundTripMs: number | undefined;
}

export interface RunningCall {
  readonly key: string;
  readonly callId: string;
  readonly gateway: string;
  /** Public identity of the page. */
  readonly owner: string;
  readonly peer: string;
  /** out: the page calls. */
  readonly direction: "out" | "in";
  readonly kinds: readonly string[];
  readonly state: (typeof STATES)[number];
  /** Seconds since the epoch. */
  readonly since: number;
  /** Its media relay, "" while not known. */
  readonly relay: string;
  /** How the far end is reached: core, or trunk:NAME; "" while not known. */
  readonly by: string;
  /** What the page hears, and the far end; undefined while nothing is known. */
  readonly page: Hearing | undefined;
  readonly far: Hearing | undefined;
}

export class RunningCalls {
  readonly #calls = new Map<string, RunningCall>();
  /** Gateways that did not answer the last question. */
  silent: readonly string[] = [];
  /** How many more calls there are than the gateways told. */
  leftOut = 0;

  /** Take what /api/operator/calls answers. */
  replace(document: Members): void {
    this.#calls.clear();
    this.silent = textsOf(document, "silent");
    this.leftOut = 0;
    for (const answer of listOf(document, "gateways")) {
      this.leftOut += numberOf(answer, "left_out");
      for (const call of listOf(answer, "calls")) this.#put(fromAnswer(call, textOf(answer, "gateway")));
    }
  }

  /** Take an event; whether it changed the list. */
  apply(event: Members): boolean {
    const key = textOf(event, "key");
    const type = textOf(event, "type");
    if (key === "" || !type.startsWith("call_")) return false;
    if (type === "call_ended") return this.#calls.delete(key);
    const state = STATE_OF[type];
    if (state === undefined) return false;
    const known = this.#calls.get(key);
    // An event that was missed and is told later than the answer.
    if (known !== undefined && STATES.indexOf(state) <= STATES.indexOf(known.state)) return false;
    this.#put(known === undefined ? fromEvent(event, state) : { ...known, state });
    return true;
  }

  /** Every call, the latest first. */
  all(): RunningCall[] {
    return [...this.#calls.values()].sort((a, b) => b.since - a.since || a.key.localeCompare(b.key));
  }

  get size(): number {
    return this.#calls.size;
  }

  #put(call: RunningCall): void {
    this.#calls.set(call.key, call);
  }
}

const STATES = ["calling", "ringing", "talking"] as const;

const STATE_OF: Readonly<Partial<Record<string, RunningCall["state"]>>> = {
  call_started: "calling",
  call_ringing: "ringing",
  call_answered: "talking",
};

const DIALOG_STATE: Readonly<Partial<Record<string, RunningCall["state"]>>> = { confirmed: "talking", early: "ringing" };

function fromAnswer(call: Members, gateway: string): RunningCall {
  return {
    key: textOf(call, "key"),
    callId: textOf(call, "call_id"),
    gateway,
    owner: textOf(call, "owner"),
    peer: textOf(call, "peer"),
    direction: directionOf(call),
    kinds: textsOf(call, "kinds"),
    state: DIALOG_STATE[textOf(call, "dialog")] ?? "calling",
    since: numberOf(call, "since"),
    relay: textOf(call, "node"),
    by: textOf(membersOf(call["far"]), "by"),
    page: hearingOf(membersOf(call["page"])),
    far: hearingOf(membersOf(call["far"])),
  };
}

function fromEvent(event: Members, state: RunningCall["state"]): RunningCall {
  return {
    key: textOf(event, "key"),
    callId: textOf(event, "call_id"),
    gateway: textOf(event, "node"),
    owner: textOf(event, "impu"),
    peer: textOf(event, "peer"),
    direction: directionOf(event),
    kinds: [],
    state,
    since: numberOf(event, "at"),
    relay: "",
    by: "",
    page: undefined,
    far: undefined,
  };
}

function hearingOf(leg: Members): Hearing | undefined {
  const sound = membersOf(leg["media"])["audio"];
  if (sound === undefined) return undefined;
  const told = membersOf(sound);
  return {
    mos: numberOrNone(told["mos"]),
    lossPercent: numberOrNone(told["loss_percent"]),
    jitterMs: numberOrNone(told["jitter_ms"]),
    roundTripMs: numberOrNone(told["round_trip_ms"]),
  };
}

/** In words: what is not known is left out. */
export function hearingText({ mos, lossPercent, jitterMs, roundTripMs }: Hearing): string {
  return [
    mos !== undefined && `MOS ${mos.toFixed(1)}`,
    lossPercent !== undefined && `loss ${lossPercent.toFixed(1)} %`,
    jitterMs !== undefined && `jitter ${jitterMs.toFixed(0)} ms`,
    roundTripMs !== undefined && `round trip ${roundTripMs.toFixed(0)} ms`,
  ]
    .filter((words) => words !== false)
    .join(", ");
}

function directionOf(members: Members): "out" | "in" {
  return textOf(members, "direction") === "out" ? "out" : "in";
}

/** Whether a call has `text` somewhere in its names; case does not count. */
export function callFits(call: RunningCall, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  const names = [call.owner, call.peer, call.callId, call.key, call.gateway, call.relay, call.by, call.state];
  return wanted === "" || names.some((name) => name.toLowerCase().includes(wanted));
}

/** How many calls each gateway has, by name; those without calls are named by the caller. */
export function countsByGateway(calls: readonly RunningCall[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { gateway } of calls) counts.set(gateway, (counts.get(gateway) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b));
}
