/** The phone: one WebSocket, one registration, any number of calls. The entry of the SDK. */

import { Call } from "./call.ts";
import { configFromObject, fetchConfig, type PhoneConfig, type PhoneConfigInput } from "./config.ts";
import { SocketError, UsageError, type PhoneError } from "./errors.ts";
import { Emitter, type Listener } from "./events.ts";
import type { MediaRequest } from "./media.ts";
import { PHONE_TRANSITIONS, type PhoneEvent, type PhoneState } from "./phone-state.ts";
import { Registration } from "./registration.ts";
import { SIPExtension, UserAgent, type Session, type UserAgentOptions } from "./sipjs.ts";
import { nextState } from "./state-table.ts";
import { addressOfRecordFromText, targetUriFromText } from "./target.ts";
import { UpdateSupport } from "./update-support.ts";
import { VERSION } from "./version.ts";

const DEFAULT_EXPIRES_S = 600;
const SOCKET_TIMEOUT_S = 5;

/** Where the gateway is: the address of its configuration, or the configuration itself. */
export type ConfigSource =
  | { readonly configUrl: string; readonly config?: never }
  | { readonly config: PhoneConfigInput; readonly configUrl?: never };

/** A password (digest), or a Bearer token (RFC 8898), fixed or fetched anew for each REGISTER. */
export type Credentials =
  | { readonly password: string; readonly token?: never }
  | { readonly token: string | (() => string | Promise<string>); readonly password?: never };

export type ConnectOptions = ConfigSource &
  Credentials & {
    /** Name, number or SIP address of the account (public identity). */
    readonly user: string;
    /** Private identity; by default the public one without its scheme, as TS 23.003 §13.3 derives it. */
    readonly authorizationUser?: string;
    readonly displayName?: string;
    /** Registration time asked for, seconds. */
    readonly expiresS?: number;
  };

export interface PhoneEvents {
  /** The phone is in another state. */
  state: PhoneState;
  /** The socket is lost, or the registration could not be refreshed. */
  error: PhoneError;
}

/** What tests put in the place of the network. */
export type UserAgentParts = Pick<UserAgentOptions, "transportConstructor">;

/** Fetch the configuration if need be and open the WebSocket; throws ConfigError, SocketError or UsageError. */
export async function connect(options: ConnectOptions): Promise<Phone> {
  const config =
    options.configUrl === undefined ? configFromObject(options.config) : await fetchConfig(options.configUrl);
  return Phone.open(config, options);
}

export class Phone {
  readonly config: PhoneConfig;
  /** The address the phone registers, a SIP URI. */
  readonly address: string;
  readonly #events = new Emitter<PhoneEvents>();
  readonly #calls = new Set<Call>();
  readonly #userAgent: UserAgent;
  readonly #updateSupport: UpdateSupport;
  readonly #registration: Registration;
  #state: PhoneState = "connecting";
  /** Fails when the socket breaks, so that nothing waits for a reply that cannot come. */
  readonly #socketGone: Promise<never>;
  #breakSocketPromise: (error: SocketError) => void = () => undefined;

