/** What a person can do about a failure: tables only. */

import type { MediaFailure } from "./errors.ts";

const BY_STATUS: Readonly<Record<number, string>> = {
  380: "No emergency calls from here. Use another telephone now.",
  400: "The gateway did not understand the request. Tell the operator.",
  401: "User name or password is not right. Check both and sign in again.",
  403: "This is not allowed for your account. Ask the operator.",
  404: "No such number or name. Check what you dialled.",
  405: "The other side cannot do this.",
  407: "User name or password is not right. Check both and sign in again.",
  408: "No reply. Try again in a moment.",
  410: "This number is no longer in use.",
  415: "The other side does not understand the media. Try again without video.",
  480: "The other side cannot be reached now. Try later.",
  481: "The call no longer exists on the other side.",
  484: "The number is not complete. Dial it again with all digits.",
  486: "The other side is busy. Try later.",
  487: "The call was cancelled.",
  488: "No common audio or video format. Try again without video.",
  491: "Another change was under way. Try again.",
  500: "The gateway has a problem. Try again in a moment.",
  502: "The network behind the gateway has a problem. Try again in a moment.",
  503: "The service is overloaded or down. Try again in a moment.",
  504: "The network behind the gateway does not reply. Try again in a moment.",
  580: "The network has no room for this call now. Try again in a moment.",
  600: "The other side is busy everywhere. Try later.",
  603: "The other side declined the call.",
  604: "No such number or name. Check what you dialled.",
  606: "No common audio or video format. Try again without video.",
};

const BY_STATUS_OF_REGISTER: Readonly<Record<number, string>> = {
  403: "The account is unknown, blocked, or the password is not right. Check both and sign in again.",
  404: "This user does not exist. Check the name and sign in again.",
  480: "The home network cannot be reached now. Try later.",
};

const BY_STATUS_OF_INFO: Readonly<Record<number, string>> = {
  480: "The other side does not hear keys now: the call is on hold or not answered yet. Press them again when it listens.",
};

const BY_CLASS: Readonly<Record<number, string>> = {
  3: "The other side can be reached at another address only.",
  4: "The request was refused. Check what you dialled.",
  5: "The gateway has a problem. Try again in a moment.",
  6: "The other side declined the call.",
};

/** Advice for the final response `status` to `method`. */
export function adviceForStatus(method: string, status: number, retryAfterS?: number): string {
  const advice =
    (method === "REGISTER" ? BY_STATUS_OF_REGISTER[status] : undefined) ??
    (method === "INFO" ? BY_STATUS_OF_INFO[status] : undefined) ??
    BY_STATUS[status] ??
    BY_CLASS[Math.floor(status / 100)] ??
    "Try again in a moment.";
  return retryAfterS === undefined ? advice : `${advice} The gateway asks to wait ${retryAfterS} s.`;
}

const BY_STATUS_OF_LOGIN: Readonly<Record<number, string>> = {
  0: "Check the network, then try again.",
  401: "Check name and password, then sign in.",
  403: "Ask the operator.",
  404: "Sign in in another way.",
  429: "Wait, then try again.",
  502: "Try again in a moment, or sign in in another way.",
  503: "Try again in a moment.",
};

/** Advice for the web service's HTTP status, 0 for none. */
export function adviceForLogin(status: number, retryAfterS?: number): string {
  const advice = BY_STATUS_OF_LOGIN[status] ?? "Reload the page and try again. If that does not help, tell the operator.";
  return retryAfterS === undefined ? advice : `${advice} The service asks to wait ${retryAfterS} s.`;
}

const BY_MEDIA_FAILURE: Readonly<Record<MediaFailure, string>> = {
  denied: "Allow microphone and camera for this page in the address bar, then call again.",
  "no-device": "Plug in a microphone (and a camera for video), then call again.",
  "device-busy": "Another program uses the microphone or camera. Close it, then call again.",
  constraints: "No device fits what the page asks for. Choose another microphone or camera.",
  "insecure-page": "Open the page with https://. Browsers give no microphone to pages without it.",
  unknown: "Check microphone and camera, then call again.",
};

/** Advice for a microphone or camera that cannot be used. */
export function adviceForMedia(reason: MediaFailure): string {
  return BY_MEDIA_FAILURE[reason];
}
