/** Why a WebSocket was closed. Knows close codes (RFC 6455 §7.4), nothing of SIP. */

/** The close code in what SIP.js tells of a lost socket: it hands on a text, not the event. */
export function closeCodeFromError(error: Error | undefined): number | undefined {
  const code = /\(code: (\d{4})\)/.exec(error?.message ?? "")?.[1];
  return code === undefined ? undefined : Number(code);
}

/** The core does not know the registration any more: it is to be made anew. */
const REGISTRATION_GONE = 4404;

/** Policy violation, and the codes for private use: the gateway does not want this page back as it is. */
export function isFarewell(code: number | undefined): code is number {
  return code !== undefined && (code === 1008 || (code >= 4000 && code <= 4999)) && code !== REGISTRATION_GONE;
}

/** Going away, service restart, try again later: everybody comes back at once. */
export function isRestart(code: number | undefined): boolean {
  return code === 1001 || code === 1012 || code === 1013;
}
