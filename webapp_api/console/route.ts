/** Which page the address names: `#/calls`, `#/call/KEY`, `#/past?failed=true`. Pure. */

export const PAGES = ["overview", "calls", "past", "registrations", "nodes", "routes", "users", "pools", "audit", "call"] as const;
export type PageName = (typeof PAGES)[number];

export interface Route {
  readonly page: PageName;
  /** The call's key; "" on every other page. */
  readonly key: string;
  readonly query: Readonly<Record<string, string>>;
}

export function routeFromHash(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name = "", ...rest] = path.split("/");
  const page = PAGES.find((known) => known === name) ?? "overview";
  const key = page === "call" ? decoded(rest.join("/")) : "";
  if (page === "call" && key === "") return { page: "calls", key: "", query: {} };
  return { page, key, query: Object.fromEntries(new URLSearchParams(query)) };
}

export function hashOf(page: PageName, { key = "", query = {} }: Partial<Omit<Route, "page">> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const path = key === "" ? page : `${page}/${encodeURIComponent(key)}`;
  return `#/${path}${given.length === 0 ? "" : `?${new URLSearchParams(given)}`}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
