/** Access tokens for as long as a login lasts: the one at hand while it is young, a new one in time, never two at once. */

export interface AccessToken {
  /** The token itself (RFC 6750 b64token). */
  readonly token: string;
  /** Seconds it is good for, from the moment it was given. */
  readonly expiresInS: number;
}

/**
 * A token with less than this part of its life left is not handed out any more. The gateway lets a registration last
 * no longer than its token, and the SDK refreshes a registration at half its time: a refresh always gets a new token.
 */
const YOUNG_UNTIL = 0.45;

/** Seconds, twice: the first does not count a computer's sleep, the second is set by people. A token is young by both. */
const CLOCKS: readonly (() => number)[] = [() => performance.now() / 1000, () => Date.now() / 1000];

/** A function for `connect({token})` that calls `fetchToken` when it has to; an error is the caller's, and not kept. */
export function tokenSource(
  fetchToken: () => Promise<AccessToken>,
  clocks: readonly (() => number)[] = CLOCKS,
): () => Promise<string> {
  let current: { readonly token: string; readonly youngUntil: readonly number[] } | undefined;
  let underWay: Promise<string> | undefined;

  const renew = async (): Promise<string> => {
    const asked = clocks.map((clock) => clock());
    const { token, expiresInS } = await fetchToken();
    current = { token, youngUntil: asked.map((at) => at + expiresInS * YOUNG_UNTIL) };
    return token;
  };

  return () => {
    const at = clocks.map((clock) => clock());
    if (current?.youngUntil.every((until, place) => (at[place] ?? until) < until)) return Promise.resolve(current.token);
    underWay ??= renew().finally(() => (underWay = undefined));
    return underWay;
  };
}