  private constructor(config: PhoneConfig, options: ConnectOptions, parts: UserAgentParts) {
    this.config = config;
    this.#socketGone = new Promise((_, reject) => (this.#breakSocketPromise = reject));
    this.#socketGone.catch(() => undefined);
    this.address = addressOfRecordFromText(options.user, config.domain);
    const uri = UserAgent.makeURI(this.address);
    if (uri === undefined) throw new UsageError(`"${options.user}" is not a user name`);
    this.#userAgent = new UserAgent({
      uri,
      authorizationUsername: options.authorizationUser ?? `${uri.user ?? ""}@${uri.host}`,
      authorizationPassword: options.password ?? "",
      displayName: options.displayName ?? "",
      userAgentString: `webrtc-ims-sdk/${VERSION}`,
      sipExtension100rel: SIPExtension.Supported,
      sendInitialProvisionalResponse: false,
      // SIP.js would write requests with credentials and DTMF digits to the console.
      logBuiltinEnabled: false,
      logConfiguration: false,
      transportOptions: { server: config.wssUrl, connectionTimeout: SOCKET_TIMEOUT_S, traceSip: false },
      sessionDescriptionHandlerFactory: (session: Session) => handlerOf(session, this.#userAgent),
      delegate: {
        onDisconnect: (error) => this.#socketLost(error),
        // Calls to this page are not taken: 480 lets the network try the user's other devices (RFC 3261 §21.4.18).
        onInvite: (invitation) => void invitation.reject({ statusCode: 480 }).catch(() => undefined),
      },
      ...parts,
    });
    this.#updateSupport = new UpdateSupport(this.#userAgent, {
      onUpdate: ({ session }) => [...this.#calls].find((call) => call.owns(session))?.updateAnswered(),
    });
    const { token } = options;
    this.#registration = new Registration(this.#userAgent, {
      expiresS: options.expiresS ?? DEFAULT_EXPIRES_S,
      token: typeof token === "string" ? () => token : token,
      onRefresh: (error) => this.#refreshed(error),
    });
  }

  /** Open the WebSocket. Applications call `connect`. */
  static async open(config: PhoneConfig, options: ConnectOptions, parts: UserAgentParts = {}): Promise<Phone> {
    const phone = new Phone(config, options, parts);
    try {
      await phone.#userAgent.start();
    } catch (error) {
      phone.#apply("socket_lost");
      throw new SocketError(`no connection to ${config.wssUrl}`, { cause: error });
    }
    phone.#apply("socket_opened");
    return phone;
  }

  get state(): PhoneState {
    return this.#state;
  }

  /** The calls that are not over. */
  get calls(): readonly Call[] {
    return [...this.#calls];
  }

  on<Name extends keyof PhoneEvents>(name: Name, listener: Listener<PhoneEvents[Name]>): () => void {
    return this.#events.on(name, listener);
  }

  onState(listener: Listener<PhoneState>): () => void {
    return this.on("state", listener);
  }

  /** Register, and keep the registration up. Throws SipError when refused, SocketError when the socket breaks. */
  async register(): Promise<void> {
    this.#needSocket();
    if (this.#state === "registering") throw new UsageError("a registration is already under way");
    this.#apply("register_sent");
    try {
      await Promise.race([this.#registration.register(), this.#socketGone]);
    } catch (error) {
      this.#apply("register_refused");
      throw error;
    }
    this.#apply("register_accepted");
  }

  /** Remove the registration; calls go on. */
  async unregister(): Promise<void> {
    await this.#registration.remove();
    this.#apply("registration_removed");
  }

  /** Call a name, a number, a tel or a SIP address. The call runs by itself: watch its state and end. */
  call(target: string, media: MediaRequest = {}): Call {
    this.#needSocket();
    const call = new Call({
      userAgent: this.#userAgent,
      updateSupport: this.#updateSupport,
      config: this.config,
      targetUri: targetUriFromText(target, this.config.domain),
      media,
    });
    this.#calls.add(call);
    call.on("end", () => this.#calls.delete(call));
    return call;
  }

  /** Hang up, remove the registration and close the socket. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    const reachable = this.#state !== "disconnected";
    this.#registration.abandon();
    await Promise.all(this.calls.map((call) => call.hangup()));
    if (reachable) await this.#registration.remove();
    this.#apply("close_requested");
    await this.#userAgent.transport.disconnect();
    // What is left in SIP.js needs no goodbye: nothing is registered and no call runs.
    this.#userAgent.userAgentCore.dispose();
  }

  #needSocket(): void {
    if (this.#state === "disconnected") throw new SocketError("the connection to the gateway is lost");
    if (this.#state === "closed") throw new UsageError("the phone is closed");
  }

  #socketLost(cause: Error | undefined): void {
    if (this.#state === "closed") return;
    this.#registration.abandon();
    this.#apply("socket_lost");
    const error = new SocketError("the connection to the gateway is lost", { cause });
    this.#breakSocketPromise(error);
    for (const call of this.calls) call.socketLost(error);
    this.#events.emit("error", error);
  }

  #refreshed(error: PhoneError | undefined): void {
    if (this.#state === "disconnected" || this.#state === "closed") return;
    this.#apply(error === undefined ? "register_accepted" : "register_refused");
    if (error !== undefined) this.#events.emit("error", error);
  }

  #apply(event: PhoneEvent): void {
    const next = nextState(PHONE_TRANSITIONS, this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#events.emit("state", next);
  }
}

/** SIP.js asks for the media session of a call; the call made it known in `data`. */
function handlerOf(session: Session, userAgent: UserAgent): ReturnType<Call["createHandler"]> {
  if (!(session.data instanceof Call)) throw new UsageError("no call for this session");
  const logger = userAgent.getLogger("sip.SessionDescriptionHandler");
  return session.data.createHandler(logger);
}
