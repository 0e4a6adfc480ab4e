/**
 * One error class per cause. `message` says what happened, `advice` what a person can do about it.
 * Knows the words, not how a failure is found out.
 */

import { adviceForLogin, adviceForMedia, adviceForStatus } from "./advice.ts";
import type { Warning } from "./sip-headers.ts";

export type PhoneErrorKind =
  | "sip"
  | "ice"
  | "media-permission"
  | "session-description"
  | "offer-crossed"
  | "call-ended"
  | "socket"
  | "signed-out"
  | "login"
  | "config"
  | "usage";

export abstract class PhoneError extends Error {
  abstract readonly kind: PhoneErrorKind;
  /** What the person in front of the page can do. */
  abstract readonly advice: string;
}

export interface SipFailure {
  /** The method of the request that failed. */
  readonly method: string;
  readonly status: number;
  readonly reasonPhrase: string;
  readonly warnings?: readonly Warning[];
  /** Seconds, when the gateway named a time to wait. */
  readonly retryAfterS?: number | undefined;
}

/** A SIP request of ours was refused, or never answered (408, 503 made up by the transaction layer). */
export class SipError extends PhoneError {
  override readonly name = "SipError";
  readonly kind = "sip";
  readonly method: string;
  readonly status: number;
  readonly reasonPhrase: string;
  readonly warnings: readonly Warning[];
  readonly retryAfterS: number | undefined;
  readonly advice: string;

  constructor(failure: SipFailure) {
    const warnings = failure.warnings ?? [];
    const why = warnings.map((warning) => warning.text).join("; ");
    super(`${failure.status} ${failure.reasonPhrase}${why === "" ? "" : `: ${why}`}`);
    this.method = failure.method;
    this.status = failure.status;
    this.reasonPhrase = failure.reasonPhrase;
    this.warnings = warnings;
    this.retryAfterS = failure.retryAfterS;
    this.advice = adviceForStatus(failure.method, failure.status, failure.retryAfterS);
  }
}

/** No media path to the gateway could be found, or the one in use broke. */
export class IceError extends PhoneError {
  override readonly name = "IceError";
  readonly kind = "ice";
  readonly advice =
    "Check the network. A firewall that blocks UDP to the gateway stops sound and picture; try another network.";
}

export type MediaFailure = "denied" | "no-device" | "device-busy" | "constraints" | "insecure-page" | "unknown";

/** Microphone or camera cannot be used. */
export class MediaPermissionError extends PhoneError {
  override readonly name = "MediaPermissionError";
  readonly kind = "media-permission";
  readonly reason: MediaFailure;
  readonly advice: string;

  constructor(reason: MediaFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.advice = adviceForMedia(reason);
  }
}

/** The browser does not take the gateway's session description. */
export class SessionDescriptionError extends PhoneError {
  override readonly name = "SessionDescriptionError";
  readonly kind = "session-description";
  readonly advice = "Browser and gateway do not agree on the media. Try again without video, or tell the operator.";
}

/** Both sides wanted to change the call at the same moment, again and again. */
export class OfferCrossedError extends PhoneError {
  override readonly name = "OfferCrossedError";
  readonly kind = "offer-crossed";
  readonly advice = "Another change was under way. Try again.";
}

/** The call was over before what was asked of it could be done. */
export class CallEndedError extends PhoneError {
  override readonly name = "CallEndedError";
  readonly kind = "call-ended";
  readonly advice = "The call is over.";
}

/** The WebSocket to the gateway cannot be opened, or is lost. */
export class SocketError extends PhoneError {
  override readonly name = "SocketError";
  readonly kind = "socket";
  readonly advice = "The connection to the gateway is lost. Check the network, then sign in again.";
}

/** What ended the sign-in: the credentials are refused, no token is to be had, or the gateway closed the connection. */
export type SignedOutReason = "credentials" | "token" | "network";

/** The sign-in is over: the phone does not come back by itself, the person has to sign in again. */
export class SignedOutError extends PhoneError {
  override readonly name = "SignedOutError";
  readonly kind = "signed-out";
  readonly reason: SignedOutReason;
  /** The close code of the WebSocket (RFC 6455 §7.4), when the gateway closed it: 1008, or 4000 to 4999. */
  readonly closeCode: number | undefined;
  readonly advice = "Sign in again.";

  constructor(
    reason: SignedOutReason,
    message: string,
    options: ErrorOptions & { readonly closeCode?: number } = {},
  ) {
    super(message, options);
    this.reason = reason;
    this.closeCode = options.closeCode;
  }
}

/** The web service did not log the person in, or gives no token any more. */
export class LoginError extends PhoneError {
  override readonly name = "LoginError";
  readonly kind = "login";
  /** HTTP status, 0 when there was no answer that makes sense. */
  readonly status: number;
  readonly retryAfterS: number | undefined;
  readonly advice: string;

  constructor(failure: { status: number; detail: string; retryAfterS?: number | undefined }, options?: ErrorOptions) {
    super(failure.detail, options);
    this.status = failure.status;
    this.retryAfterS = failure.retryAfterS;
    this.advice = adviceForLogin(failure.status, failure.retryAfterS);
  }
}

/** The configuration of the page cannot be fetched or understood. */
export class ConfigError extends PhoneError {
  override readonly name = "ConfigError";
  readonly kind = "config";
  readonly advice = "Reload the page. If that does not help, tell the operator: the gateway's web service is not set up.";
}

/** The application (or the person) asked for something that cannot be done now. */
export class UsageError extends PhoneError {
  override readonly name = "UsageError";
  readonly kind = "usage";
  readonly advice = "Check the input and try again.";
}

/** The typed error for what SIP.js or the browser threw while it made a description; `what` is "an offer" or "an answer". */
export function phoneErrorFromException(error: unknown, what: string): PhoneError {
  if (error instanceof PhoneError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SessionDescriptionError(`the browser cannot make ${what}: ${message}`, { cause: error });
}
