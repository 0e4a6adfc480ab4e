/**
 * What of a SIP message the page may keep and show: all of it but secrets. Masked are credentials, nonces and tokens,
 * keys of media, digits and messages of people, and the names of flows. Pure; the rules are those of the gateway's own
 * traces (kemi/core/trace/redaction.py).
 */

export const MASK = "***";

const SCHEMES = new Set(["digest", "bearer", "basic"]);
/** Parameters of credentials and challenges that are no secret (RFC 3261 §25, RFC 8898). */
const HARMLESS = new Set(["username", "realm", "uri", "algorithm", "qop", "nc", "stale", "scope", "error", "authz_server"]);
const PARAMETER = /([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*(?:"|$)|[^\s,"]*)/g;
/** A header field with its further lines. */
const CREDENTIALS =
  /^((?:(?:proxy-)?(?:authorization|authenticate|authentication-info)|www-authenticate)[ \t]*:)(.*(?:\r?\n[ \t].*)*)/gim;
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer[ \t]+)(?!(?:realm|scope|error|authz_server)=)[\w.~+/=-]+/gi, `$1${MASK}`],
  [/^((?:p-access|cellular)-network-info[ \t]*:[ \t]*[^;,\s]*;).*(?:\r?\n[ \t].*)*/gim, `$1${MASK}`],
  // Flow tokens, and passwords in addresses.
  [/(sips?:)[\w-]{38,}(?=[@;:])/gi, `$1${MASK}`],
  [/(sips?:[^@:;>\s"]+:)[^@>\s"]+(?=@)/gi, `$1${MASK}`],
  [
    /([;?&](?:access[-_]?token|token|(?:proxy-)?authorization|password|passwd|pwd|pin|secret|key|postd|ck|ik|nonce|response)(?:=|%3d))[^;&?>\s",]+/gi,
    `$1${MASK}`,
  ],
  // What follows a service code may be a PIN (TS 22.030 §6.5.2: *SC*SI#).
  [/((?:sips?|tel):(?:[*#]|%2a|%23)+\d+)(?:\*|%2a)[^;?@>\s"]*/gi, `$1*${MASK}`],
  [/^(a=crypto:.*?inline:).*/gim, `$1${MASK}`],
  [/^(a=(?:ice-pwd|key-mgmt):|k=).*/gim, `$1${MASK}`],
];
/** In the place of what people type: digits, or text for each other. */
const PERSONAL_BODY = "[not kept]";
const END_OF_HEAD = /\r?\n\r?\n/;
const PERSONAL = /^(?:info|message)\s|^cseq[ \t]*:\s*\d+\s+(?:info|message)\b/im;
/** Types of what people type and where they are, in whatever message. */
const PERSONAL_TYPE =
  /^(?:content-type|c)[ \t]*:\s*application\/(?:kpml-response|dtmf|vnd\.nortelnetworks\.digits|vnd\.3gpp\.ussd|pidf)/im;
const MULTIPART = /^(?:content-type|c)[ \t]*:\s*multipart\/(?:.*?boundary\s*=\s*(?:"([^"]+)"|([^\s;,"]+)))?/im;
/** Parts of which something is kept: a type of their own, which is no text, and no parts within. */
const KEPT_PART = /^(?:content-type|c)[ \t]*:\s*(?!text\/|message\/cpim|multipart\/)\S/im;

/** The message without its secrets. */
export function redactSip(message: string): string {
  const end = END_OF_HEAD.exec(message);
  const at = end === null ? message.length : end.index + end[0].length;
  const [head, body] = [message.slice(0, at), message.slice(at)];
  const kept = body !== "" && PERSONAL.test(head) ? PERSONAL_BODY : keptOf(head, body);
  return TEXTS.reduce((text, [secret, becomes]) => text.replace(secret, becomes), head.replace(CREDENTIALS, credentials) + kept);
}

function keptOf(head: string, body: string): string {
  if (body !== "" && PERSONAL_TYPE.test(head)) return PERSONAL_BODY;
  const parts = MULTIPART.exec(head);
  if (body === "" || parts === null) return body;
  const boundary = parts[1] ?? parts[2];
  if (boundary === undefined) return PERSONAL_BODY;
  return body.split(`--${boundary}`).map(keptPart).join(`--${boundary}`);
}

function keptPart(part: string): string {
  if (/^(?:--)?\s*$/.test(part)) return part;
  const head = part.slice(0, END_OF_HEAD.exec(part)?.index ?? 0);
  return KEPT_PART.test(head) && !PERSONAL_TYPE.test(head) ? part : `\r\n${PERSONAL_BODY}\r\n`;
}

function credentials(_: string, name: string, value: string): string {
  const [scheme = ""] = value.trim().split(/\s/, 1);
  const known = SCHEMES.has(scheme.toLowerCase());
  const isDigest = !known || scheme.toLowerCase() === "digest";
  const kept = [...value.matchAll(PARAMETER)].flatMap(([, key = "", text = ""]) => {
    if (HARMLESS.has(key.toLowerCase())) return [`${key}=${text}`];
    return isDigest ? [`${key}=${MASK}`] : [];
  });
  return `${name} ${known ? `${scheme} ` : ""}${kept.join(", ") || MASK}`;
}

/** What a line of a list says of it: the method, or the status and what it answers. */
export function titleOfSip(message: string): string {
  const [start = ""] = message.split(/\r?\n/, 1);
  const [first = "", ...rest] = start.split(" ");
  if (first.toUpperCase() !== "SIP/2.0") return first;
  const method = /^cseq[ \t]*:\s*\d+\s+(\w+)/im.exec(message)?.[1];
  return `${rest.join(" ")}${method === undefined ? "" : ` (${method})`}`;
}
