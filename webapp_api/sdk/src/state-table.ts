/** State machines as tables: a missing pair of state and event is a fault of this SDK and says so. */

export type TransitionTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>;

export class IllegalTransitionError extends Error {
  override readonly name = "IllegalTransitionError";
}

/** The state after `event`; throws IllegalTransitionError when the table has no such row. */
export function nextState<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  state: State,
  event: Event,
): State {
  const next = table[state][event];
  if (next === undefined) throw new IllegalTransitionError(`no transition from "${state}" by "${event}"`);
  return next;
}
