/**
 * Click-to-dial: the person has asked somewhere else (POST /api/calls) for a call that one of the open pages is to
 * place. Pages are told by event; the web service gives it to the first that takes it. A page that is not looked at, or
 * in a call, lets the others go first; one that is not registered takes none until it is again.
 */

import type { Call, Phone } from "../sdk/src/index.ts";

/** Place the call; undefined when there is none. */
export type PlaceCall = (to: string, video: boolean) => Promise<Call | undefined>;

const EVENTS_URL = "/api/events";
const HIDDEN_MS = 400;
const TALKING_MS = 1500;
/** A page that can call again only then leaves it: the web service gives it away for 20 s. */
const WAITS_MS = 19_000;
/** The web service says something every 20 s: who hears nothing for so long has lost it, whatever the socket says. */
const SILENCE_MS = 50_000;
/** Close codes from here on say that nobody need come back. */
const FOR_GOOD = 4400;
const AGAIN_MS = 1000;
const SPREAD_MS = 4000;

/** Listen until the returned function is called. */
export function takeDialRequests(
  phone: Pick<Phone, "state" | "onState">,
  isTalking: () => boolean,
  place: PlaceCall,
): () => void {
  const page = crypto.randomUUID();
  /** What nobody has taken yet, as far as this page knows. */
  const open = new Set<string>();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const listen = (): void => {
    const opened = (socket = new WebSocket(new URL(EVENTS_URL, location.href.replace(/^http/, "ws"))));
    const again = (): void => {
      clearTimeout(silence);
      timer = setTimeout(listen, AGAIN_MS + SPREAD_MS * Math.random());
    };
    const awaitMore = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => {
        // To close it in order takes an answer, which does not come.
        opened.onmessage = opened.onclose = null;
        opened.close();
        again();
      }, SILENCE_MS);
    };
    opened.onmessage = ({ data }) => {
      awaitMore();
      hear(membersOf(JSON.parse(String(data))));
    };
    opened.onclose = ({ code }) => {
      if (!stopped && code < FOR_GOOD) again();
      else clearTimeout(silence);
    };
    awaitMore();
  };

  const hear = ({ type, dial }: Members): void => {
    if (typeof dial !== "string") return;
    if (type === "dial_taken") open.delete(dial);
    if (type !== "dial_requested") return;
    open.add(dial);
    setTimeout(() => open.delete(dial), WAITS_MS);
    consider(dial);
  };

  const consider = (dial: string): void => {
    const waitMs = (document.hidden ? HIDDEN_MS : 0) + (isTalking() ? TALKING_MS : 0);
    setTimeout(() => {
      if (!stopped && phone.state === "registered" && open.delete(dial)) void take(dial);
    }, waitMs);
  };

  // No timer that looks again: browsers let those of hidden pages run once a minute.
  const unwatch = phone.onState((state) => {
    if (state === "registered") open.forEach(consider);
  });

  const take = async (dial: string): Promise<void> => {
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
    unwatch();
    clearTimeout(timer);
    clearTimeout(silence);
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
