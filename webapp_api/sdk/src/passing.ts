/** Which failures pass by themselves. */

import { LoginError, SipError, SocketError, type PhoneError } from "./errors.ts";

const TOO_MANY_REQUESTS = 429;
/** Refusals that may pass: timeouts, lost flows, troubled servers. All others are about the account, or the session. */
const PASSING_STATUSES: readonly number[] = [408, 430, 480, 491];

/** Whether the same REGISTER, re-INVITE or request for a token may be granted in a while. */
export function mayPass(error: PhoneError): boolean {
  if (error instanceof SocketError) return true;
  if (error instanceof LoginError) return error.status === 0 || error.status === TOO_MANY_REQUESTS || error.status >= 500;
  return error instanceof SipError && (PASSING_STATUSES.includes(error.status) || Math.floor(error.status / 100) === 5);
}
