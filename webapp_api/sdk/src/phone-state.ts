/** The states of the phone (socket and registration) and the events that lead from one to another. */

import type { TransitionTable } from "./state-table.ts";

/** Every state with what is true in it. */
export const PHONE_STATES = {
  connecting: "the WebSocket to the gateway is being opened",
  connected: "the WebSocket is open, no registration: after a while the gateway closes it",
  registering: "a REGISTER is on its way",
  registered: "the IMS core knows this page; calls can be made and come in",
  reconnecting: "the WebSocket or the registration is lost, the phone tries to get it back; answered calls go on",
  disconnected: "there is no WebSocket, and nothing is tried to get one back: register, or connect anew",
  "signed-out": "credentials, token or network ended the registration: sign in again",
  closed: "the application closed the phone",
} as const;

export type PhoneState = keyof typeof PHONE_STATES;

export type PhoneEvent =
  | "socket_wanted" /** the application registers a phone that has none */
  | "socket_opened"
  | "socket_lost" /** and the phone tries to get it back */
  | "socket_given_up" /** it could not be opened, or not be got back in time */
  | "register_sent"
  | "register_accepted"
  | "register_refused" /** the application's own attempt failed */
  | "registration_lost" /** a refresh failed in a way that may pass */
  | "registration_removed"
  | "signed_out"
  | "close_requested";

export const PHONE_TRANSITIONS: TransitionTable<PhoneState, PhoneEvent> = {
  connecting: {
    socket_opened: "connected",
    socket_given_up: "disconnected",
    registration_removed: "connecting",
    close_requested: "closed",
  },
  connected: {
    socket_lost: "reconnecting",
    socket_given_up: "disconnected",
    register_sent: "registering",
    registration_removed: "connected",
    signed_out: "signed-out",
    close_requested: "closed",
  },
  registering: {
    socket_lost: "reconnecting",
    socket_given_up: "disconnected",
    register_accepted: "registered",
    register_refused: "connected",
    registration_removed: "connected",
    signed_out: "signed-out",
    close_requested: "closed",
  },
  registered: {
    socket_lost: "reconnecting",
    socket_given_up: "disconnected",
    register_sent: "registering",
    register_accepted: "registered",
    registration_lost: "reconnecting",
    registration_removed: "connected",
    signed_out: "signed-out",
    close_requested: "closed",
  },
  reconnecting: {
    socket_opened: "connected",
    socket_lost: "reconnecting",
    socket_given_up: "disconnected",
    register_accepted: "registered",
    // A request that was under way when the socket broke still reports its end.
    register_refused: "reconnecting",
    registration_removed: "reconnecting",
    signed_out: "signed-out",
    close_requested: "closed",
  },
  disconnected: {
    socket_wanted: "connecting",
    // Of a phone that gave its registration up, the socket may still have been open for the calls that ran.
    socket_given_up: "disconnected",
    signed_out: "signed-out",
    register_refused: "disconnected",
    registration_removed: "disconnected",
    close_requested: "closed",
  },
  "signed-out": {
    // The socket may still be open for the calls that run; without a registration nobody wants it back.
    socket_given_up: "signed-out",
    register_sent: "registering",
    register_refused: "signed-out",
    registration_removed: "signed-out",
    signed_out: "signed-out",
    close_requested: "closed",
  },
  closed: {
    socket_given_up: "closed",
    register_accepted: "closed",
    register_refused: "closed",
    registration_removed: "closed",
    close_requested: "closed",
  },
};
