/** Why a call is over, as a value that a program can decide on. Pure: no SIP.js, no browser. */

import { CallEndedError, type PhoneError } from "./errors.ts";
import type { Reason } from "./sip-headers.ts";

/** Every cause with what happened. */
export const CALL_END_CAUSES = {
  hangup: "one side hung up an answered call",
  cancelled: "this side gave up its own call before it was answered",
  declined: "this side refused the call",
  missed: "the caller gave up, or nobody answered in time",
  "answered-elsewhere": "another device of the same user took the call",
  "declined-elsewhere": "another device of the same user refused the call for all of them",
  deflected: "this side sent the caller to somebody else",
  replaced: "another call took the place of this one, in a transfer",
  gone: "the far side knows nothing of the call any more; `error` is its 481",
  failed: "`error` says why",
} as const;

export type CallEndCause = keyof typeof CALL_END_CAUSES;

export interface CallEnd {
  readonly by: "local" | "remote" | "failure";
  readonly cause: CallEndCause;
  /** Why it failed; there when the cause is `failed` or `gone`. */
  readonly error?: PhoneError;
  /** Reason of the far side's BYE or CANCEL (RFC 3326), when it gave one. */
  readonly reason?: Reason;
}

/**
 * How an incoming call ended that the network cancelled with these reasons. A proxy that forked the INVITE tells the
 * branches that lost what became of the call: 200, or the 6xx that ended all of them (RFC 3326 §3.1, RFC 3261 §16.7).
 */
export function endOfCancelledCall(reasons: readonly Reason[]): CallEnd {
  const statuses = reasons.filter(({ protocol }) => protocol.toUpperCase() === "SIP").map(({ cause }) => cause);
  const reason = reasons[0];
  const rest = { by: "remote" as const, ...(reason && { reason }) };
  if (statuses.includes(200)) return { cause: "answered-elsewhere", ...rest };
  if (statuses.some((status) => status !== undefined && status >= 600 && status <= 699)) {
    return { cause: "declined-elsewhere", ...rest };
  }
  return { cause: "missed", ...rest };
}

/** The end because of `error`. */
export function failure(error: PhoneError): CallEnd {
  return { by: "failure", cause: "failed", error };
}

/** What `change` gives, or CallEndedError right after the call's end: what waits for a browser's answer may never end. */
export async function whileRunning<Value>(
  events: { on(name: "end", listener: () => void): () => void },
  change: Promise<Value>,
): Promise<Value> {
  let forget = (): void => undefined;
  const over = new Promise<never>((_, reject) => {
    // Not at once: what ended the call, as a 481, may be what `change` fails with.
    forget = events.on("end", () => void setTimeout(() => reject(new CallEndedError("the call is over")), 0));
  });
  try {
    return await Promise.race([change, over]);
  } finally {
    forget();
  }
}
