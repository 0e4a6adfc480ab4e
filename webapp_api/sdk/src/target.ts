/** From what a person types to the address that goes into the request: names, telephone numbers, tel and SIP URIs. */

import { UsageError } from "./errors.ts";

/** A telephone number as people write it: digits with an optional +, and separators that carry no meaning (RFC 3966 §5.1.1, and what is typed for them). */
const NUMBER = /^\(?\+?[0-9][0-9 ()./\u00a0\u2010-\u2013-]*$/;
/** The trunk prefix that some write after a country's code, where it is not dialled; Italy's zero is part of the number. */
const TRUNK_PREFIX = /^(\(?\+(?!39)\d{1,3}[^\d(]*)\(0\)/;
/** As `#31#` or `*21*600#`; a number in it may have its own +. */
const SERVICE_CODE = /^(?=[*#].)(?:[*#](?:\+(?=\d))?|\d)+$/;
const USER = /^[A-Za-z0-9\-_.!~*'()&=+$,;?/%]+$/;

/**
 * The SIP URI for `typed` in `domain`.
 *
 * Global numbers get `user=phone` (RFC 3261 §19.1.1), so that the core treats them as numbers, not as names.
 */
export function targetUriFromText(typed: string, domain: string): string {
  const text = typed.trim();
  if (/^sips?:/i.test(text)) {
    if (/^sips:/i.test(text)) throw new UsageError("sips: addresses cannot be dialled, use sip:");
    if (!/^sip:[^\s@]+@[^\s@]+$/i.test(text)) throw new UsageError(`"${text}" is not a SIP address`);
    return text;
  }
  const number = text.replace(/^tel:/i, "");
  if (NUMBER.test(number)) {
    const digits = number.replace(TRUNK_PREFIX, "$1").replace(/[^+0-9]/g, "");
    return digits.startsWith("+") ? `sip:${digits}@${domain};user=phone` : `sip:${digits}@${domain}`;
  }
  if (/^tel:/i.test(text)) throw new UsageError(`"${text}" is not a telephone number`);
  if (SERVICE_CODE.test(text)) return `sip:${text.replaceAll("#", "%23")}@${domain}`;
  const [user = "", host, ...rest] = text.split("@");
  if (rest.length > 0 || !USER.test(user) || host === "" || /\s/.test(host ?? "")) {
    throw new UsageError(`"${text}" is neither a number nor an address`);
  }
  return `sip:${user}@${host ?? domain}`;
}

/** The address of record of the user who signs in: a name, a number, or a whole SIP URI. */
export function addressOfRecordFromText(user: string, domain: string): string {
  return targetUriFromText(user, domain).replace(/;user=phone$/, "");
}
