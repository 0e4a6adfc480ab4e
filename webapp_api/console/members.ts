/** Reads the members of JSON objects: what is missing, or of another type, is empty. Pure. */

export type Members = Readonly<Record<string, unknown>>;

export function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

export function textOf(members: Members, name: string): string {
  const value = members[name];
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

export function numberOf(members: Members, name: string): number {
  return numberOrNone(members[name]) ?? 0;
}

export function numberOrNone(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

export function flagOf(members: Members, name: string): boolean {
  return members[name] === true;
}

/** The objects of a list. */
export function listOf(members: Members, name: string): Members[] {
  const value = members[name];
  return Array.isArray(value) ? value.map(membersOf) : [];
}

/** The texts of a list. */
export function textsOf(members: Members, name: string): string[] {
  const value = members[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
