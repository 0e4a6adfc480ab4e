/** From a SIP.js response message to the SDK's typed error. */

import { SipError } from "./errors.ts";
import { retryAfterFromText, warningsFromText } from "./sip-headers.ts";
import type { IncomingResponseMessage } from "./sipjs.ts";

/** The typed error for a final response that is not a success. */
export function sipErrorFromResponse(method: string, message: IncomingResponseMessage): SipError {
  return new SipError({
    method,
    status: message.statusCode ?? 500,
    reasonPhrase: message.reasonPhrase ?? "",
    warnings: message.getHeaders("warning").flatMap(warningsFromText),
    retryAfterS: retryAfterFromText(message.getHeader("retry-after")),
  });
}
