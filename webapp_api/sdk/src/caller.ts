/**
 * Who calls, from the header fields of the INVITE: P-Asserted-Identity when the network asserts one (RFC 3325),
 * else From. Pure text, no SIP.js: its grammar does not know tel URIs with parameters.
 */

/** What the network found out about the caller's number (TS 24.229 §7.2A.20, RFC 8588). */
export type NumberVerification = "passed" | "failed" | "none";

export interface Caller {
  /** SIP or tel URI; undefined when the caller withholds it. */
  readonly uri: string | undefined;
  readonly displayName: string | undefined;
  /** The telephone number, when the address is one. */
  readonly number: string | undefined;
  /** true: the network vouches for the address (P-Asserted-Identity); false: it is only what the caller wrote. */
  readonly asserted: boolean;
  /** true: the caller asked for privacy, or called as "Anonymous"; nothing else is known then. */
  readonly withheld: boolean;
  /** The network's check of the number; undefined when it made none. */
  readonly verification: NumberVerification | undefined;
}

export interface CallerFields {
  readonly from: string;
  /** Values of P-Asserted-Identity, one for each header line; a line may list two. */
  readonly assertedIdentities: readonly string[];
  /** Values of Privacy (RFC 3323). */
  readonly privacy: readonly string[];
}

/** As much of a SIP message as says who sent it. */
interface Fields {
  getHeaders(name: string): string[];
}

interface Identity {
  readonly uri: string;
  readonly displayName: string | undefined;
}

interface Address extends Identity {
  readonly verification: NumberVerification | undefined;
}

const WITHHELD = { uri: undefined, displayName: undefined, number: undefined, withheld: true } as const;

/** The caller to show. Asked-for privacy wins, whatever else a careless network left in the message (TS 24.607 §4.5.2). */
export function callerFromFields(fields: CallerFields): Caller {
  const asserted = fields.assertedIdentities.flatMap(addressesFromText);
  const from = addressesFromText(fields.from)[0];
  const identity = asserted[0] ?? from;
  const verification = asserted.length > 0 ? asserted.map((one) => one.verification).find(Boolean) : from?.verification;
  if (identity === undefined || asksForPrivacy(fields.privacy) || isAnonymous(identity.uri)) {
    return { ...WITHHELD, asserted: asserted.length > 0, verification };
  }
  return {
    uri: identity.uri,
    displayName: asserted.map(({ displayName }) => displayName).find(Boolean) ?? identity.displayName ?? from?.displayName,
    number: asserted.map(({ uri }) => numberFromUri(uri)).find(Boolean) ?? numberFromUri(identity.uri),
    asserted: asserted.length > 0,
    withheld: false,
    verification,
  };
}

/** Whom a message names; `from` is its From, "" of a response, where that is this side. */
export function callerFromMessage(message: Fields, from: string): Caller {
  return callerFromFields({
    from,
    assertedIdentities: message.getHeaders("p-asserted-identity"),
    privacy: message.getHeaders("privacy"),
  });
}

/** Whether these are one person, however the network writes the number. */
export function isSameCaller(one: Caller, other: Caller): boolean {
  return one.uri === other.uri || (one.number !== undefined && one.number === other.number);
}

/** The name-addr and addr-spec values of one header line (RFC 3261 §25.1), `verstat` taken off; others are left out. */
export function identitiesFromText(line: string): Identity[] {
  return addressesFromText(line).map(({ uri, displayName }) => ({ uri, displayName }));
}

function addressesFromText(line: string): Address[] {
  const addresses: Address[] = [];
  const pattern = /\s*(?:(?:"((?:[^"\\]|\\.)*)"|([^"<>,]*?))\s*<([^>]+)>|((?:sips?|tel):[^\s;,?>]+))[^,]*(?:,|$)/giy;
  for (const [, quoted, plain, bracketed, bare] of line.matchAll(pattern)) {
    const written = (bracketed ?? bare)?.trim();
    const uri = written?.replace(/;verstat=[^;@?]*/gi, "");
    if (written === undefined || uri === undefined || !/^(sips?|tel):./i.test(uri)) continue;
    const displayName = (quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "").trim();
    const verification = verificationFromUri(written);
    addresses.push({ uri, displayName: displayName === "" ? undefined : displayName, verification });
  }
  return addresses;
}

/** The telephone number in a tel URI, or in a SIP URI that says it is one (RFC 3261 §19.1.6). */
export function numberFromUri(uri: string): string | undefined {
  const [, scheme = "", user = "", rest = ""] = /^(sips?|tel):([^@;?]+)(.*)$/i.exec(uri) ?? [];
  const isNumber = /^\+?[0-9][0-9().-]*$/.test(user);
  if (!isNumber) return undefined;
  const marked = scheme.toLowerCase() === "tel" || user.startsWith("+") || /;user=phone\b/i.test(rest);
  return marked ? user.replace(/[().-]/g, "") : undefined;
}

function asksForPrivacy(values: readonly string[]): boolean {
  const wishes = values.flatMap((value) => value.split(/[;,]/)).map((wish) => wish.trim().toLowerCase());
  return wishes.some((wish) => wish === "id" || wish === "user" || wish === "header");
}

function isAnonymous(uri: string): boolean {
  return /^sips?:anonymous@/i.test(uri) || /@anonymous\.invalid\b/i.test(uri);
}

/** What the network wrote into a URI; the name beside it is the caller's to write. */
function verificationFromUri(uri: string): NumberVerification | undefined {
  const value = /;verstat=([a-z-]+)/i.exec(uri)?.[1]?.toLowerCase();
  if (value === undefined) return undefined;
  if (value.startsWith("tn-validation-passed")) return "passed";
  return value.startsWith("tn-validation-failed") ? "failed" : "none";
}
