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

/** A function for `connect({token})` that calls `fetchToken` when it has to; an error is the caller's, and not kept. */
export function tokenSource(
  fetchToken: () => Promise<AccessToken>,
  now: () => number = () => performance.now() / 1000,
): () => Promise<string> {
  let current: { readonly token: string; readonly youngUntil: number } | undefined;
  let underWay: Promise<string> | undefined;

  const renew = async (): Promise<string> => {
    const asked = now();
    const { token, expiresInS } = await fetchToken();
    current = { token, youngUntil: asked + expiresInS * YOUNG_UNTIL };
    return token;
  };

  return () => {
    if (current !== undefined && now() < current.youngUntil) return Promise.resolve(current.token);
    underWay ??= renew().finally(() => (underWay = undefined));
    return underWay;
  };
}
