/**
 * One registration, kept alive. Knows REGISTER and credentials; knows nothing of calls.
 *
 * The refresh is our own, ahead of SIP.js's: only a REGISTER sent from here reports why it failed, takes a new token,
 * and is tried again after a second challenge.
 */

import { PhoneError, SipError } from "./errors.ts";
import { sipErrorFromResponse } from "./sip-response.ts";
import { Registerer, RegistererState, type IncomingResponseMessage, type UserAgent } from "./sipjs.ts";

/** How often a REGISTER that was challenged again, with a fresh nonce, starts over. */
const FRESH_CHALLENGE_RETRIES = 2;
/** Our refresh comes at this part of the granted time; SIP.js's own, at 99 %, is never reached. */
const REFRESH_AT = 0.8;
const SIPJS_REFRESH_PERCENT = 99;

export interface RegistrationOptions {
  /** Registration time asked for, seconds. */
  readonly expiresS: number;
  /** A Bearer token (RFC 8898) for each REGISTER; absent with digest credentials. */
  readonly token?: (() => string | Promise<string>) | undefined;
  /** A refresh was granted, or it failed and the registration is gone. */
  readonly onRefresh: (error: PhoneError | undefined) => void;
}

interface FinalResponse {
  readonly message: IncomingResponseMessage | undefined;
  readonly accepted: boolean;
}

export class Registration {
  readonly #userAgent: UserAgent;
  readonly #registerer: Registerer;
  readonly #options: RegistrationOptions;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;
  #wanted = false;

  constructor(userAgent: UserAgent, options: RegistrationOptions) {
    this.#userAgent = userAgent;
    this.#options = options;
    this.#registerer = new Registerer(userAgent, {
      expires: options.expiresS,
      refreshFrequency: SIPJS_REFRESH_PERCENT,
      // The stock default writes all options, the Authorization header among them, to the console.
      logConfiguration: false,
    });
  }

  /** Register and keep it up until `remove` or `abandon`; throws SipError. */
  async register(): Promise<void> {
    this.#wanted = true;
    clearTimeout(this.#refreshTimer);
    for (let retriesLeft = FRESH_CHALLENGE_RETRIES; ; retriesLeft -= 1) {
      const { message, accepted } = await this.#sendRegister();
      if (accepted) {
        this.#scheduleRefresh(message);
        return;
      }
      if (retriesLeft === 0 || !this.#challengedAgain(message)) throw refusal(message);
    }
  }

  /** Remove the registration; does not fail when the gateway is gone. */
  async remove(): Promise<void> {
    this.abandon();
    if (this.#registerer.state !== RegistererState.Registered) return;
    // Without a token the gateway is left to end the registration by itself.
    const extraHeaders = await this.#authorization().catch(() => []);
    await new Promise<void>((resolve) => {
      const done = (): void => resolve();
      this.#registerer
        .unregister({
          requestOptions: { extraHeaders },
          requestDelegate: { onAccept: done, onReject: done, onRedirect: done },
        })
        .catch(done);
    });
  }

  /** Stop refreshing; nothing is sent. */
  abandon(): void {
    this.#wanted = false;
    clearTimeout(this.#refreshTimer);
  }

  async #sendRegister(): Promise<FinalResponse> {
    const extraHeaders = await this.#authorization();
    return new Promise((resolve, reject) => {
      // SIP.js tells the delegate neither of a 200 it cannot use nor of what follows a 423: watch its state, too.
      // In a microtask, because the delegate, which knows more, is called right after the change.
      const stateChanged = (state: RegistererState): void => {
        queueMicrotask(() => settle({ message: undefined, accepted: state === RegistererState.Registered }));
      };
      const settle = (response: FinalResponse): void => {
        this.#registerer.stateChange.removeListener(stateChanged);
        resolve(response);
      };
      this.#registerer.stateChange.addListener(stateChanged);
      this.#registerer
        .register({
          requestOptions: { extraHeaders },
          requestDelegate: {
            onAccept: ({ message }) => settle({ message, accepted: true }),
            onReject: ({ message }) => settle({ message, accepted: false }),
            onRedirect: ({ message }) => settle({ message, accepted: false }),
          },
        })
        .catch(reject);
    });
  }

  async #authorization(): Promise<string[]> {
    const token = await this.#options.token?.();
    return token === undefined ? [] : [`Authorization: Bearer ${token}`];
  }

  /**
   * Whether the credentials are worth another go: SIP.js answers one challenge per REGISTER, but a core may lawfully
   * challenge once more with a fresh nonce (its vector was taken by a parallel or repeated REGISTER). The next REGISTER
   * still carries the last credentials, SIP.js keeps them in its request; a stale nonce is challenged like none.
   */
  #challengedAgain(message: IncomingResponseMessage | undefined): boolean {
    if (message?.statusCode !== 401 || this.#options.token !== undefined) return false;
    const challenge = message.getHeader("www-authenticate") ?? "";
    const algorithm = /algorithm\s*=\s*"?([A-Za-z0-9-]+)/i.exec(challenge)?.[1] ?? "MD5";
    return /^\s*digest\b/i.test(challenge) && algorithm.toUpperCase() === "MD5";
  }

  #scheduleRefresh(message: IncomingResponseMessage | undefined): void {
    const expiresS = message === undefined ? this.#options.expiresS : this.#grantedS(message);
    if (expiresS === undefined) {
      // SIP.js would compute NaN and register again at once, for ever.
      void this.#registerer.dispose();
      throw new SipError({ method: "REGISTER", status: 500, reasonPhrase: "The 200 names no expires for this contact" });
    }
    if (!this.#wanted) return;
    this.#refreshTimer = setTimeout(() => void this.#refresh(), expiresS * REFRESH_AT * 1000);
  }

  async #refresh(): Promise<void> {
    try {
      await this.register();
      this.#options.onRefresh(undefined);
    } catch (error) {
      this.#options.onRefresh(error instanceof PhoneError ? error : refusal(undefined));
    }
  }

  /** Seconds granted to our contact (RFC 3261 §10.2.4), undefined when the 200 does not say. */
  #grantedS(message: IncomingResponseMessage): number | undefined {
    const own = this.#registerer.contacts.find((contact) => contact.includes(`:${this.#userAgent.contact.uri.user}@`));
    const granted = /;\s*expires\s*=\s*"?(\d+)/i.exec(own ?? message.getHeader("contact") ?? "")?.[1];
    return granted === undefined ? undefined : Number(granted);
  }
}

function refusal(message: IncomingResponseMessage | undefined): SipError {
  if (message !== undefined) return sipErrorFromResponse("REGISTER", message);
  return new SipError({ method: "REGISTER", status: 500, reasonPhrase: "The reply to REGISTER cannot be used" });
}
