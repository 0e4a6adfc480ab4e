/** Reads of a session description that the SDK needs; it never writes one, the browser does. */

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

/** Whether `kind` has an m-line in use (RFC 3264 §6: port 0 is none). */
export function offers(sdp: string, kind: "audio" | "video"): boolean {
  return new RegExp(`^m=${kind} [1-9]`, "m").test(sdp);
}

/** Number of m-lines. */
export function mediaLineCount(sdp: string): number {
  return (sdp.match(/^m=/gm) ?? []).length;
}

function directionOf(section: string): Direction | undefined {
  return DIRECTION.exec(section)?.[1] as Direction | undefined;
}
