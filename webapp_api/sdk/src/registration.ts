/**
 * One registration, kept alive. Knows REGISTER and credentials; knows nothing of calls.
 *
 * The refresh is our own, ahead of SIP.js's: only a REGISTER sent from here reports why it failed, takes a new token,
 * and is tried again after a second challenge.
 */

import { LoginError, PhoneError, SignedOutError, SipError, SocketError, UsageError } from "./errors.ts";
import { timerMs } from "./reconnector.ts";
import { errorFromResponse } from "./sip-response.ts";
import { Registerer, RegistererState, type IncomingResponseMessage, type UserAgent } from "./sipjs.ts";

/** How often a REGISTER that was challenged again, with a fresh nonce, starts over. */
const FRESH_CHALLENGE_RETRIES = 2;
/** Our refresh comes long before SIP.js's own, at 99 % of the granted time. */
const SIPJS_REFRESH_PERCENT = 99;
/** TS 24.229 §5.1.1.4.1: longer registrations are refreshed this long before they end, others at half their time. */
const REFRESH_BEFORE_END_S = 600;
/** One flow from page to gateway (RFC 5626 §4.2). */
const REG_ID = 1;
/** How long the person waits for the removal to be confirmed, milliseconds. */
const REMOVAL_TIMEOUT_MS = 4000;
const NOT_REMOVED = "the removal is not confirmed";
/** Longer than SIP.js waits for a response (RFC 3261, timer F: 32 s): what is not heard of then, it has dropped. */
const RESPONSE_TIMEOUT_MS = 35_000;
/** How long a token is waited for, milliseconds: its source may be out of reach without saying so. */
const TOKEN_TIMEOUT_MS = 15_000;

export interface RegistrationOptions {
  /** Registration time asked for, seconds. */
  readonly expiresS: number;
  /** A Bearer token (RFC 8898) for each REGISTER; absent with digest credentials. */
  readonly token?: (() => string | Promise<string>) | undefined;
  /** Parameters of our Contact: feature tags (RFC 3840). */
  readonly contactParameters?: readonly string[];
  /** A refresh was granted, or it failed and the registration is gone. */
  readonly onRefresh: (error: PhoneError | undefined) => void;
}

interface FinalResponse {
  readonly message: IncomingResponseMessage | undefined;
  readonly accepted: boolean;
}

/** Seconds after which a registration granted for `grantedS` seconds is refreshed. */
export function refreshDelayS(grantedS: number): number {
  return grantedS > 2 * REFRESH_BEFORE_END_S ? grantedS - REFRESH_BEFORE_END_S : grantedS / 2;
}

export class Registration {
  readonly #userAgent: UserAgent;
  readonly #options: RegistrationOptions;
  #registerer: Registerer;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;
  #wanted = false;
  /** Grows when what is under way is given up. */
  #epoch = 0;
  /** Ends the REGISTER that is under way, for us; SIP.js goes on waiting for its response. */
  #giveUp: ((error: PhoneError) => void) | undefined;
  /** Ends the wait for a token. */
  #stopWaiting: ((error: PhoneError) => void) | undefined;
  /** The newest `register` or `remove`, failed or not: SIP.js takes one after the other. */
  #running: Promise<void> = Promise.resolve();

  constructor(userAgent: UserAgent, options: RegistrationOptions) {
    this.#userAgent = userAgent;
    this.#options = options;
    this.#registerer = this.#createRegisterer();
  }

