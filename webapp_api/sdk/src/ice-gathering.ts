/**
 * When to stop waiting for ICE candidates, and what was learnt from them.
 * SIP.js sends all candidates in the INVITE (no trickle, RFC 8838), so waiting for one that never comes delays the call.
 */

export interface GatheredCandidate {
  readonly type: "host" | "srflx" | "prflx" | "relay";
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  readonly mediaLine: number;
}

export interface ReflexiveAddress {
  readonly address: string;
  readonly port: number;
}

/** A candidate from the browser's candidate line (RFC 8839 §5.1); undefined for what is not one. */
export function candidateFromText(line: string, mediaLine: number): GatheredCandidate | undefined {
  const fields = /^(?:a=)?candidate:\S+ \d+ (\S+) \d+ (\S+) (\d+) typ (host|srflx|prflx|relay)\b/i.exec(line);
  if (fields === null) return undefined;
  const [, protocol = "", address = "", port = "", type = ""] = fields;
  return {
    type: type.toLowerCase() as GatheredCandidate["type"],
    protocol: protocol.toLowerCase(),
    address,
    port: Number(port),
    mediaLine,
  };
}

/** The candidates of one call. */
export class IceGathering {
  readonly #candidates: GatheredCandidate[] = [];
  readonly #hasServers: boolean;

  constructor(hasServers: boolean) {
    this.#hasServers = hasServers;
  }

  add(candidate: GatheredCandidate): void {
    this.#candidates.push(candidate);
  }

  get candidates(): readonly GatheredCandidate[] {
    return this.#candidates;
  }

  /** The page's address as the STUN server sees it; undefined when none answered or no NAT is in between. */
  get reflexiveAddress(): ReflexiveAddress | undefined {
    const candidate = this.#candidates.find(({ type }) => type === "srflx");
    return candidate && { address: candidate.address, port: candidate.port };
  }

  /**
   * Whether nothing more is worth waiting for: with a STUN server, a reflexive candidate for each of the
   * `mediaLines` m-lines that gather on their own. Without servers the browser completes at once by itself.
   */
  suffices(mediaLines: number): boolean {
    if (!this.#hasServers) return false;
    const lines = new Set(this.#candidates.map(({ mediaLine }) => mediaLine));
    const reflexive = new Set(
      this.#candidates.filter(({ type }) => type === "srflx" || type === "relay").map(({ mediaLine }) => mediaLine),
    );
    return reflexive.size >= mediaLines && [...lines].every((line) => reflexive.has(line));
  }
}
