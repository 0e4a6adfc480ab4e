/**
 * Click-to-dial: the person has asked somewhere else (POST /api/calls) for a call that one of the open pages is to
 * place. Pages are told by event; the web service gives it to the first that takes it. A page that is not looked at, or
 * in a call, lets the others go first.
 */

import type { Call } from "../sdk/src/index.ts";

/** Place the call; undefined when there is none. */
export type PlaceCall = (to: string, video: boolean) => Promise<Call | undefined>;

const EVENTS_URL = "/api/events";
const HIDDEN_MS = 400;
const TALKING_MS = 1500;
/** Close codes from here on say that nobody need come back. */
const FOR_GOOD = 4400;
const AGAIN_MS = 1000;
const SPREAD_MS = 4000;

/** Listen until the returned function is called. */
export function takeDialRequests(isTalking: () => boolean, place: PlaceCall): () => void {
  const page = crypto.randomUUID();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const listen = (): void => {
    socket = new WebSocket(new URL(EVENTS_URL, location.href.replace(/^http/, "ws")));
    socket.addEventListener("message", ({ data }) => {
      const event = membersOf(JSON.parse(String(data)));
      if (event["type"] !== "dial_requested" || typeof event["dial"] !== "string") return;
      const dial = event["dial"];
      const waitMs = (document.hidden ? HIDDEN_MS : 0) + (isTalking() ? TALKING_MS : 0);
      setTimeout(() => void take(dial), waitMs);
    });
    socket.addEventListener("close", ({ code }) => {
      if (stopped || code >= FOR_GOOD) return;
      timer = setTimeout(listen, AGAIN_MS + SPREAD_MS * Math.random());
    });
  };

  const take = async (dial: string): Promise<void> => {
    if (stopped) return;
    const taken = await report(dial, { page });
    if (taken === undefined) return;
    const call = await place(String(taken["to"]), taken["video"] === true);
    if (call === undefined) {
      await report(dial, { page, failed: "the page could not call" });
      return;
    }
    let told = false;
    const tell = (): void => {
      const { callId } = call.diagnostics();
      if (told || (callId === undefined && call.end === undefined)) return;
      told = true;
      void report(dial, callId === undefined ? { page, failed: "the call did not begin" } : { page, call_id: callId });
    };
    call.onState(tell);
    tell();
  };

  listen();
  return () => {
    stopped = true;
    clearTimeout(timer);
    socket?.close();
  };
}

/** Undefined when another page has it, it is too late, or the web service is away. */
async function report(dial: string, body: Readonly<Record<string, string>>): Promise<Members | undefined> {
  try {
    const response = await fetch(`/api/dials/${dial}`, {
      method: "PUT",
      headers: { "content-type": "application/json", "x-csrf-protection": "1" },
      body: JSON.stringify(body),
    });
    return response.ok ? membersOf(await response.json()) : undefined;
  } catch {
    return undefined;
  }
}

type Members = Readonly<Record<string, unknown>>;

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null ? (value as Members) : {};
}
