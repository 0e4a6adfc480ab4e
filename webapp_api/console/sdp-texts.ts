/** The session descriptions of a call, and which of them are one before and after. Pure. */

import type { Entry, Trace } from "./trace.ts";

export interface SdpText {
  readonly label: string;
  readonly sdp: string;
}

/** Places in the list of texts. */
export interface SdpPair {
  readonly label: string;
  readonly before: number;
  readonly after: number;
}

export interface CallSdp {
  readonly texts: readonly SdpText[];
  readonly pairs: readonly SdpPair[];
}

export function isSdp(text: string): boolean {
  return /^v=0\r?\n/.test(text) && /^[a-z]=/m.test(text);
}

/** What comes after the empty line of a SIP message; of several parts, the session description. */
export function bodyOfMessage(message: string): string {
  const at = /\r?\n\r?\n/.exec(message);
  if (at === null) return "";
  const body = message.slice(at.index + at[0].length);
  if (!/^content-type\s*:\s*multipart\//im.test(message.slice(0, at.index))) return body;
  const start = /^v=0\r?$/m.exec(body);
  return start === null ? body : body.slice(start.index).replace(/\r?\n--[^\r\n]*[\s\S]*$/, "\r\n");
}

export function sdpOf(trace: Trace): CallSdp {
  const texts: SdpText[] = [];
  const pairs: SdpPair[] = [];
  const place = new Map<Entry, number>();
  const add = (label: string, sdp: string): number => texts.push({ label, sdp }) - 1;
  for (const entry of trace.entries) {
    const when = `+${(entry.at - trace.beganAt).toFixed(3)} s`;
    if (entry.what === "sip") {
      const sdp = bodyOfMessage(entry.text);
      const far = entry.leg.replace(/^trunk:/, "trunk ");
      if (isSdp(sdp)) place.set(entry, add(`${when} ${entry.name}, ${entry.incoming ? "from" : "to"} the ${far}`, sdp));
    } else if (entry.what === "relay" && (entry.text !== "" || entry.result !== "")) {
      const before = entry.text === "" ? -1 : add(`${when} given to the relay, ${entry.name}`, entry.text);
      const after = entry.result === "" ? -1 : add(`${when} from the relay, ${entry.name}`, entry.result);
      if (before >= 0 && after >= 0) pairs.push({ label: `${when} relay: ${entry.name}`, before, after });
    }
  }
  return { texts, pairs: [...throughTheGateway([...place]), ...pairs] };
}

/** Places in the lists; pair: -1 for two that somebody chose. */
export interface SdpChoice {
  readonly pair: number;
  readonly before: number;
  readonly after: number;
}

/** The same choice in the lists of the call as it is now, where others have come in between. */
export function choiceIn(found: CallSdp, former: CallSdp, chosen: SdpChoice): SdpChoice {
  const placeOf = (text: SdpText | undefined): number =>
    Math.max(0, found.texts.findIndex(({ label, sdp }) => label === text?.label && sdp === text.sdp));
  const [before, after] = [placeOf(former.texts[chosen.before]), placeOf(former.texts[chosen.after])];
  const label = former.pairs[chosen.pair]?.label;
  const pair = found.pairs.findIndex((one) => one.label === label && one.before === before && one.after === after);
  return { pair, before, after };
}

/** The first description that each side sent, and what the other side first got after it. */
function throughTheGateway(messages: readonly (readonly [Entry, number])[]): SdpPair[] {
  const isPage = (entry: Entry): boolean => entry.leg === "page";
  return ([true, false] as const).flatMap((fromPage) => {
    const sent = messages.findIndex(([entry]) => entry.incoming && isPage(entry) === fromPage);
    const got = messages.findIndex(([entry], at) => at > sent && !entry.incoming && isPage(entry) !== fromPage);
    const before = messages[sent]?.[1];
    const after = messages[got]?.[1];
    if (sent < 0 || before === undefined || after === undefined) return [];
    return [{ label: fromPage ? "Page → core, through the gateway" : "Core → page, through the gateway", before, after }];
  });
}
