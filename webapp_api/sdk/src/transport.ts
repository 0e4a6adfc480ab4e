/** SIP.js's WebSocket transport, which also remembers why the gateway closed. Knows sockets, nothing of SIP. */

import { WebTransport } from "./sipjs.ts";

export interface SocketClose {
  /** RFC 6455 §7.4; 1006 when the socket broke without a word. */
  readonly code: number;
  readonly reason: string;
}

/** What the phone asks its transport for. */
export interface ClosingTransport {
  readonly lastClose: SocketClose | undefined;
}

export class GatewayTransport extends WebTransport implements ClosingTransport {
  lastClose: SocketClose | undefined;

  override connect(): Promise<void> {
    this.lastClose = undefined;
    const opened = super.connect();
    const note = ({ code, reason }: CloseEvent): void => void (this.lastClose = { code, reason });
    // Capturing, so that it comes before SIP.js's own listener, which tells the phone.
    this.ws?.addEventListener("close", note, { capture: true });
    return opened;
  }
}

/** Policy violation, and the codes for private use: the gateway does not want this page back as it is. */
export function isFarewell(close: SocketClose | undefined): close is SocketClose {
  return close !== undefined && (close.code === 1008 || (close.code >= 4000 && close.code <= 4999));
}

/** Going away, service restart, try again later (RFC 6455 §7.4.1 and its registry): everybody comes back at once. */
export function isRestart(close: SocketClose | undefined): boolean {
  return close !== undefined && [1001, 1012, 1013].includes(close.code);
}
