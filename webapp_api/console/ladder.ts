/** The rungs of a call's ladder: page, gateway, and core or trunk side by side. Pure. */

import type { Members } from "./members.ts";
import { bodyOfMessage, isSdp } from "./sdp-texts.ts";
import type { Entry, Kind, Trace } from "./trace.ts";

export interface Rung {
  readonly kind: Exclude<Kind, "quality">;
  /** Seconds since the call began. */
  readonly afterS: number;
  /** Which side of the gateway a message is on; "" for what happens in the gateway. */
  readonly lane: "page" | "far" | "";
  /** Right: from the page towards the core; "" for what happens in the gateway. */
  readonly arrow: "right" | "left" | "";
  readonly title: string;
  /** A sentence for those who do not see the columns. */
  readonly spoken: string;
  readonly note: string;
  /** What to show when somebody looks closer: heading and text. */
  readonly details: readonly (readonly [string, string])[];
  readonly isFailure: boolean;
}

export function rungsOf(trace: Trace): Rung[] {
  return trace.entries.flatMap((entry) => rungOf(entry, trace.beganAt));
}

function rungOf(entry: Entry, beganAt: number): Rung[] {
  const afterS = entry.at - beganAt;
  switch (entry.what) {
    case "sip":
      return [messageRung(entry, afterS)];
    case "decision":
      return [inGateway(entry, "decision", afterS, `${entry.name}${chosenText(entry)}`, entry.why || plainText(entry))];
    case "state":
      return [inGateway(entry, "state", afterS, entry.name, valuesText(entry))];
    case "relay":
      return [relayRung(entry, afterS)];
    case "quality":
      return [];
  }
}

function messageRung(entry: Entry, afterS: number): Rung {
  const lane = entry.leg === "page" ? "page" : "far";
  const far = entry.leg.startsWith("trunk:") ? `trunk ${entry.leg.slice("trunk:".length)}` : entry.leg;
  const [from, to] = entry.incoming ? [far, "gateway"] : ["gateway", far];
  const isOffer = isSdp(bodyOfMessage(entry.text));
  const title = `${entry.name}${isOffer ? " (SDP)" : ""}`;
  return {
    kind: "sip",
    afterS,
    lane,
    arrow: (lane === "page") === entry.incoming ? "right" : "left",
    title,
    spoken: `${from} to ${to}:`,
    note: entry.leg.startsWith("trunk:") ? far : "",
    details: [
      ["Message", entry.text === "" ? "(not kept)" : entry.text],
      ...(Object.keys(entry.values).length === 0 ? [] : [["Belongs to", valuesText(entry)] as const]),
    ],
    isFailure: /^[3-6]\d\d\b/.test(entry.name) && !/^(401|407|487|491)\b/.test(entry.name),
  };
}

function relayRung(entry: Entry, afterS: number): Rung {
  const ms = entry.values["ms"];
  const took = typeof ms === "number" ? `${Math.round(ms * 10) / 10} ms` : "";
  const rung = inGateway(entry, "relay", afterS, `${entry.name}`, entry.why === "" ? took : entry.why);
  const sdp: (readonly [string, string])[] = [];
  if (entry.text !== "") sdp.push(["SDP given", entry.text]);
  if (entry.result !== "") sdp.push(["SDP that came of it", entry.result]);
  return { ...rung, details: [...rung.details, ...sdp], isFailure: entry.why !== "" };
}

function inGateway(entry: Entry, kind: Rung["kind"], afterS: number, title: string, note: string): Rung {
  const details: (readonly [string, string])[] = [];
  if (Object.keys(entry.values).length > 0) details.push(["Values", JSON.stringify(entry.values, null, 2)]);
  if (entry.text !== "" && kind !== "relay") details.push(["Text", entry.text]);
  const spoken = { sip: "", decision: "gateway decides:", state: "state of the call:", relay: "media relay:" }[kind];
  return { kind, afterS, lane: "", arrow: "", title, spoken, note, details, isFailure: false };
}

/** What was chosen, when it is one thing. */
function chosenText({ values }: Entry): string {
  const [chosen, ...more] = plainValues(values);
  return chosen !== undefined && more.length === 0 ? `: ${String(chosen[1])}` : "";
}

/** What was chosen, when it is more than one thing. */
function plainText({ values }: Entry): string {
  const chosen = plainValues(values);
  return chosen.length > 1 ? chosen.map(([name, value]) => `${name} ${String(value)}`).join(", ") : "";
}

function plainValues(values: Members): [string, unknown][] {
  return Object.entries(values).filter(([, value]) => typeof value !== "object" && value !== "");
}

function valuesText({ values }: Entry): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}
