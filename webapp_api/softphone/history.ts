/**
 * The calls of the person: those of this page, kept in this browser, and where the web service has a history, those of
 * all devices. A guest's identity has other holders later: their calls are forgotten with the sign-in.
 */

import type { Call } from "../sdk/src/index.ts";
import { isLogged, loggedFromDocument, merged, outcomeOf, type LoggedCall } from "./call-log.ts";
import { readStored, writeStored } from "./stored.ts";

const MOST = 50;
const URL = "/api/calls?limit=50";

export class CallHistory {
  readonly #key: string | undefined;
  readonly #isServed: boolean;
  readonly #onChange: () => void;
  #own: readonly LoggedCall[] = [];
  #served: readonly LoggedCall[] = [];

  /**
   * `owner` is who has signed in; undefined keeps nothing beyond this page. `isServed`: the person has a session at the
   * web service, which may have a history.
   */
  constructor(owner: string | undefined, isServed: boolean, onChange: () => void) {
    this.#key = owner === undefined ? undefined : `softphone.calls.${owner}`;
    this.#isServed = isServed;
    this.#onChange = onChange;
    this.#own = this.#stored() ?? [];
  }

  /** The latest first. */
  get calls(): readonly LoggedCall[] {
    return merged(this.#own, this.#served, MOST);
  }

  /** Take down `call` when it is over. */
  follow(call: Call, name: string, address: string): void {
    const atMs = Date.now();
    call.on("end", (end) => {
      const { answeredAt } = call;
      const entry: LoggedCall = {
        callId: call.diagnostics().callId ?? crypto.randomUUID(),
        direction: call.direction === "outgoing" ? "out" : "in",
        name,
        address,
        atMs,
        talkS: answeredAt === undefined ? 0 : Math.round((Date.now() - answeredAt.getTime()) / 1000),
        outcome: outcomeOf(end, answeredAt !== undefined),
      };
      // Another tab may have written meanwhile.
      this.#own = [entry, ...(this.#stored() ?? this.#own)].slice(0, MOST);
      this.#keep();
    });
  }

  /** Ask the web service; without a history there, this page's own calls are all there is. */
  async fetch(): Promise<void> {
    if (!this.#isServed) return;
    try {
      const response = await fetch(URL, { headers: { accept: "application/json" }, cache: "no-store" });
      this.#served = response.ok ? loggedFromDocument(await response.json()) : [];
    } catch {
      this.#served = [];
    }
    this.#onChange();
  }

  /** Another tab of this browser has written, or forgotten. */
  reread(): void {
    if (this.#key === undefined) return;
    this.#own = this.#stored() ?? [];
    this.#onChange();
  }

  /** Forget what this browser knows. */
  forget(): void {
    this.#own = [];
    this.#keep();
  }

  /** Undefined: this browser keeps nothing, or nothing yet. */
  #stored(): readonly LoggedCall[] | undefined {
    const stored = this.#key === undefined ? undefined : readStored(this.#key);
    return Array.isArray(stored) ? stored.filter(isLogged) : undefined;
  }

  #keep(): void {
    if (this.#key !== undefined) writeStored(this.#key, this.#own.length === 0 ? undefined : this.#own);
    this.#onChange();
  }
}
