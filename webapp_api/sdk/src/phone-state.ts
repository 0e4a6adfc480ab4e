/** The states of the phone (socket and registration) and the events that lead from one to another. */

import type { TransitionTable } from "./state-table.ts";

/** Every state with what is true in it. */
export const PHONE_STATES = {
  connecting: "the WebSocket to the gateway is being opened",
  connected: "the WebSocket is open, no registration",
  registering: "a REGISTER is on its way",
  registered: "the IMS core knows this page; calls can be made",
  disconnected: "the WebSocket is lost: no signalling, media of running calls may go on",
  closed: "the application closed the phone",
} as const;

export type PhoneState = keyof typeof PHONE_STATES;

export type PhoneEvent =
  | "socket_opened"
  | "socket_lost"
  | "register_sent"
  | "register_accepted"
  | "register_refused"
  | "registration_removed"
  | "close_requested";

export const PHONE_TRANSITIONS: TransitionTable<PhoneState, PhoneEvent> = {
  connecting: { socket_opened: "connected", socket_lost: "disconnected", close_requested: "closed" },
  connected: {
    socket_lost: "disconnected",
    register_sent: "registering",
    registration_removed: "connected",
    close_requested: "closed",
  },
  registering: {
    socket_lost: "disconnected",
    register_accepted: "registered",
    register_refused: "connected",
    registration_removed: "connected",
    close_requested: "closed",
  },
  registered: {
    socket_lost: "disconnected",
    register_sent: "registering",
    register_accepted: "registered",
    register_refused: "connected",
    registration_removed: "connected",
    close_requested: "closed",
  },
  disconnected: {
    // Requests that were under way when the socket broke still report their end.
    socket_lost: "disconnected",
    register_refused: "disconnected",
    registration_removed: "disconnected",
    close_requested: "closed",
  },
  closed: {
    socket_lost: "closed",
    register_accepted: "closed",
    register_refused: "closed",
    registration_removed: "closed",
    close_requested: "closed",
  },
};
