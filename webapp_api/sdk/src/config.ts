/** The page's configuration as the gateway's web service gives it at /config.json. */

import { ConfigError } from "./errors.ts";

export interface PhoneConfig {
  /** ws or wss URL of the gateway */
  readonly wssUrl: string;
  /** home network domain, the realm of the accounts */
  readonly domain: string;
  /** STUN servers; the page learns its reflexive address from them */
  readonly iceServers: readonly RTCIceServer[];
  /** longest wait for candidates before the INVITE goes out, milliseconds */
  readonly iceGatheringTimeoutMs: number;
  /** version of the gateway */
  readonly version: string;
  readonly features: Readonly<Record<string, boolean>>;
  /** How a person may log in at the web service; none when all are false. */
  readonly login: LoginWays;
}

export interface LoginWays {
  /** With an account of the gateway's. */
  readonly password: boolean;
  /** With an identity of the guests' pool. */
  readonly guest: boolean;
  /** At the operator's OpenID Connect provider. */
  readonly oidc: boolean;
}

export const DEFAULT_ICE_GATHERING_TIMEOUT_MS = 1000;

/** How long an answer of the web service may take, milliseconds: a browser waits for minutes on a connection that is dead. */
export const ANSWER_TIMEOUT_MS = 15_000;

/** What an application may give by itself: only the first two are needed. */
export type PhoneConfigInput = Pick<PhoneConfig, "wssUrl" | "domain"> & Partial<PhoneConfig>;

/** Check and complete a configuration; ConfigError names the member that is wrong. */
export function configFromObject(value: unknown): PhoneConfig {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError("the configuration is not an object");
  }
  const members = value as Record<string, unknown>;
  const { wssUrl, domain, iceServers = [], features = {}, version = "", login = {} } = members;
  const iceGatheringTimeoutMs = members["iceGatheringTimeoutMs"] ?? DEFAULT_ICE_GATHERING_TIMEOUT_MS;
  if (typeof wssUrl !== "string" || !/^wss?:\/\/[^\s/]+/.test(wssUrl)) throw wrong("wssUrl", "a ws or wss URL");
  if (typeof domain !== "string" || !/^[^\s@:/]+$/.test(domain)) throw wrong("domain", "a domain name");
  if (!Array.isArray(iceServers) || !iceServers.every(isIceServer)) throw wrong("iceServers", "a list of ICE servers");
  if (typeof iceGatheringTimeoutMs !== "number" || !(iceGatheringTimeoutMs > 0)) {
    throw wrong("iceGatheringTimeoutMs", "a number of milliseconds above 0");
  }
  if (typeof version !== "string") throw wrong("version", "a text");
  if (!isFeatures(features)) throw wrong("features", "an object of true and false");
  if (!isFeatures(login)) throw wrong("login", "an object of true and false");
  const { password = false, guest = false, oidc = false } = login;
  const ways = { password, guest, oidc };
  return { wssUrl, domain, iceServers, iceGatheringTimeoutMs, version, features, login: ways };
}

/** Fetch and check the configuration at `url`; throws ConfigError, also where it takes longer than 15 s. */
export async function fetchConfig(url: string, fetcher: typeof fetch = fetch): Promise<PhoneConfig> {
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    response = await fetcher(url, { headers: { accept: "application/json" }, cache: "no-store", signal });
    text = await response.text();
  } catch (error) {
    throw new ConfigError(`the configuration at ${url} cannot be fetched`, { cause: error });
  }
  if (!response.ok) throw new ConfigError(`the configuration at ${url} cannot be fetched: HTTP ${response.status}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`the configuration at ${url} is not JSON`, { cause: error });
  }
  return configFromObject(value);
}

function wrong(member: string, expected: string): ConfigError {
  return new ConfigError(`the configuration's "${member}" is not ${expected}`);
}

function isIceServer(value: unknown): value is RTCIceServer {
  if (typeof value !== "object" || value === null) return false;
  const urls: unknown = (value as Record<string, unknown>)["urls"];
  const list: unknown[] = Array.isArray(urls) ? urls : [urls];
  return list.length > 0 && list.every((url) => typeof url === "string" && /^(stun|turn)s?:/.test(url));
}

function isFeatures(value: unknown): value is Record<string, boolean> {
  return typeof value === "object" && value !== null && Object.values(value).every((flag) => typeof flag === "boolean");
}