  /** Register and keep it up until `remove` or `abandon`; throws SipError, SignedOutError or SocketError. */
  register(): Promise<void> {
    this.#wanted = true;
    clearTimeout(this.#refreshTimer);
    // SIP.js's own refresh would come with the token of before: the gateway could only refuse it, and counts that.
    if (this.#options.token !== undefined) (this.#registerer as unknown as { clearTimers(): void }).clearTimers();
    const epoch = this.#epoch;
    const attempt = this.#running.then(() => this.#register(epoch));
    this.#running = attempt.catch(() => undefined);
    return attempt;
  }

  async #register(epoch: number): Promise<void> {
    if (epoch !== this.#epoch) throw new SocketError("the connection to the gateway is lost");
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
    // SIP.js takes no removal while a REGISTER is under way, and what that is granted would stand: the removal follows
    // it, whether anybody still waits or not.
    this.#running = this.#running.then(() => this.#sendRemoval());
    await within(REMOVAL_TIMEOUT_MS, this.#running, NOT_REMOVED).catch(() => undefined);
  }

  async #sendRemoval(): Promise<void> {
    if (this.#wanted || this.#registerer.state !== RegistererState.Registered) return;
    // Without a token the gateway is left to end the registration by itself.
    const extraHeaders = await this.#authorizationInTime().catch(() => []);
    const removed = new Promise<void>((resolve) => {
      const done = (): void => resolve();
      this.#registerer
        .unregister({
          requestOptions: { extraHeaders },
          requestDelegate: { onAccept: done, onReject: done, onRedirect: done },
        })
        .catch(done);
    });
    await within(REMOVAL_TIMEOUT_MS, removed, NOT_REMOVED).catch(() => {
      this.#registerer = this.#createRegisterer(); // the old one takes nothing more before it is
    });
  }

  /** Stop refreshing; nothing is sent. With `error`, a REGISTER that is under way fails with it now. */
  abandon(error?: PhoneError): void {
    this.#wanted = false;
    clearTimeout(this.#refreshTimer);
    this.#stopWaiting?.(error ?? new SocketError("the registration is not wanted any more"));
    if (error === undefined) return;
    this.#epoch += 1;
    if (this.#giveUp === undefined) return;
    this.#giveUp(error);
    // The old one takes no new request until its response comes or times out.
    this.#registerer = this.#createRegisterer();
  }

  /** Stop SIP.js's own timers, after the socket is closed: what it still tries to send goes nowhere. */
  dispose(): void {
    this.abandon();
    void this.#registerer.dispose();
  }

  #createRegisterer(): Registerer {
    return new Registerer(this.#userAgent, {
      expires: this.#options.expiresS,
      refreshFrequency: SIPJS_REFRESH_PERCENT,
      // The same for every connection of this page: a new one takes the place of the one before (RFC 5626 §4.2).
      instanceId: this.#userAgent.instanceId,
      regId: REG_ID,
      extraContactHeaderParams: [...(this.#options.contactParameters ?? [])],
      // The stock default writes all options, the Authorization header among them, to the console.
      logConfiguration: false,
    });
  }

  async #sendRegister(): Promise<FinalResponse> {
    const epoch = this.#epoch;
    const stopped = new Promise<never>((_, reject) => (this.#stopWaiting = reject));
    const extraHeaders = await Promise.race([this.#authorizationInTime(), stopped]);
    if (epoch !== this.#epoch) throw new SocketError("the connection to the gateway is lost");
    const registerer = this.#registerer;
    return new Promise((resolve, reject) => {
      // SIP.js tells the delegate neither of a 200 it cannot use nor of what follows a 423: watch its state, too.
      // In a microtask, because the delegate, which knows more, is called right after the change.
      const stateChanged = (state: RegistererState): void => {
        queueMicrotask(() => settle({ message: undefined, accepted: state === RegistererState.Registered }));
      };
      const over = (): void => {
        clearTimeout(latest);
        registerer.stateChange.removeListener(stateChanged);
        this.#giveUp = undefined;
      };
      const settle = (response: FinalResponse): void => {
        if (epoch !== this.#epoch) return;
        over();
        // SIP.js may wait for a response that it has dropped for ever, and would send nothing more.
        if (response.message === undefined && !response.accepted) this.#registerer = this.#createRegisterer();
        resolve(response);
      };
      const latest = setTimeout(() => settle({ message: undefined, accepted: false }), RESPONSE_TIMEOUT_MS);
      this.#giveUp = (error) => {
        over();
        reject(error);
      };
      registerer.stateChange.addListener(stateChanged);
      registerer
        .register({
          requestOptions: { extraHeaders },
          requestDelegate: {
            onAccept: ({ message }) => settle({ message, accepted: true }),
            onReject: ({ message }) => settle({ message, accepted: false }),
            onRedirect: ({ message }) => settle({ message, accepted: false }),
          },
        })
        .catch((error: unknown) => {
          over();
          reject(error);
        });
    });
  }

  #authorizationInTime(): Promise<string[]> {
    return within(TOKEN_TIMEOUT_MS, this.#authorization(), "no token for the gateway: its source does not answer");
  }

  async #authorization(): Promise<string[]> {
    if (this.#options.token === undefined) return [];
    let token: unknown;
    try {
      token = await this.#options.token();
    } catch (cause) {
      if (cause instanceof SignedOutError || cause instanceof LoginError) throw cause;
      // fetch() says TypeError when it reaches nobody; the next attempt may.
      if (cause instanceof TypeError || cause instanceof SocketError) {
        throw new SocketError("no token for the gateway: its source cannot be reached", { cause });
      }
      throw new SignedOutError("token", "no token for the gateway is to be had any more", { cause });
    }
    if (typeof token !== "string" || token === "") throw new UsageError("the token is no text");
    return [`Authorization: Bearer ${token}`];
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
    this.#refreshTimer = setTimeout(() => void this.#refresh(), timerMs(refreshDelayS(expiresS)));
  }

  async #refresh(): Promise<void> {
    try {
      await this.register();
      this.#options.onRefresh(undefined);
    } catch (error) {
      if (!this.#wanted) return;
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

/** What `promise` gives, or SocketError with this `message` when that takes longer than `ms`. */
async function within<Value>(ms: number, promise: Promise<Value>, message: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SocketError(message)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function refusal(message: IncomingResponseMessage | undefined): PhoneError {
  if (message !== undefined) return errorFromResponse("REGISTER", message);
  return new SipError({ method: "REGISTER", status: 500, reasonPhrase: "The reply to REGISTER cannot be used" });
}
