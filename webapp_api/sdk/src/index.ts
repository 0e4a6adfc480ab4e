/** The public API of the SDK. What is not exported here may change at any time. */

export { Call } from "./call.ts";
export type { CallDiagnostics, CallEvents, FarVideo, Held, MediaLine } from "./call-types.ts";
export { CALL_END_CAUSES, type CallEnd, type CallEndCause } from "./call-end.ts";
export { CALL_STATES, type CallState } from "./call-state.ts";
export type { Caller, NumberVerification } from "./caller.ts";
export { fetchConfig, type LoginWays, type PhoneConfig, type PhoneConfigInput } from "./config.ts";
export {
  CallEndedError,
  ConfigError,
  IceError,
  LoginError,
  MediaPermissionError,
  OfferCrossedError,
  PhoneError,
  SessionDescriptionError,
  SignedOutError,
  SipError,
  SocketError,
  UsageError,
  type MediaFailure,
  type PhoneErrorKind,
  type SignedOutReason,
} from "./errors.ts";
export type { GatheredCandidate, ReflexiveAddress } from "./ice-gathering.ts";
export { IncomingCall } from "./incoming-call.ts";
export {
  currentLogin,
  login,
  loginAsGuest,
  logout,
  providerLoginUrl,
  type Login,
  type LoginMethod,
  type WebApiOptions,
} from "./login.ts";
export type { MediaRequest } from "./media.ts";
export type { MediaKind } from "./media-lines.ts";
export { OutgoingCall } from "./outgoing-call.ts";
export { mayPass } from "./passing.ts";
export { connect, Phone, type ConnectOptions, type Credentials, type PhoneEvents } from "./phone.ts";
export { PHONE_STATES, type PhoneState } from "./phone-state.ts";
export { DEFAULT_RECONNECT, type ReconnectSettings, type Wait } from "./reconnector.ts";
export type { Reason, Warning } from "./sip-headers.ts";
export type { SipMessage } from "./sip-message.ts";
export type { CallStats, InboundMedia, OutboundMedia } from "./stats.ts";
export { tokenSource, type AccessToken } from "./token-source.ts";
export type { TransferProgress, TransferRequest } from "./transfer.ts";
export { VERSION } from "./version.ts";
