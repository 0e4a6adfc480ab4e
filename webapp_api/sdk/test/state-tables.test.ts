import assert from "node:assert/strict";
import { test } from "node:test";

import { CALL_STATES, CALL_TRANSITIONS, type CallEvent, type CallState } from "../src/call-state.ts";
import { MEDIA_PATH_STATES, MEDIA_PATH_TRANSITIONS, type MediaPathEvent, type MediaPathState } from "../src/media-path-state.ts";
import { PHONE_STATES, PHONE_TRANSITIONS, type PhoneEvent, type PhoneState } from "../src/phone-state.ts";
import { IllegalTransitionError, nextState, type TransitionTable } from "../src/state-table.ts";

function reachable<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  from: State,
): Set<State> {
  const seen = new Set<State>([from]);
  for (const state of seen) for (const next of Object.values<State | undefined>(table[state])) if (next) seen.add(next);
  return seen;
}

test("every call state is reached by a call that goes out or comes in, and their beginnings do not mix", () => {
  const outgoing = reachable(CALL_TRANSITIONS, "preparing");
  const incoming = reachable(CALL_TRANSITIONS, "alerting");
  assert.deepEqual([...new Set([...outgoing, ...incoming])].sort(), Object.keys(CALL_STATES).sort());
  assert.equal(outgoing.has("alerting") || outgoing.has("answering"), false);
  assert.equal(incoming.has("dialling") || incoming.has("ringing"), false);
});

test("every phone state is reached from connecting", () => {
  assert.deepEqual([...reachable(PHONE_TRANSITIONS, "connecting")].sort(), Object.keys(PHONE_STATES).sort());
});

test("every state of a way for media is reached from the first, and nothing leads out of a lost one", () => {
  assert.deepEqual([...reachable(MEDIA_PATH_TRANSITIONS, "building")].sort(), Object.keys(MEDIA_PATH_STATES).sort());
  assert.deepEqual(reachable(MEDIA_PATH_TRANSITIONS, "lost"), new Set(["lost"]));
});

test("what the browser, the socket and the clock say finds a row in every state of a way for media", () => {
  for (const state of Object.keys(MEDIA_PATH_STATES) as MediaPathState[]) {
    for (const event of ["path_up", "path_interrupted", "path_failed", "socket_lost", "given_up"] as const) {
      nextState(MEDIA_PATH_TRANSITIONS, state, event);
    }
  }
});

const MEDIA_PATH_ROWS: readonly [MediaPathState, MediaPathEvent, MediaPathState][] = [
  ["building", "path_up", "up"],
  ["building", "path_failed", "lost"],
  ["up", "path_interrupted", "interrupted"],
  ["up", "socket_lost", "interrupted"],
  ["interrupted", "path_up", "up"],
  ["interrupted", "restart_begun", "restarting"],
  ["restarting", "path_up", "restarting"],
  ["restarting", "restart_agreed", "up"],
  ["restarting", "restart_refused", "interrupted"],
  ["restarting", "path_failed", "interrupted"],
];
for (const [from, event, to] of MEDIA_PATH_ROWS) {
  test(`a way for media that is ${from} becomes ${to} by ${event}`, () => {
    assert.equal(nextState(MEDIA_PATH_TRANSITIONS, from, event), to);
  });
}

test("nothing leads out of an ended call or a closed phone", () => {
  assert.deepEqual(reachable(CALL_TRANSITIONS, "ended"), new Set(["ended"]));
  assert.deepEqual(reachable(PHONE_TRANSITIONS, "closed"), new Set(["closed"]));
});

test("every call that is not over can be hung up and can be terminated", () => {
  for (const state of Object.keys(CALL_STATES) as CallState[]) {
    if (state === "ended") continue;
    assert.match(nextState(CALL_TRANSITIONS, state, "hangup_requested"), /^(ending|ended)$/);
    assert.equal(nextState(CALL_TRANSITIONS, state, "call_terminated"), "ended");
  }
});

test("every phone can be closed", () => {
  for (const state of Object.keys(PHONE_STATES) as PhoneState[]) {
    assert.equal(nextState(PHONE_TRANSITIONS, state, "close_requested"), "closed");
  }
});

test("a phone with a socket survives its loss, and can be signed out by the network", () => {
  for (const state of ["connected", "registering", "registered", "reconnecting"] as const) {
    assert.equal(nextState(PHONE_TRANSITIONS, state, "socket_lost"), "reconnecting");
    assert.equal(nextState(PHONE_TRANSITIONS, state, "socket_given_up"), "disconnected");
    assert.equal(nextState(PHONE_TRANSITIONS, state, "signed_out"), "signed-out");
  }
});

const CALL_ROWS: readonly [CallState, CallEvent, CallState][] = [
  ["preparing", "media_ready", "dialling"],
  ["dialling", "progress_received", "connecting"],
  ["connecting", "ringing_received", "ringing"],
  ["ringing", "progress_received", "ringing"],
  ["ringing", "answer_received", "established"],
  ["established", "ringing_received", "established"],
  ["ending", "answer_received", "ending"],
  ["alerting", "answer_requested", "answering"],
  ["alerting", "hangup_requested", "ended"],
  ["answering", "answer_withheld", "alerting"],
  ["answering", "answer_sent", "established"],
  ["answering", "hangup_requested", "ended"],
];
for (const [from, event, to] of CALL_ROWS) {
  test(`a call that is ${from} becomes ${to} by ${event}`, () => {
    assert.equal(nextState(CALL_TRANSITIONS, from, event), to);
  });
}

const PHONE_ROWS: readonly [PhoneState, PhoneEvent, PhoneState][] = [
  ["connecting", "registration_removed", "connecting"],
  ["connected", "register_sent", "registering"],
  ["registering", "register_refused", "connected"],
  ["registered", "register_accepted", "registered"],
  ["registered", "registration_removed", "connected"],
  ["registered", "registration_lost", "reconnecting"],
  ["reconnecting", "register_accepted", "registered"],
  ["reconnecting", "socket_opened", "connected"],
  ["signed-out", "register_sent", "registering"],
];
for (const [from, event, to] of PHONE_ROWS) {
  test(`a phone that is ${from} becomes ${to} by ${event}`, () => {
    assert.equal(nextState(PHONE_TRANSITIONS, from, event), to);
  });
}

test("a missing row is a fault that says which", () => {
  assert.throws(
    () => nextState(CALL_TRANSITIONS, "ended", "answer_received"),
    (error) => error instanceof IllegalTransitionError && /"ended" by "answer_received"/.test(error.message),
  );
});
