/** The states of a call's way for media, from page to gateway, and the events that lead from one to another. */

import type { TransitionTable } from "./state-table.ts";

/** Every state with what is true in it. */
export const MEDIA_PATH_STATES = {
  building: "no media has flowed yet",
  up: "media flows",
  interrupted: "the way is broken, or the socket is lost: about to be repaired",
  restarting: "an ICE restart is under way (re-INVITE)",
  lost: "the way does not come back: the call ends",
} as const;

export type MediaPathState = keyof typeof MEDIA_PATH_STATES;

export type MediaPathEvent =
  | "path_up" /** the browser is connected */
  | "path_interrupted" /** the browser gets no reply, which may pass */
  | "path_failed" /** the browser has given up */
  | "socket_lost" /** the address of the page may have changed */
  | "restart_begun" /** an offer with new ICE credentials is sent */
  | "restart_agreed" /** it is answered */
  | "restart_refused" /** it is not; the old way is as it was */
  | "given_up";

export const MEDIA_PATH_TRANSITIONS: TransitionTable<MediaPathState, MediaPathEvent> = {
  building: {
    path_up: "up",
    path_interrupted: "building",
    path_failed: "lost",
    socket_lost: "interrupted",
    given_up: "lost",
  },
  up: {
    path_up: "up",
    path_interrupted: "interrupted",
    path_failed: "interrupted",
    socket_lost: "interrupted",
    restart_begun: "restarting",
    restart_refused: "up",
    given_up: "lost",
  },
  interrupted: {
    path_up: "up",
    path_interrupted: "interrupted",
    path_failed: "interrupted",
    socket_lost: "interrupted",
    restart_begun: "restarting",
    // The end of a restart that the loss of the socket, or the browser, overtook.
    restart_refused: "interrupted",
    given_up: "lost",
  },
  restarting: {
    // The old way may come and go while the new one is sought.
    path_up: "restarting",
    path_interrupted: "restarting",
    path_failed: "interrupted",
    socket_lost: "interrupted",
    restart_agreed: "up",
    restart_refused: "interrupted",
    given_up: "lost",
  },
  lost: {
    path_up: "lost",
    path_interrupted: "lost",
    path_failed: "lost",
    socket_lost: "lost",
    restart_refused: "lost",
    given_up: "lost",
  },
};
