/** The states of one call and the events that lead from one to another. Knows nothing of SIP.js or of the browser. */

import type { TransitionTable } from "./state-table.ts";

/** Every state with what is true in it. An outgoing call starts as `preparing`, an incoming one as `alerting`. */
export const CALL_STATES = {
  preparing: "the page asks for microphone and camera",
  dialling: "candidates are gathered, the INVITE is sent, nothing but 100 has come back",
  connecting: "the gateway has answered (183): the media path is being built, the callee is not alerted yet",
  ringing: "the callee is alerted (180)",
  alerting: "somebody calls and this side rings (180 is sent): answer or reject",
  answering: "the page asks for microphone and camera and makes its answer",
  established: "the callee has answered (200)",
  ending: "this side hung up and waits for the far side to confirm",
  ended: "over; nothing changes any more",
} as const;

export type CallState = keyof typeof CALL_STATES;

export type CallEvent =
  | "media_ready" /** the local stream is there */
  | "progress_received" /** a provisional response other than 100 and 180 */
  | "ringing_received" /** 180 */
  | "answer_received" /** 200 to our INVITE */
  | "answer_requested" /** the person takes the incoming call */
  | "answer_withheld" /** no microphone or camera: the incoming call can be answered another way */
  | "answer_sent" /** our 200 to the INVITE is on its way */
  | "hangup_requested" /** this side wants to end the call */
  | "call_terminated"; /** refused, failed, or ended by either side */

export const CALL_TRANSITIONS: TransitionTable<CallState, CallEvent> = {
  preparing: { media_ready: "dialling", hangup_requested: "ended", call_terminated: "ended" },
  dialling: {
    progress_received: "connecting",
    ringing_received: "ringing",
    answer_received: "established",
    hangup_requested: "ending",
    call_terminated: "ended",
  },
  connecting: {
    progress_received: "connecting",
    ringing_received: "ringing",
    answer_received: "established",
    hangup_requested: "ending",
    call_terminated: "ended",
  },
  ringing: {
    progress_received: "ringing",
    ringing_received: "ringing",
    answer_received: "established",
    hangup_requested: "ending",
    call_terminated: "ended",
  },
  alerting: { answer_requested: "answering", hangup_requested: "ended", call_terminated: "ended" },
  answering: {
    answer_withheld: "alerting",
    answer_sent: "established",
    hangup_requested: "ended",
    call_terminated: "ended",
  },
  established: {
    // SIP.js reports a provisional response only after its description is applied, so it can come after the 200.
    progress_received: "established",
    ringing_received: "established",
    hangup_requested: "ending",
    call_terminated: "ended",
  },
  ending: {
    // A response that crosses our CANCEL changes nothing (RFC 3261 §9.1).
    progress_received: "ending",
    ringing_received: "ending",
    answer_received: "ending",
    hangup_requested: "ending",
    call_terminated: "ended",
  },
  ended: {},
};
