/** The network for tests in Node.js: a transport in memory, and SIP messages as text. */

import { UserAgent, type UserAgentOptions } from "../src/sipjs.ts";

type TransportConstructor = NonNullable<UserAgentOptions["transportConstructor"]>;
type TransportInstance = InstanceType<TransportConstructor>;
type Change = TransportInstance["stateChange"];
type ChangeListener = Parameters<Change["addListener"]>[0];

export interface Message {
  readonly startLine: string;
  /** Values of a header field, in order; names in lower case. */
  headers(name: string): string[];
  header(name: string): string;
  readonly body: string;
  readonly raw: string;
}

export function messageFromText(raw: string): Message {
  const [head = "", body = ""] = raw.split("\r\n\r\n", 2);
  const [startLine = "", ...lines] = head.split("\r\n");
  const headers = (name: string): string[] =>
    lines.filter((line) => line.toLowerCase().startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  return { startLine, headers, header: (name) => headers(name)[0] ?? "", body, raw };
}

/** A response to `request` as a gateway sends it. */
export function responseTo(request: Message, status: string, lines: readonly string[] = [], body = ""): string {
  const to = request.header("to");
  return [
    `SIP/2.0 ${status}`,
    ...request.headers("via").map((via) => `Via: ${via}`),
    `From: ${request.header("from")}`,
    `To: ${to.includes("tag=") ? to : `${to};tag=gw`}`,
    `Call-ID: ${request.header("call-id")}`,
    `CSeq: ${request.header("cseq")}`,
    ...lines,
    ...(body === "" ? [] : ["Content-Type: application/sdp"]),
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

interface MemoryTransportInstance extends TransportInstance {
  state: TransportInstance["state"];
}

/** The far end of one MemoryTransport. */
export class Wire {
  readonly #sent: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];
  transport: MemoryTransportInstance | undefined;
  /** How often the client connected. */
  connections = 0;
  /** While false, nobody listens at the gateway. */
  reachable = true;

  /** The transport class to give to a user agent; it reports here. */
  readonly transportConstructor: TransportConstructor;

  constructor() {
    const wire = this;
    this.transportConstructor = class MemoryTransport implements MemoryTransportInstance {
      readonly protocol = "WS";
      state: TransportInstance["state"] = "Disconnected" as TransportInstance["state"];
      onConnect: TransportInstance["onConnect"];
      onDisconnect: TransportInstance["onDisconnect"];
      onMessage: TransportInstance["onMessage"];
      readonly #listeners = new Set<ChangeListener>();
      readonly stateChange: Change = {
        addListener: (listener) => void this.#listeners.add(listener),
        removeListener: (listener) => void this.#listeners.delete(listener),
        on: (listener) => void this.#listeners.add(listener),
        off: (listener) => void this.#listeners.delete(listener),
        once: (listener) => void this.#listeners.add(listener),
      };

      constructor() {
        wire.transport = this;
      }

      connect(): Promise<void> {
        if (!wire.reachable) return Promise.reject(new Error("WebSocket closed (code: 1006)"));
        wire.connections += 1;
        this.state = "Connected" as TransportInstance["state"];
        this.onConnect?.();
        return Promise.resolve();
      }

      disconnect(): Promise<void> {
        if (!this.isConnected()) return Promise.resolve();
        this.state = "Disconnected" as TransportInstance["state"];
        this.onDisconnect?.();
        return Promise.resolve();
      }

      dispose(): Promise<void> {
        return this.disconnect();
      }

      isConnected(): boolean {
        return this.state === ("Connected" as TransportInstance["state"]);
      }

      send(raw: string): Promise<void> {
        if (!this.isConnected()) return Promise.reject(new Error("Not connected."));
        wire.#take(messageFromText(raw));
        return Promise.resolve();
      }
    };
  }

  /** The next message the client sends. */
  next(): Promise<Message> {
    const message = this.#sent.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  /** Whether the client has sent nothing that was not taken by `next`. */
  get silent(): boolean {
    return this.#sent.length === 0;
  }

  deliver(raw: string): void {
    this.transport?.onMessage?.(raw);
  }

  /** The socket breaks, or the gateway closes it with this code. */
  break(code = 1006): void {
    const { transport } = this;
    if (transport === undefined) return;
    transport.state = "Disconnected" as TransportInstance["state"];
    transport.onDisconnect?.(new Error(`WebSocket closed wss://gw.example/sip (code: ${code})`));
  }

  #take(message: Message): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#sent.push(message);
    else waiting(message);
  }
}

/** A started user agent for alice on `wire`. */
export async function startedUserAgent(wire: Wire, options: UserAgentOptions = {}): Promise<UserAgent> {
  const uri = UserAgent.makeURI("sip:alice@ims.example.com");
  if (uri === undefined) throw new Error("no URI");
  const userAgent = new UserAgent({
    uri,
    authorizationPassword: "secret",
    logBuiltinEnabled: false,
    transportConstructor: wire.transportConstructor,
    ...options,
  });
  await userAgent.start();
  return userAgent;
}
