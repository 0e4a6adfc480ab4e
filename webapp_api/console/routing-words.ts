/** What rows, dial plans and permissions of the routing table say, in words. Pure. */

import { listOf, membersOf, numberOf, textOf, textsOf, type Members } from "./members.ts";
import { addressText, countText } from "./words.ts";

/** All days there are. */
const DAYS = 7;
const ANY = "*";

/** What becomes of calls while there is no table. */
export const WITHOUT_TABLE = "Every call goes to the core, or without a core to users alone.";

/** The routing table as the service gives it. */
export interface RoutingTable {
  /** 0: none has been loaded. */
  readonly version: number;
  readonly document: Members;
}

export function tableFrom(answer: Members): RoutingTable {
  return { version: numberOf(answer, "version"), document: membersOf(answer["table"]) };
}

/** Whether there is no table, or nothing in it, which the gateways take for none (WITHOUT_TABLE). */
export function isNone({ document }: RoutingTable): boolean {
  return Object.values(document).every((part) => Object.keys(Object(part)).length === 0);
}

/** Which table counts. */
export function versionText(table: RoutingTable): string {
  if (table.version === 0) return "There is no table.";
  return isNone(table) ? `Version ${table.version} is empty, and counts as none.` : `Version ${table.version} counts.`;
}

export function rowsOf(table: RoutingTable): Members[] {
  return listOf(table.document, "routes");
}

/** The members of a part of the table, as its dial plans, by their names. */
export function partsOf(table: RoutingTable, name: string): (readonly [string, Members])[] {
  return Object.entries(membersOf(table.document[name])).map(([key, value]) => [key, membersOf(value)] as const);
}

/** A realm or a class of users, which may be any. */
export function anyText(name: string): string {
  return name === ANY ? "any" : name;
}

/** A class that has a permission: `*` is for those that have none of their own. */
export function classText(name: string): string {
  return name === ANY ? "all others" : name;
}

export function hoursText(row: Members): string {
  const hours = membersOf(row["hours"]);
  if (Object.keys(hours).length === 0) return "always";
  const days = textsOf(hours, "days");
  const time = `${textOf(hours, "start")} to ${textOf(hours, "end")}`;
  return `${days.length >= DAYS ? "every day" : days.join(", ")} ${time} (${textOf(hours, "zone")})`;
}

export function targetText(row: Members): string {
  const profile = textOf(row, "profile");
  return `${placeText(row)}${profile === "" ? "" : `, media profile ${profile}`}`;
}

function placeText(row: Members): string {
  const [to, name, reason] = [textOf(row, "to"), textOf(row, "name"), textOf(row, "reason")];
  switch (to) {
    case "core":
      return "the core";
    case "trunk":
      return `trunks ${name}`;
    case "conference":
      return `conference ${name}`;
    case "user":
      return `pages of ${addressText(name)}`;
    case "refuse":
      return `refused with ${textOf(row, "status")}${reason === "" ? "" : `: ${reason}`}`;
    default:
      return `${to} ${name}`.trim();
  }
}

/** Which kinds of rates a class may call. */
export function ratesText(permission: Members): string {
  // None said is null; an empty list is an answer.
  if (!Array.isArray(permission["classes"])) return "all; over trunks no international, premium and satellite numbers";
  return ["internal", ...textsOf(permission, "classes").filter((one) => one !== "internal")].join(", ");
}

/** What a user of a class may do how often. */
export function limitsText(permission: Members): string {
  const [calls, aMinute, longestS] = [numberOf(permission, "calls"), numberOf(permission, "calls_per_minute"), numberOf(permission, "longest_call_s")];
  const told = [
    calls > 0 && `${countText(calls, "call")} at once`,
    aMinute > 0 && `${countText(aMinute, "call")} a minute`,
    ...countsOf(permission, "per_minute").map(([cost, most]) => `${countText(most, `${cost} call`)} a minute`),
    longestS > 0 && `${longestS} s for each call`,
  ];
  return told.filter((text) => text !== false).join(", ") || "none";
}

/** How many calls of one user, or of a whole class, within an hour raise an alarm. */
export function alarmsText(permission: Members): string {
  const of = (name: string, whom: string): string[] => countsOf(permission, name).map(([what, most]) => `${most} ${what} ${whom}`);
  const told = [...of("alarms", "of a user"), ...of("class_alarms", "of the class")];
  return told.length === 0 ? "none" : `within an hour: ${told.join(", ")}`;
}

export function shortCodesText(plan: Members): string {
  const codes = Object.entries(membersOf(plan["short_codes"]));
  return codes.map(([code, means]) => (means === "" ? code : `${code} is ${addressText(String(means))}`)).join(", ");
}

function countsOf(members: Members, name: string): [string, number][] {
  const counts = membersOf(members[name]);
  return Object.keys(counts).map((key) => [key, numberOf(counts, key)]);
}
