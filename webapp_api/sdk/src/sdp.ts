/** What the SDK reads in a session description, and the one thing it writes: which m-lines share a transport. */

export type Direction = "sendrecv" | "sendonly" | "recvonly" | "inactive";

const DIRECTION = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m;

/** Direction of every m-line by its mid; absent means the session's direction, else sendrecv (RFC 8866 §6.7). */
export function directionsByMid(sdp: string): Map<string, Direction> {
  const [session = "", ...media] = sdp.split(/\r?\n(?=m=)/);
  const inherited = directionOf(session) ?? "sendrecv";
  const directions = new Map<string, Direction>();
  for (const section of media) {
    const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
    if (mid !== undefined) directions.set(mid, directionOf(section) ?? inherited);
  }
  return directions;
}

/** Whether who wrote the direction sends on that line. */
export function sends(direction: Direction | undefined): boolean {
  return direction === "sendrecv" || direction === "sendonly";
}

/** Whether who wrote the direction takes what is sent on that line. */
export function receives(direction: Direction | undefined): boolean {
  return direction === "sendrecv" || direction === "recvonly";
}

/** Whether `kind` has an m-line in use (RFC 3264 §6: port 0 is none). */
export function offers(sdp: string, kind: "audio" | "video"): boolean {
  return new RegExp(`^m=${kind} [1-9]`, "m").test(sdp);
}

/** Whether the description has a line for each direction of a kind, as one-way clients have it. */
export function splitsDirections(sdp: string): boolean {
  const [, ...media] = sdp.split(/(?=^m=)/m);
  return (["audio", "video"] as const).some((kind) => {
    const directions = media
      .filter((section) => section.startsWith(`m=${kind} `) && !isRejected(section))
      .map((section) => directionOf(section));
    return directions.includes("sendonly") && directions.includes("recvonly");
  });
}

/** The mids that share a transport, one list for each group (RFC 9143 §7). */
export type BundleGroups = readonly (readonly string[])[];

/** The BUNDLE groups of a description. */
export function bundleGroups(sdp: string): BundleGroups {
  return [...sdp.matchAll(/^a=group:BUNDLE([^\r\n]*)/gm)].map(([, mids = ""]) => mids.split(" ").filter(Boolean));
}

/**
 * The offer with exactly these groups, less the lines it switches off; all other lines stand alone. The browser puts
 * every line into one group, and an answer cannot take out what was in a group before (RFC 9143 §7.3.3).
 */
export function withBundleGroups(offer: string, groups: BundleGroups): string {
  const [session = "", ...media] = offer.split(/(?=^m=)/m);
  const live = new Set(media.filter((section) => !isRejected(section)).map(midOf));
  const lines = groups
    .map((group) => group.filter((mid) => live.has(mid)))
    .filter((group) => group.length > 0)
    .map((group) => `a=group:BUNDLE ${group.join(" ")}\r\n`);
  return [session.replace(/^a=group:BUNDLE[^\n]*\n/gm, ""), ...lines, ...media].join("");
}

/**
 * Indexes of the m-lines that have a transport of their own and no candidate yet. Of each of `groups`, the first line
 * has the transport.
 */
export function linesWithoutCandidates(sdp: string, groups: BundleGroups): number[] {
  const shared = new Set(groups.flatMap((group) => group.slice(1)));
  const [, ...media] = sdp.split(/(?=^m=)/m);
  return media.flatMap((section, index) =>
    isRejected(section) || shared.has(midOf(section)) || /^a=candidate:/m.test(section) ? [] : [index],
  );
}

function isRejected(section: string): boolean {
  return /^m=\S+ 0 /.test(section) && !/^a=bundle-only/m.test(section);
}

function midOf(section: string): string {
  return /^a=mid:(\S+)/m.exec(section)?.[1] ?? "";
}

function directionOf(section: string): Direction | undefined {
  return DIRECTION.exec(section)?.[1] as Direction | undefined;
}
