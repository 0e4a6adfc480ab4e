/** When the session at the web service is of no more use. Pure: no page, no requests. */

import { LoginError, mayPass, SignedOutError, SipError, type PhoneError } from "../sdk/src/index.ts";

const UNAUTHORIZED = 401;
const FORBIDDEN = 403;

/**
 * Whether the session is useless after `error`: credentials or token are refused. Whatever else fails (a gateway that
 * restarts, a web service that is busy) passes, and the session is the browser's other tabs', too.
 */
export function endsLogin(error: PhoneError): boolean {
  if (error instanceof LoginError) return error.status === UNAUTHORIZED || error.status === FORBIDDEN;
  return error instanceof SignedOutError || (error instanceof SipError && !mayPass(error));
}
