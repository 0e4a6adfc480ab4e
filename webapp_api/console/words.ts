/** How times, addresses and causes are said. Pure. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Time of day of seconds since the epoch; "" for none. */
export function clockText(atS: number): string {
  return atS > 0 ? clock.format(atS * 1000) : "";
}

export function momentText(atS: number): string {
  return atS > 0 ? moment.format(atS * 1000) : "";
}

/** Seconds as `0:07`, `12:07` or `1:12:07`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds since something began, `+0.012 s`. */
export function offsetText(seconds: number): string {
  return `${seconds <= -0.0005 ? "−" : "+"}${Math.abs(seconds).toFixed(3)} s`;
}

/** A SIP or tel address as people write it. */
export function addressText(uri: string): string {
  const text = uri.replace(/^<(.*)>$/s, "$1").replace(/^(sips?|tel):/i, "").replace(/[;?].*$/s, "");
  return text === "" ? "unknown" : text;
}

export function countText(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  380: "Emergency call refused", 401: "Not logged in", 403: "Not allowed", 404: "Number not found", 408: "No answer in time",
  410: "Number is gone", 415: "Body not understood", 480: "Not reachable", 481: "Call not known", 484: "Number incomplete",
  486: "Busy", 487: "Given up by the caller", 488: "No common media", 491: "Both changed the call at once",
  500: "Server fault", 502: "Bad answer of the next hop", 503: "No capacity", 504: "Next hop does not answer",
  600: "Busy", 603: "Declined", 604: "Number not found", 606: "No common media",
}; // prettier-ignore

export interface Ending {
  readonly by: string;
  readonly why: string;
  readonly status: number;
}

/** Why a call failed, in few words: calls with the same words are counted together. */
export function causeText({ by, why, status }: Ending): string {
  const words = STATUS_TEXT[status] ?? "";
  if (status > 0) return words === "" ? `${status} ${why}`.trim() : `${status} ${words}`;
  if (why !== "") return why.charAt(0).toUpperCase() + why.slice(1);
  return by === "" ? "Unknown" : `Ended by the ${by}`;
}

/** How a call ended, one sentence. */
export function endText(ending: Ending): string {
  const who = ending.by === "" ? "" : ` by the ${ending.by}`;
  const status = ending.status > 0 ? ` with ${ending.status}` : "";
  const why = ending.why === "" ? "" : `: ${ending.why}`;
  return `Ended${who}${status}${why}.`;
}
