/** What an operator has to know, out of events. Pure but for its own list. */

import { HOUR_S } from "./causes.ts";
import { numberOf, textOf, type Members } from "./members.ts";

export interface Alarm {
  readonly atS: number;
  readonly text: string;
  readonly callId: string;
}

const MOST = 100;

export class Alarms {
  #alarms: Alarm[] = [];

  add(event: Members): boolean {
    const text = alarmText(event);
    if (text === "") return false;
    this.#alarms = [{ atS: numberOf(event, "at"), text, callId: textOf(event, "call_id") }, ...this.#alarms].slice(0, MOST);
    return true;
  }

  /** Of the hour before `nowS`, the latest first. */
  recent(nowS: number): Alarm[] {
    return this.#alarms.filter(({ atS }) => atS > nowS - HOUR_S).sort((a, b) => b.atS - a.atS);
  }
}

/** "" for an event that is no alarm. */
export function alarmText(event: Members): string {
  const [trunk, why, node] = [textOf(event, "trunk"), textOf(event, "why"), textOf(event, "node")];
  const because = why === "" ? "" : `: ${why}`;
  switch (textOf(event, "type")) {
    case "fraud_alarm": {
      const who = textOf(event, "impu") || `users of the class ${textOf(event, "user_class")}`;
      return `Perhaps fraud: ${who} made ${numberOf(event, "calls")} calls (${textOf(event, "what")}) within an hour`;
    }
    case "emergency_call":
      return `Emergency call of ${textOf(event, "impu")}, ${textOf(event, "action")}`;
    case "login_locked":
      return `Too many failed logins: ${textOf(event, "impu") || textOf(event, "address")} is locked out for a while`;
    case "address_banned":
      return `Address ${textOf(event, "address")} is banned${because}`;
    case "trunk_down":
      return `Trunk ${trunk}: ${textOf(event, "next_hop")} is down${because}, seen by ${node}`;
    case "trunk_up":
      return `Trunk ${trunk}: ${textOf(event, "next_hop")} is up again, seen by ${node}`;
    case "trunk_registration":
      return textOf(event, "state") === "registered" ? "" : `Trunk ${trunk}: registration is ${textOf(event, "state")}${because}`;
    default:
      return "";
  }
}
