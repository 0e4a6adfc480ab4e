/** The operator's HTTP interface (/api/openapi.json). Knows requests and problem details (RFC 9457), no page. */

import { membersOf, textOf, type Members } from "./members.ts";

/** The service refused, or did not answer (`status` 0). */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.name = "ApiError";
    this.status = status;
  }
}

/** What the service says to everybody who is no operator (any more); other things are forbidden, too. */
const FOR_OPERATORS = "This is for operators.";

export function isForOperators(error: ApiError): boolean {
  return error.status === 403 && error.message === FOR_OPERATORS;
}

export type Ask = (
  method: string,
  path: string,
  body?: object,
  conditions?: Readonly<Record<string, string>>,
) => Promise<Members>;

/** Asks below /api; throws ApiError. */
export function asker(fetcher: typeof fetch = (...given) => fetch(...given)): Ask {
  return async (method, path, body, conditions = {}) => {
    const headers = { accept: "application/json", "x-csrf-protection": "1", "content-type": "application/json", ...conditions };
    let response: Response;
    try {
      response = await fetcher(`/api${path}`, {
        method,
        headers,
        cache: "no-store",
        credentials: "same-origin",
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new ApiError(0, "The gateway's web service cannot be reached.", { cause: error });
    }
    const members = await bodyOf(response);
    if (response.ok) return members;
    throw new ApiError(response.status, textOf(members, "detail") || `The web service refuses: HTTP ${response.status}.`);
  };
}

/**
 * Log out. The service takes this browser's session away even while it cannot end it, so that a second attempt then
 * finds nobody to log out; what is thrown means that the session goes on.
 */
export async function logOut(ask: Ask): Promise<void> {
  const attempt = (): Promise<Members> => ask("DELETE", "/session");
  await attempt().catch(attempt);
}

/** A path with its query; what is empty is left out. */
export function pathWith(path: string, query: Readonly<Record<string, string>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

async function bodyOf(response: Response): Promise<Members> {
  try {
    return membersOf(await response.json());
  } catch {
    return {};
  }
}
