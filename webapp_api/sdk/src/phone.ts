/** The phone: one WebSocket, one registration, any number of calls. The entry of the SDK. */

import { Call } from "./call.ts";
import type { CallDependencies, FarVideo } from "./call-types.ts";
import { configFromObject, fetchConfig, type PhoneConfig, type PhoneConfigInput } from "./config.ts";
import { LoginError, PhoneError, SignedOutError, SipError, SocketError, UsageError } from "./errors.ts";
import { Emitter, type Listener } from "./events.ts";
import { Farewells } from "./farewells.ts";
import { IncomingCall } from "./incoming-call.ts";
import type { MediaRequest } from "./media.ts";
import { OutgoingCall } from "./outgoing-call.ts";
import { mayPass } from "./passing.ts";
import { PHONE_TRANSITIONS, type PhoneEvent, type PhoneState } from "./phone-state.ts";
import { DEFAULT_RECONNECT, Reconnector, type AttemptResult, type ReconnectSettings, type Wait } from "./reconnector.ts";
import { Registration } from "./registration.ts";
import type { SipMessage } from "./sip-message.ts";
import { UserAgent, type Invitation, type Session, type UserAgentOptions } from "./sipjs.ts";
import { closeCodeFromError, isFarewell, isRestart } from "./socket-close.ts";
import { nextState } from "./state-table.ts";
import { addressOfRecordFromText, targetUriFromText } from "./target.ts";
import { UpdateSupport } from "./update-support.ts";
import { createUserAgent } from "./user-agent.ts";

const DEFAULT_EXPIRES_S = 600;
const TEMPORARILY_UNAVAILABLE = 480;
const REQUEST_TIMEOUT = 408;
/** Feature tag of the gateway: calls to this contact shall offer a line for each direction. */
const ONE_WAY_STREAMS = "+g.one-way-streams";

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
    /** How to come back after the socket is lost. */
    readonly reconnect?: Partial<ReconnectSettings>;
    /** false: offer two-way lines, and be offered such; default true: one line for each direction. */
    readonly oneWayStreams?: boolean;
    /** What becomes of video that the far side adds: shown (default), or refused. Ours is never sent by itself. */
    readonly farVideo?: FarVideo;
  };

export interface PhoneEvents {
  /** The phone is in another state. */
  state: PhoneState;
  /** Somebody calls. Without a listener the network is told to try the user's other devices (480). */
  call: IncomingCall;
  /** The socket or the registration is lost; the next attempt to get it back comes after this wait. */
  reconnecting: Wait;
  /** A SIP message went or came. It holds credentials, tokens and digits: mask them before it is kept or shown. */
  sip: SipMessage;
  /** The phone gave up: the socket does not come back, or the person is signed out. */
  error: PhoneError;
}

