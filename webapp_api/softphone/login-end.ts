/** When the session at the web service is of no more use, and its end. Knows no page. */

import { LoginError, mayPass, PhoneError, SignedOutError, SipError } from "../sdk/src/index.ts";

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

/**
 * End the session; the error means that it goes on. The service takes this browser's session away even while it cannot
 * end it, so that a second attempt then finds nobody to log out.
 */
export async function endedOrWhy(logout: () => Promise<void>): Promise<PhoneError | undefined> {
  try {
    await logout().catch(logout);
    return undefined;
  } catch (error) {
    if (error instanceof PhoneError) return error;
    throw error;
  }
}
