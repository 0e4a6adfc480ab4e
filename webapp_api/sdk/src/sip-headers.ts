/** The few header fields of RFC 3261 that the SDK writes or reads by itself. Pure text, no SIP.js. */

/** Methods this client takes. UPDATE and PRACK with `Supported: 100rel` tell the gateway that it may answer, then UPDATE. */
export const ALLOW_METHODS = [
  "ACK",
  "BYE",
  "CANCEL",
  "INFO",
  "INVITE",
  "MESSAGE",
  "NOTIFY",
  "OPTIONS",
  "PRACK",
  "REFER",
  "UPDATE",
] as const;

export const ALLOW_HEADER = `Allow: ${ALLOW_METHODS.join(",")}`;

/** The header lines with exactly one Allow, ours: SIP.js writes its own without UPDATE and PRACK. */
export function withSingleAllow(headers: readonly string[]): string[] {
  return [...headers.filter((header) => !/^allow\s*:/i.test(header)), ALLOW_HEADER];
}

export interface Warning {
  /** warn-code, three digits (RFC 3261 §20.43) */
  readonly code: number;
  /** host or pseudonym of who warns */
  readonly agent: string;
  readonly text: string;
}

/** The warning values of one Warning header field; values that are not well-formed are left out. */
export function warningsFromText(value: string): Warning[] {
  const warnings: Warning[] = [];
  for (const match of value.matchAll(/(\d{3}) +([^\s",]+) +"((?:[^"\\]|\\.)*)"/g)) {
    const [, code, agent, text] = match;
    if (code === undefined || agent === undefined || text === undefined) continue;
    warnings.push({ code: Number(code), agent, text: text.replace(/\\(.)/g, "$1") });
  }
  return warnings;
}

/** One Warning header line; characters that a quoted-string must not hold become apostrophes. */
export function warningToText(warning: Warning): string {
  return `Warning: ${warning.code} ${warning.agent} "${warning.text.replace(/["\\\r\n]/g, "'")}"`;
}

export interface Reason {
  /** "SIP" or "Q.850" (RFC 3326) */
  readonly protocol: string;
  readonly cause: number | undefined;
  readonly text: string | undefined;
}

/** The reason values of Reason header fields (RFC 3326 §2), in order; what is not well-formed is left out. */
export function reasonsFromFields(fields: readonly string[]): Reason[] {
  return fields.flatMap((field) => field.match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? []).flatMap((value) => {
    const match = /^\s*([A-Za-z0-9.\-_]+)\s*(;.*)?$/.exec(value);
    if (match?.[1] === undefined) return [];
    const parameters = match[2] ?? "";
    const cause = /;\s*cause\s*=\s*(\d+)/i.exec(parameters)?.[1];
    const text = /;\s*text\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(parameters)?.[1];
    return {
      protocol: match[1],
      cause: cause === undefined ? undefined : Number(cause),
      text: text?.replace(/\\(.)/g, "$1"),
    };
  });
}

/** Retry-After in seconds (RFC 3261 §20.33), undefined when it is absent or not a number. */
export function retryAfterFromText(value: string | undefined): number | undefined {
  const seconds = /^\s*(\d+)/.exec(value ?? "")?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