/** What tests put in the place of the network. @internal */
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
  readonly #farewells = new Farewells();
  readonly #userAgent: UserAgent;
  readonly #updateSupport: UpdateSupport;
  readonly #registration: Registration;
  readonly #reconnector: Reconnector;
  readonly #reconnects: boolean;
  readonly #dependencies: CallDependencies;
  /** The browser is without a network; the address may be another one afterwards. */
  #wasOffline = false;
  /** Whether calls have lost their socket and none has come back yet. */
  #callsWait = false;
  readonly #offline = (): void => void (this.#wasOffline = true);
  readonly #onlineAgain = (): void => this.#networkBack();
  #state: PhoneState = "connecting";
  /** Whether a new socket shall be registered. */
  #registrationWanted = false;
  /** Grows with each `register` and `unregister`: the newest counts. */
  #wish = 0;
  /** The application's own attempt, while it is under way. */
  #registering: Promise<void> | undefined;
  #closing = false;

  private constructor(config: PhoneConfig, options: ConnectOptions, parts: UserAgentParts) {
    this.config = config;
    this.address = addressOfRecordFromText(options.user, config.domain);
    this.#userAgent = createUserAgent({
      address: this.address,
      wssUrl: config.wssUrl,
      credentials: options,
      sessionDescriptionHandlerFactory: (session) => handlerOf(session),
      onDisconnect: (cause) => this.#socketLost(cause),
      onInvite: (invitation) => this.#called(invitation),
      onMessage: (message) => this.#events.emit("sip", message),
      parts,
    });
    this.#updateSupport = new UpdateSupport(this.#userAgent, {
      onUpdate: ({ session }) => callOf(session)?.updateAnswered(),
      onTaken: (session, update) => callOf(session)?.farEndNamed(update, update.getHeader("from")),
    });
    const { token } = options;
    this.#registration = new Registration(this.#userAgent, {
      expiresS: options.expiresS ?? DEFAULT_EXPIRES_S,
      contactParameters: options.oneWayStreams === false ? [] : [ONE_WAY_STREAMS],
      token: typeof token === "string" ? () => token : token,
      onRefresh: (error) => this.#refreshed(error),
    });
    const settings = { ...DEFAULT_RECONNECT, ...options.reconnect };
    this.#reconnects = settings.giveUpAfterS > 0;
    this.#reconnector = new Reconnector({
      settings,
      attempt: () => this.#reconnect(),
      onWait: (wait) => this.#events.emit("reconnecting", wait),
      // On a socket that was not lost the gateway may still keep what cannot be renewed, and calls may run.
      goesOn: () => this.#userAgent.isConnected() && !this.#callsWait,
      onGivenUp: () => this.#giveUp(new SocketError("the connection to the gateway is lost")),
    });
    this.#dependencies = {
      userAgent: this.#userAgent,
      updateSupport: this.#updateSupport,
      config,
      farewells: this.#farewells,
      oneWayStreams: options.oneWayStreams ?? true,
      farVideo: options.farVideo ?? "receive",
      onNoReply: () => this.#dropSocket(),
      callTransferTarget: (uri, headers, media) => this.#keep(new OutgoingCall(this.#dependencies, uri, media, headers)),
    };
    globalThis.addEventListener?.("online", this.#onlineAgain);
    globalThis.addEventListener?.("offline", this.#offline);
  }

  /** Open the WebSocket. Applications call `connect`. @internal */
  static async open(config: PhoneConfig, options: ConnectOptions, parts: UserAgentParts = {}): Promise<Phone> {
    const phone = new Phone(config, options, parts);
    try {
      await phone.#openSocket(() => phone.#userAgent.start());
    } catch (error) {
      phone.#unlisten();
      throw error;
    }
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

  /**
   * Register, and keep the registration up: refreshed in time, and renewed when the socket was lost; a phone that is
   * disconnected opens another one first. Throws SipError when refused, SocketError when the socket breaks or cannot be
   * opened, SignedOutError when no token is to be had.
   */
  async register(): Promise<void> {
    if (this.#state === "disconnected" && !this.#closing) {
      const wish = (this.#wish += 1);
      this.#apply("socket_wanted");
      await this.#openSocket(() => this.#userAgent.reconnect());
      if (wish !== this.#wish) throw new SocketError("the registration is not wanted any more");
    }
    this.#needSocket();
    if (this.#state === "registering") throw new UsageError("a registration is already under way");
    if (this.#state === "reconnecting") throw new UsageError("the phone registers again by itself");
    this.#wish += 1;
    this.#apply("register_sent");
    this.#registering = this.#registration.register();
    try {
      await this.#registering;
    } catch (error) {
      this.#apply("register_refused");
      throw error;
    } finally {
      this.#registering = undefined;
    }
    this.#registrationWanted = true;
    this.#apply("register_accepted");
  }

  /**
   * Remove the registration, once there is one if it is still being made. The gateway ends the calls that run (TS 24.229
   * §5.1.1.6), and after a while closes the socket; `register` opens it again.
   */
  async unregister(): Promise<void> {
    const wish = (this.#wish += 1);
    await this.#registering?.catch(() => undefined);
    if (wish !== this.#wish) return;
    this.#registrationWanted = false;
    await this.#registration.remove();
    if (wish === this.#wish) this.#apply("registration_removed");
  }

  /** Call a name, a number, a tel or a SIP address. The call runs by itself: watch its state and end. */
  call(target: string, media: MediaRequest = {}): OutgoingCall {
    this.#needSocket();
    const targetUri = targetUriFromText(target, this.config.domain);
    return this.#keep(new OutgoingCall(this.#dependencies, targetUri, media));
  }

  /** Hang up, remove the registration and close the socket. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#reconnector.stop();
    this.#unlisten();
    this.#registration.abandon();
    await Promise.all(this.calls.map((call) => call.hangup()));
    if (this.#userAgent.isConnected()) await this.#registration.remove();
    this.#registration.abandon(new SocketError("the phone is closed"));
    this.#apply("close_requested");
    await this.#userAgent.transport.disconnect();
    for (const call of this.calls) call.abandon(new SocketError("the phone is closed")); // made meanwhile
    this.#registration.dispose();
    // What is left in SIP.js needs no goodbye: nothing is registered and no call runs.
    this.#userAgent.userAgentCore.dispose();
  }

  async #openSocket(open: () => Promise<void>): Promise<void> {
    this.#callsWait = false;
    try {
      if (!this.#userAgent.isConnected()) await open();
    } catch (error) {
      this.#giveUp(undefined);
      throw new SocketError(`no connection to ${this.config.wssUrl}`, { cause: error });
    }
    if (this.#state === "connecting") this.#apply("socket_opened");
    else this.#dropSocket(); // closed meanwhile
  }

  #unlisten(): void {
    globalThis.removeEventListener?.("online", this.#onlineAgain);
    globalThis.removeEventListener?.("offline", this.#offline);
  }

  #keep<Kind extends Call>(call: Kind): Kind {
    this.#calls.add(call);
    call.on("end", () => this.#calls.delete(call));
    return call;
  }

  #called(invitation: Invitation): void {
    if (this.#closing || !this.#events.has("call")) {
      // The network tries the user's other devices (RFC 3261 §21.4.18).
      void invitation.reject({ statusCode: TEMPORARILY_UNAVAILABLE }).catch(() => undefined);
      return;
    }
    const call = this.#keep(new IncomingCall(this.#dependencies, invitation));
    this.#events.emit("call", call);
    call.alert();
  }

  #needSocket(): void {
    if (this.#closing) throw new UsageError("the phone is closed");
    if (this.#state === "connecting" || this.#state === "disconnected" || !this.#userAgent.isConnected()) {
      throw new SocketError("there is no connection to the gateway now");
    }
  }

  #socketLost(cause: Error | undefined): void {
    if (this.#closing) return;
    const closeCode = closeCodeFromError(cause);
    // Whoever has no registration is not wanted for long, and may come back with one; who is about to does so.
    const isRegistered = this.#registrationWanted && (this.#state === "registered" || this.#state === "registering");
    const unregistered = closeCode === 1008 && !isRegistered;
    const idle = unregistered && this.#state !== "reconnecting";
    const error = isFarewell(closeCode) && !unregistered
      ? new SignedOutError("network", "the gateway ended the connection", { closeCode })
      : new SocketError("the connection to the gateway is lost", { cause });
    this.#registration.abandon(error);
    this.#callsWait = true;
    for (const call of this.calls) idle ? call.abandon(error) : call.socketLost(error);
    if (idle) this.#giveUp(undefined);
    else if (error instanceof SignedOutError) this.#signOut(error);
    else if (!this.#reconnects || this.#state === "signed-out" || this.#state === "disconnected") this.#giveUp(error);
    else {
      this.#apply("socket_lost");
      this.#reconnector.start({ restart: isRestart(closeCode), urgent: this.calls.length > 0 });
    }
  }

  /** One attempt to have socket and registration again. */
  async #reconnect(): Promise<AttemptResult> {
    try {
      if (!this.#userAgent.isConnected()) await this.#userAgent.reconnect();
      if (this.#state !== "reconnecting") {
        this.#dropSocket(); // it comes too late: the application has been told that there is none
        return { done: true };
      }
      if (this.#registrationWanted) await this.#registration.register();
    } catch (error) {
      return this.#reconnectFailed(error instanceof PhoneError ? error : new SocketError("no connection", { cause: error }));
    }
    if (this.#state === "reconnecting") {
      this.#apply(this.#registrationWanted ? "register_accepted" : "socket_opened");
      this.#farewells.sayAgain();
      // A registration that was lost alone has taken no call's socket.
      if (this.#callsWait) for (const call of this.calls) call.socketRestored();
      this.#callsWait = false;
    }
    return { done: true };
  }

  #reconnectFailed(error: PhoneError): AttemptResult {
    if (this.#state !== "reconnecting") return { done: true };
    if (!mayPass(error)) {
      this.#signOut(signedOutError(error));
      return { done: true };
    }
    this.#dropDeadSocket(error);
    return { done: false, retryAfterS: retryAfterOf(error) };
  }

  /** A socket on which a REGISTER gets no reply is dead, whatever the browser thinks of it. */
  #dropDeadSocket(error: PhoneError): void {
    if (error instanceof SipError && error.status === REQUEST_TIMEOUT) this.#dropSocket();
  }

  /** The reconnector opens the next one; a connection that is dead may take long to close. */
  #dropSocket(): void {
    this.#userAgent.transport.disconnect().catch(() => undefined);
  }

  /** A socket from before may still look open, on an address that this device has no more. */
  #networkBack(): void {
    const stale = this.#wasOffline && this.#userAgent.isConnected();
    this.#wasOffline = false;
    if (stale) this.#dropSocket();
    this.#reconnector.hurry();
  }

  #refreshed(error: PhoneError | undefined): void {
    if (this.#state !== "registered" || error === undefined) return;
    if (!mayPass(error)) {
      this.#signOut(signedOutError(error));
      return;
    }
    if (!this.#reconnects) {
      this.#giveUp(error);
      return;
    }
    this.#apply("registration_lost");
    this.#reconnector.start({ retryAfterS: retryAfterOf(error) });
    this.#dropDeadSocket(error);
  }

  /** The person has to sign in again; with the socket gone, no call can go on. */
  #signOut(error: SignedOutError): void {
    this.#registrationWanted = false;
    this.#stop("signed_out", error);
  }

  #giveUp(error: PhoneError | undefined): void {
    this.#stop("socket_given_up", error);
  }

  #stop(event: PhoneEvent, error: PhoneError | undefined): void {
    const before = this.#state;
    this.#reconnector.stop();
    this.#registration.abandon(error);
    this.#apply(event);
    if (error === undefined) return;
    if (!this.#userAgent.isConnected()) for (const call of this.calls) call.abandon(error);
    if (this.#state !== before) this.#events.emit("error", error);
  }

  #apply(event: PhoneEvent): void {
    const next = nextState(PHONE_TRANSITIONS, this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#events.emit("state", next);
  }
}

function retryAfterOf(error: PhoneError): number | undefined {
  return error instanceof SipError || error instanceof LoginError ? error.retryAfterS : undefined;
}

function signedOutError(cause: PhoneError): SignedOutError {
  if (cause instanceof SignedOutError) return cause;
  if (cause instanceof LoginError) return new SignedOutError("token", cause.message, { cause });
  return new SignedOutError("credentials", `the registration is refused: ${cause.message}`, { cause });
}

/** The call of a session, in whose `data` it made itself known. */
function callOf(session: Session): Call | undefined {
  return session.data instanceof Call ? session.data : undefined;
}

/** SIP.js asks for the media session of a call. */
function handlerOf(session: Session): ReturnType<Call["createHandler"]> {
  const call = callOf(session);
  if (call === undefined) throw new UsageError("no call for this session");
  return call.createHandler();
}
