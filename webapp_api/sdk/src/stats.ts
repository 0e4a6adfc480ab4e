/** The browser's statistics, brought down to what a person or a test asks about. */

/** What arrives on one m-line. */
export interface InboundMedia {
  readonly mid: string;
  readonly kind: "audio" | "video";
  readonly codec: string | undefined;
  readonly packets: number;
  readonly bytes: number;
  readonly packetsLost: number;
  readonly jitterMs: number;
  /** audio only: level of the last moment, 0 to 1 */
  readonly audioLevel: number | undefined;
  /** audio only: energy of all samples so far; it grows only while there is sound (W3C webrtc-stats) */
  readonly totalAudioEnergy: number | undefined;
  /** video only */
  readonly framesDecoded: number | undefined;
}

/** What leaves on one m-line. */
export interface OutboundMedia {
  readonly mid: string;
  readonly kind: "audio" | "video";
  readonly codec: string | undefined;
  readonly packets: number;
  readonly bytes: number;
}

export interface CallStats {
  readonly roundTripTimeMs: number | undefined;
  readonly inbound: readonly InboundMedia[];
  readonly outbound: readonly OutboundMedia[];
}

type Entry = Readonly<Record<string, unknown>>;

/** Bring a statistics report down to CallStats. */
export function callStatsFromReport(report: Iterable<[string, unknown]>): CallStats {
  const entries = new Map<string, Entry>();
  for (const [id, entry] of report) entries.set(id, entry as Entry);
  const all = [...entries.values()];
  const codecOf = (entry: Entry): string | undefined =>
    text(entries.get(text(entry["codecId"]) ?? "")?.["mimeType"])?.replace(/^(audio|video)\//, "");
  const pairs = all.filter((entry) => entry["type"] === "candidate-pair" && entry["nominated"] === true);
  const roundTripTimesS = pairs.map((pair) => pair["currentRoundTripTime"]).filter((value) => typeof value === "number");
  return {
    roundTripTimeMs: roundTripTimesS.length === 0 ? undefined : Math.max(...roundTripTimesS) * 1000,
    inbound: all.filter(isRtp("inbound-rtp")).map((entry) => ({
      mid: text(entry["mid"]) ?? "",
      kind: entry["kind"] as "audio" | "video",
      codec: codecOf(entry),
      packets: count(entry["packetsReceived"]),
      bytes: count(entry["bytesReceived"]),
      packetsLost: count(entry["packetsLost"]),
      jitterMs: count(entry["jitter"]) * 1000,
      audioLevel: maybe(entry["audioLevel"]),
      totalAudioEnergy: maybe(entry["totalAudioEnergy"]),
      framesDecoded: maybe(entry["framesDecoded"]),
    })),
    outbound: all.filter(isRtp("outbound-rtp")).map((entry) => ({
      mid: text(entry["mid"]) ?? "",
      kind: entry["kind"] as "audio" | "video",
      codec: codecOf(entry),
      packets: count(entry["packetsSent"]),
      bytes: count(entry["bytesSent"]),
    })),
  };
}

function isRtp(type: string): (entry: Entry) => boolean {
  return (entry) => entry["type"] === type && (entry["kind"] === "audio" || entry["kind"] === "video");
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function maybe(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function count(value: unknown): number {
  return maybe(value) ?? 0;
}
