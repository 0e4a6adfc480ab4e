/** How a call goes: its states and when each began, when it was answered, how it ended. No SIP.js, no browser. */

import type { CallEnd } from "./call-end.ts";
import { CALL_TRANSITIONS, type CallEvent, type CallState } from "./call-state.ts";
import { nextState } from "./state-table.ts";

/** A state, and how many milliseconds after the call's beginning it began. */
export interface StateEntered {
  readonly state: CallState;
  readonly atMs: number;
}

export class CallRecord {
  readonly #startedMs = performance.now();
  readonly #states: StateEntered[];
  #state: CallState;
  #answeredAt: Date | undefined;
  #end: CallEnd | undefined;

  constructor(state: CallState) {
    this.#state = state;
    this.#states = [{ state, atMs: 0 }];
  }

  get state(): CallState {
    return this.#state;
  }

  get states(): StateEntered[] {
    return [...this.#states];
  }

  get answeredAt(): Date | undefined {
    return this.#answeredAt;
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** Whether `event` leads to another state. SIP.js goes on reporting responses that come after the end. */
  apply(event: CallEvent): boolean {
    if (this.#state === "ended") return false;
    const next = nextState(CALL_TRANSITIONS, this.#state, event);
    if (next === this.#state) return false;
    this.#state = next;
    this.#states.push({ state: next, atMs: performance.now() - this.#startedMs });
    return true;
  }

  answered(): void {
    this.#answeredAt ??= new Date();
  }

  /** Whether this is the first end; another one changes nothing. */
  ended(end: CallEnd): boolean {
    if (this.#end !== undefined) return false;
    this.#end = end;
    return true;
  }
}
