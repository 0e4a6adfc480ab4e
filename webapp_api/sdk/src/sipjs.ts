/**
 * The parts of SIP.js this SDK stands on, by file: its root module packs Core and Web into objects, which no bundler
 * can thin out. SIP.js is pinned exactly; these are all of its names that we use.
 */

export { Inviter, Registerer, RegistererState, SessionState, SIPExtension, UserAgent } from "sip.js/lib/api/index.js";
export type {
  Invitation,
  Notification,
  Referral,
  Session,
  SessionDelegate,
  SessionDescriptionHandler,
  UserAgentOptions,
} from "sip.js/lib/api/index.js";
export {
  Dialog,
  getBody,
  IncomingRequestMessage,
  NameAddrHeader,
  NonInviteServerTransaction,
  Parser,
  SessionDialog,
  SignalingState,
  URI,
  UserAgentServer,
} from "sip.js/lib/core/index.js";
export type {
  AckableIncomingResponseWithSession,
  Body,
  IncomingResponse,
  IncomingResponseMessage,
  Logger,
  OutgoingInviteRequest,
  UserAgentCore,
} from "sip.js/lib/core/index.js";
