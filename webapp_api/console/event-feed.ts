/** Listens to /api/operator/events, and comes back after every interruption where it has left off. */

import { flagOf, membersOf, textOf, type Members } from "./members.ts";

export type FeedState = "connecting" | "live" | "waiting" | "over";

export interface FeedHandlers {
  readonly onEvent: (event: Members) => void;
  /** What the service still has of the past will be told now; `cut`: it does not have all. */
  readonly onStart: (cut: boolean) => void;
  /** Something was missed: ask for everything. */
  readonly onGap: () => void;
  readonly onState: (state: FeedState) => void;
  /** The service listens to nobody of this session any more: the session is over, or its owner no operator. */
  readonly onOver: (code: number) => void;
}

export interface FeedOptions {
  readonly url: string;
  readonly handlers: FeedHandlers;
  readonly open?: (url: string) => WebSocket;
  readonly random?: () => number;
}

/** Before the first event there can be. */
const BEGINNING = "0-0";
const SHORTEST_MS = 500;
const LONGEST_MS = 15_000;
/** The service says something every 20 s: who hears nothing for so long has lost it, whatever the socket says. */
const SILENCE_MS = 50_000;
/** As a browser says of a connection that broke. */
const BROKEN = 1006;
/** A close code of ours that says that coming back is of no use. */
const FINAL_FROM = 4400;

/** The wait before the attempt after `failures` in a row. */
export function waitMs(failures: number, random: number): number {
  return Math.min(LONGEST_MS, SHORTEST_MS * 2 ** Math.min(failures, 10)) * (0.5 + random / 2);
}

export class EventFeed {
  readonly #options: FeedOptions;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #seq = BEGINNING;
  #isStarted = false;
  #failures = 0;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#connect();
  }

  /** Stop for good. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#socket?.close();
  }

  #connect(): void {
    const { url, handlers, open = (address) => new WebSocket(address) } = this.#options;
    handlers.onState("connecting");
    const socket = open(`${url}?after=${encodeURIComponent(this.#seq)}`);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#awaitMore(socket);
      this.#take(String(data));
    };
    socket.onclose = ({ code }) => this.#lost(code);
    this.#awaitMore(socket);
  }

  #awaitMore(socket: WebSocket): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      // To close it in order takes an answer, which does not come.
      socket.onmessage = socket.onclose = null;
      socket.close();
      this.#lost(BROKEN);
    }, SILENCE_MS);
  }

  #take(text: string): void {
    const event = membersOf(JSON.parse(text));
    const { handlers } = this.#options;
    this.#seq = textOf(event, "seq") || this.#seq;
    if (textOf(event, "type") !== "position") {
      handlers.onEvent(event);
      return;
    }
    this.#failures = 0;
    handlers.onState("live");
    const isCut = flagOf(event, "gap");
    if (!this.#isStarted) handlers.onStart(isCut);
    else if (isCut) handlers.onGap();
    this.#isStarted = true;
  }

  #lost(code: number): void {
    clearTimeout(this.#silence);
    if (this.#closed) return;
    const { handlers, random = Math.random } = this.#options;
    if (code >= FINAL_FROM) {
      this.#closed = true;
      handlers.onState("over");
      handlers.onOver(code);
      return;
    }
    handlers.onState("waiting");
    this.#timer = setTimeout(() => this.#connect(), waitMs(this.#failures, random()));
    this.#failures += 1;
  }
}
