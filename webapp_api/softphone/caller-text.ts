/** A caller in words. */

import { numberFromUri } from "../sdk/src/caller.ts";
import type { Caller } from "../sdk/src/index.ts";

/** What to call the caller: the name, else the number, else the name in the address. */
export function callerName(caller: Caller): string {
  if (caller.withheld) return "Anonymous";
  return caller.displayName ?? callerAddress(caller) ?? "Unknown caller";
}

/** The number, or the address without its scheme; undefined when the caller withholds it. */
export function callerAddress(caller: Caller): string | undefined {
  return caller.number ?? (caller.uri === undefined ? undefined : addressText(caller.uri));
}

/** What to show and dial of a URI: its number, wherever that is written, or the address without its scheme. */
export function addressText(uri: string): string {
  return numberFromUri(uri) ?? uri.replace(/^(sips?|tel):/i, "").replace(/[;?].*$/, "");
}

const VERIFICATION = {
  passed: "The network has verified this number.",
  failed: "Be careful: the network could not verify this number.",
  none: "",
} as const;

/** A sentence on whether the number can be trusted; empty when nothing is known. */
export function verificationText(caller: Caller): string {
  return caller.verification === undefined ? "" : VERIFICATION[caller.verification];
}
