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

/** The candidates of one call. They are gathered in rounds: for the first description, for new lines, for ICE restarts. */
export class IceGathering {
  readonly #candidates: GatheredCandidate[] = [];
  readonly #hasServers: boolean;
  #round: GatheredCandidate[] = [];
  #roundLines: readonly number[] = [];

  constructor(hasServers: boolean) {
    this.#hasServers = hasServers;
  }

  /** A new round begins, for the m-lines with these indexes. */
  begin(mediaLines: readonly number[]): void {
    this.#roundLines = mediaLines;
    this.#round = this.#round.filter(({ mediaLine }) => mediaLines.includes(mediaLine));
  }

  /** The round is over. */
  finish(): void {
    this.#round = [];
    this.#roundLines = [];
  }

  add(candidate: GatheredCandidate): void {
    this.#candidates.push(candidate);
    this.#round.push(candidate);
  }

  get candidates(): readonly GatheredCandidate[] {
    return this.#candidates;
  }

  /** The page's address as the STUN server sees it; undefined when none answered or no NAT is in between. */
  get reflexiveAddress(): ReflexiveAddress | undefined {
    const candidate = this.#candidates.filter(({ type }) => type === "srflx").at(-1);
    return candidate && { address: candidate.address, port: candidate.port };
  }

  /**
   * Whether nothing more is worth waiting for: with a STUN server, a reflexive candidate for each m-line of the round.
   * Without servers the browser completes at once by itself.
   */
  get suffices(): boolean {
    if (!this.#hasServers) return false;
    const reflexive = new Set(
      this.#round.filter(({ type }) => type === "srflx" || type === "relay").map(({ mediaLine }) => mediaLine),
    );
    return this.#roundLines.every((line) => reflexive.has(line));
  }
}
