/**
 * Login at the gateway's web service: a session in a cookie that scripts cannot read, and from it the access tokens
 * that `connect` needs. No SIP password is in the page. Knows the HTTP interface (/api/openapi.json), not SIP.
 */

import { ANSWER_TIMEOUT_MS } from "./config.ts";
import { LoginError } from "./errors.ts";
import { tokenSource, type AccessToken } from "./token-source.ts";

export type LoginMethod = "password" | "guest" | "oidc";

export interface WebApiOptions {
  /** Where the web service's API is; the page must be of the same origin. */
  readonly apiUrl?: string;
  readonly fetcher?: typeof fetch;
}

/** Somebody who is logged in. Spread `credentials` into the options of `connect`. */
export interface Login {
  readonly method: LoginMethod;
  readonly name: string;
  /** Private identity. */
  readonly impi: string;
  /** Public identities, the default one first. */
  readonly impus: readonly string[];
  readonly credentials: {
    readonly user: string;
    readonly authorizationUser: string;
    readonly token: () => Promise<string>;
  };
}

const DEFAULT_API_URL = "/api";

/** Log in with an account of the gateway's; throws LoginError. */
export async function login(account: { name: string; password: string }, options: WebApiOptions = {}): Promise<Login> {
  const { name, password } = account;
  return loginFrom(await ask(options, "POST", "/session", { name, password }), options);
}

/** Log in with an identity of the guests' pool, held until logout; throws LoginError, with `retryAfterS` when all are taken. */
export async function loginAsGuest(options: WebApiOptions = {}): Promise<Login> {
  return loginFrom(await ask(options, "POST", "/leases"), options);
}

/** Who is logged in with this browser: after a reload, or the return from the operator's provider. */
export async function currentLogin(options: WebApiOptions = {}): Promise<Login | undefined> {
  const document = await ask(options, "GET", "/session");
  return document["authenticated"] === true ? loginFrom(document, options) : undefined;
}

/** Log out: the session ends, and with it every registration and call that came from it. */
export async function logout(options: WebApiOptions = {}): Promise<void> {
  await ask(options, "DELETE", "/session");
}

/** Where a page sends the browser to log in at the operator's OpenID Connect provider; it comes back to `/`. */
export function providerLoginUrl(options: WebApiOptions = {}): string {
  return `${options.apiUrl ?? DEFAULT_API_URL}/oidc/login`;
}

type Members = Readonly<Record<string, unknown>>;

function loginFrom(document: Members, options: WebApiOptions): Login {
  const { method, name, impi, impus } = document;
  const isMethod = method === "password" || method === "guest" || method === "oidc";
  if (!isMethod || typeof name !== "string" || typeof impi !== "string" || !isTexts(impus)) throw notUnderstood();
  const user = impus.find((impu) => impu.startsWith("sip:")) ?? impus[0];
  if (user === undefined) throw notUnderstood();
  const token = tokenSource(() => fetchToken(options));
  return { method, name, impi, impus, credentials: { user, authorizationUser: impi, token } };
}

async function fetchToken(options: WebApiOptions): Promise<AccessToken> {
  const { access_token: token, token_type: type, expires_in: expiresInS } = await ask(options, "POST", "/tokens");
  if (typeof token !== "string" || type !== "Bearer" || typeof expiresInS !== "number") throw notUnderstood();
  return { token, expiresInS };
}

async function ask(options: WebApiOptions, method: string, path: string, body?: object): Promise<Members> {
  const { apiUrl = DEFAULT_API_URL, fetcher = fetch } = options;
  let response: Response;
  let text: string;
  try {
    response = await fetcher(`${apiUrl}${path}`, {
      method,
      cache: "no-store",
      credentials: "same-origin",
      headers: {
        accept: "application/json",
        "x-csrf-protection": "1",
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw new LoginError({ status: 0, detail: "the web service cannot be reached" }, { cause: error });
  }
  const document = membersOf(text);
  if (response.ok) return document;
  const { detail } = document;
  throw new LoginError({
    status: response.status,
    detail: typeof detail === "string" ? detail : `the web service refuses: HTTP ${response.status}`,
    retryAfterS: secondsFromText(response.headers.get("retry-after")),
  });
}

/** The members of a JSON object, none for any other body. */
function membersOf(text: string): Members {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Members) : {};
  } catch {
    return {};
  }
}

function secondsFromText(text: string | null): number | undefined {
  return text !== null && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function notUnderstood(): LoginError {
  return new LoginError({ status: 0, detail: "the web service's answer cannot be understood" });
}
