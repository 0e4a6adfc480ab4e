/** Access tokens for as long as a login lasts: the one at hand while it is young, a new one in time, one request for all who ask. */

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

/** Seconds for which a request that gets no answer is shared: it may never get one. */
const SHARED_FOR_S = 10;

/** A function for `connect({token})` that calls `fetchToken` when it has to; an error is the caller's, and not kept. */
export function tokenSource(
  fetchToken: () => AccessToken | Promise<AccessToken>,
  clocks: readonly (() => number)[] = CLOCKS,
): () => Promise<string> {
  let current: { readonly token: string; readonly youngUntil: readonly number[]; readonly request: number } | undefined;
  let underWay: { readonly token: Promise<string>; readonly sharedUntil: readonly number[] } | undefined;
  let requests = 0;

  const renew = async (asked: readonly number[]): Promise<string> => {
    const request = (requests += 1);
    const { token, expiresInS } = await fetchToken();
    const youngUntil = asked.map((at) => at + expiresInS * YOUNG_UNTIL);
    // A late answer does not take the place of what was asked for after it.
    if (current === undefined || current.request < request) current = { token, youngUntil, request };
    return token;
  };

  return () => {
    const now = clocks.map((clock) => clock());
    const isBefore = (ends: readonly number[]): boolean => ends.every((end, place) => (now[place] ?? end) < end);
    if (current !== undefined && isBefore(current.youngUntil)) return Promise.resolve(current.token);
    if (underWay === undefined || !isBefore(underWay.sharedUntil)) {
      const request = { token: renew(now), sharedUntil: now.map((at) => at + SHARED_FOR_S) };
      const over = (): void => {
        if (underWay === request) underWay = undefined;
      };
      request.token.then(over, over);
      underWay = request;
    }
    return underWay.token;
  };
}
