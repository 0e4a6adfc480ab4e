/** What a failure means to the person, in plain words. Pure: no page, no SIP.js. */

import { MediaPermissionError, SipError, type MediaFailure, type PhoneError } from "../sdk/src/index.ts";

export interface Trouble {
  /** What happened. */
  readonly title: string;
  /** What to do about it. */
  readonly advice: string;
}

const UNKNOWN: Trouble = { title: "This number or name does not exist.", advice: "Check what you dialled." };
const BUSY: Trouble = { title: "The other side is busy.", advice: "Try again later." };
const NO_FORMAT: Trouble = { title: "There is no common sound or picture format.", advice: "Try again without video." };

const BY_STATUS_OF_CALL: Readonly<Record<number, Trouble>> = {
  380: {
    title: "This page cannot make emergency calls.",
    advice: "Use another telephone now: a mobile or a landline telephone reaches the emergency services.",
  },
  404: UNKNOWN,
  408: { title: "Nobody answered in time.", advice: "Try again later." },
  410: { title: "This number is no longer in use.", advice: "Look for a newer one." },
  480: { title: "The other side cannot be reached now.", advice: "Try again later." },
  484: { title: "The number is not complete.", advice: "Dial it again with all digits." },
  486: BUSY,
  488: NO_FORMAT,
  600: BUSY,
  603: { title: "The other side declined the call.", advice: "Try again at another time." },
  604: UNKNOWN,
  606: NO_FORMAT,
};

const BY_MEDIA_FAILURE: Readonly<Record<MediaFailure, string>> = {
  denied: "The browser does not let this page use the microphone or camera.",
  "no-device": "There is no microphone or camera.",
  "device-busy": "The microphone or camera is in use.",
  constraints: "The chosen microphone or camera is not there.",
  "insecure-page": "This page may not use microphone and camera.",
  unknown: "The microphone or camera cannot be used.",
};

const NO_NETWORK: Trouble = {
  title: "This device has no network.",
  advice: "Check the cable or the wireless network, then try again.",
};

/** The words for `error`; `online` is whether the browser has a network at all. */
export function troubleFrom(error: PhoneError, online = true): Trouble {
  if (!online && (error.kind === "socket" || error.kind === "config" || error.kind === "login")) return NO_NETWORK;
  if (error instanceof MediaPermissionError) {
    return { title: BY_MEDIA_FAILURE[error.reason], advice: error.advice };
  }
  if (error instanceof SipError && error.method === "INVITE") return refusedCall(error);
  return { title: sentence(error.message), advice: error.advice };
}

function refusedCall(error: SipError): Trouble {
  if (error.status === 403) return { title: `This call is not allowed${reason(error)}.`, advice: "Ask the operator if you need it." };
  return BY_STATUS_OF_CALL[error.status] ?? { title: sentence(error.message), advice: error.advice };
}

/** Why, as the gateway says it; nothing when it says no more than the status does. */
function reason({ warnings, reasonPhrase }: SipError): string {
  const why = warnings.map(({ text }) => text).join("; ") || (/^forbidden$/i.test(reasonPhrase) ? "" : reasonPhrase);
  return why === "" ? "" : `: ${why.replace(/[.\s]+$/, "")}`;
}

function sentence(text: string): string {
  const upper = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}
