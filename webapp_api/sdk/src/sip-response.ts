/** From a SIP.js response message to the SDK's typed error, and the one request that needs nothing else. */

import { SipError, SocketError } from "./errors.ts";
import { retryAfterFromText, warningsFromText } from "./sip-headers.ts";
import type { IncomingResponse, IncomingResponseMessage, Session } from "./sipjs.ts";

const SERVICE_UNAVAILABLE = 503;

/**
 * The typed error for a final response that is not a success. A 503 without Via is SIP.js's own: the socket would not take
 * the request.
 */
export function errorFromResponse(method: string, message: IncomingResponseMessage): SipError | SocketError {
  if (message.statusCode === SERVICE_UNAVAILABLE && !message.hasHeader("via")) {
    return new SocketError("the connection to the gateway is lost");
  }
  return new SipError({
    method,
    status: message.statusCode ?? 500,
    reasonPhrase: message.reasonPhrase ?? "",
    warnings: message.getHeaders("warning").flatMap(warningsFromText),
    retryAfterS: retryAfterFromText(message.getHeader("retry-after")),
  });
}

/** Send an INFO in the call; resolves when it is accepted, throws SipError when it is not. */
export function sendInfo(session: Session, contentType: string, content: string): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const refused = ({ message }: IncomingResponse): void => reject(errorFromResponse("INFO", message));
    session
      .info({
        requestOptions: { body: { contentDisposition: "render", contentType, content } },
        requestDelegate: { onAccept: () => resolve(), onReject: refused, onRedirect: refused },
      })
      .catch(reject);
  });
}
