/** What every page of the console works with: the interface, what is known of the moment, and the operator's ear. */

import type { Ask } from "./api.ts";
import { Failures } from "./causes.ts";
import type { Members } from "./members.ts";
import { CallCounts } from "./running-calls.ts";
import { Alarms } from "./alarms.ts";

export interface Desk {
  readonly ask: Ask;
  readonly counts: CallCounts;
  failures: Failures;
  alarms: Alarms;
  /** Events before this are not known although they were asked for: the stream has been cut. 0: none is missing. */
  missedBeforeS: number;
  /** Whether the stream of events has been listened to since the login. */
  hasHeard: boolean;
  /** Tell what has been done. */
  readonly tell: (text: string) => void;
  /** Tell what has failed. */
  readonly complain: (error: unknown) => void;
  readonly confirm: (question: Question) => Promise<boolean>;
}

export interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says that does it. */
  readonly yes: string;
}

/** One page. */
export interface View {
  readonly title: string;
  readonly element: HTMLElement;
  /** Ask the service for what the page shows; its failure is told by who calls it. */
  readonly refresh: () => Promise<void>;
  /** How often to ask without an event. */
  readonly everyMs: number;
  /** Show what has changed; called some time after events, not for each. */
  readonly render: () => void;
  /** Take an event; what has changed is shown when `render` is called. */
  readonly take?: (event: Members) => void;
  /** Whether an event is a reason to ask the service again. */
  readonly asksAfter?: (event: Members) => boolean;
}

export function newDesk(given: Pick<Desk, "ask" | "tell" | "complain" | "confirm">): Desk {
  return { ...given, counts: new CallCounts(), failures: new Failures(), alarms: new Alarms(), missedBeforeS: 0, hasHeard: false };
}

/** The stream is told from its beginning: what was heard of it before must not count twice. */
export function hearAnew(desk: Desk): void {
  desk.failures = new Failures();
  desk.alarms = new Alarms();
  desk.hasHeard = false;
}

/** End a call when the operator means it; whether it was asked for. */
export async function endCall(desk: Desk, callId: string, who: string): Promise<boolean> {
  const yes = await desk.confirm({
    title: "End this call?",
    text: `${who} will be disconnected at once. Your name goes into the audit log.`,
    yes: "End the call",
  });
  if (!yes) return false;
  await desk.ask("POST", "/operator/calls/end", { call_id: callId });
  desk.tell("The gateways have been told to end the call.");
  return true;
}
