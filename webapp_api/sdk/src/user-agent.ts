/** How SIP.js is set up for a phone: identity, credentials, transport, and nothing in the console. */

import { UsageError } from "./errors.ts";
import type { SipMessage } from "./sip-message.ts";
import { SIPExtension, UserAgent, type Invitation, type UserAgentOptions } from "./sipjs.ts";
import { VERSION } from "./version.ts";

/** What the transport of SIP.js logs before each message: it tells of them nowhere else. */
const LOGGED_MESSAGE = /^(Sending|Received) WebSocket .*:\n\n/;
const SOCKET_TIMEOUT_S = 5;
/** The network decides when to stop ringing; this only ends what it forgot (RFC 3261 §16.6, timer C). */
const LONGEST_RING_S = 200;
/**
 * Names this page to the registrar (RFC 5626 §4.1) for as long as it is loaded: a reload is a new instance, because the
 * calls of the page are gone with it. Empty where the browser makes no UUIDs (no https): SIP.js then makes its own.
 */
const INSTANCE_ID = globalThis.crypto?.randomUUID?.() ?? "";

export interface UserAgentSetup {
  /** SIP URI that is registered */
  readonly address: string;
  readonly wssUrl: string;
  readonly credentials: {
    readonly authorizationUser?: string;
    readonly password?: string;
    readonly displayName?: string;
  };
  readonly sessionDescriptionHandlerFactory: NonNullable<UserAgentOptions["sessionDescriptionHandlerFactory"]>;
  readonly onDisconnect: (cause: Error | undefined) => void;
  readonly onInvite: (invitation: Invitation) => void;
  readonly onMessage: (message: SipMessage) => void;
  /** what tests put in the place of the network */
  readonly parts: UserAgentOptions;
}

/** A user agent that is not started yet; UsageError when the address is none. */
export function createUserAgent(setup: UserAgentSetup): UserAgent {
  const { address, credentials } = setup;
  const uri = UserAgent.makeURI(address);
  if (uri === undefined) throw new UsageError(`"${address}" is not a user name`);
  return new UserAgent({
    uri,
    authorizationUsername: credentials.authorizationUser ?? `${uri.user ?? ""}@${uri.host}`,
    authorizationPassword: credentials.password ?? "",
    displayName: credentials.displayName ?? "",
    instanceId: INSTANCE_ID,
    userAgentString: `webrtc-ims-sdk/${VERSION}`,
    sipExtension100rel: SIPExtension.Supported,
    sipExtensionReplaces: SIPExtension.Supported,
    sendInitialProvisionalResponse: false,
    noAnswerTimeout: LONGEST_RING_S,
    // SIP.js would write requests with credentials and DTMF digits to the console.
    logBuiltinEnabled: false,
    logConfiguration: false,
    logConnector: (_level, _category, _label, content) => {
      const found = LOGGED_MESSAGE.exec(content);
      if (found !== null) setup.onMessage({ sent: found[1] === "Sending", text: content.slice(found[0].length, -1) });
    },
    transportOptions: { server: setup.wssUrl, connectionTimeout: SOCKET_TIMEOUT_S, traceSip: true },
    sessionDescriptionHandlerFactory: setup.sessionDescriptionHandlerFactory,
    delegate: { onDisconnect: setup.onDisconnect, onInvite: setup.onInvite },
    ...setup.parts,
  });
}
