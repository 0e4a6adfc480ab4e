/** What a call tells about itself, and what it stands on. */

import type { DtmfKey } from "./dtmf.ts";
import type { CallEnd } from "./call-end.ts";
import type { Caller } from "./caller.ts";
import type { CallState } from "./call-state.ts";
import type { PhoneConfig } from "./config.ts";
import type { Farewells } from "./farewells.ts";
import type { GatheredCandidate, ReflexiveAddress } from "./ice-gathering.ts";
import type { MediaRequest } from "./media.ts";
import type { MediaKind } from "./media-lines.ts";
import type { OutgoingCall } from "./outgoing-call.ts";
import type { UserAgent } from "./sipjs.ts";
import type { TransferProgress, TransferRequest } from "./transfer.ts";
import type { UpdateSupport } from "./update-support.ts";

/** Who holds the call; both may. */
export interface Held {
  /** This side: nothing is received, and silence is sent. */
  readonly local: boolean;
  /** The far side: it takes nothing of what this side sends. */
  readonly remote: boolean;
}

export interface CallEvents {
  /** The call is in another state. */
  state: CallState;
  /** A track of the far side was added to remoteStream. */
  remoteTrack: MediaStreamTrack;
  /** The gateway changed the media with an UPDATE, and the page agreed. */
  update: { readonly count: number };
  /** Offer and answer are agreed: lines have come, gone, or turned. */
  media: readonly MediaLine[];
  /** One side holds the call, or takes it back. */
  hold: Held;
  /** The far side added video, and this side sends none: ask the person, then `addVideo`. */
  videoOffered: undefined;
  /** The microphone or camera went away: nothing of this kind is sent until `useDevice` names another one. */
  deviceLost: MediaKind;
  /** The way for media is broken and being repaired; then it is back. */
  recovering: boolean;
  /** The far side pressed a key. A secret, as what this side sends: not for logs. */
  dtmf: DtmfKey;
  /** How far a transfer that this side asked for has come. */
  transfer: TransferProgress;
  /** The far side asks this side to call somebody else. Without a listener it is refused (603). */
  transferRequest: TransferRequest<OutgoingCall>;
  /** The network says who is at the far side: who has answered, or takes their place, as after a transfer. */
  farEnd: Caller;
  /** The call is over; comes after the last `state`. */
  end: CallEnd;
}

/** Video that the far side adds: shown without being asked for, or refused. Ours is never sent by itself. */
export type FarVideo = "receive" | "refuse";

export interface MediaLine {
  readonly mid: string | null;
  readonly kind: string;
  readonly direction: RTCRtpTransceiverDirection;
  readonly currentDirection: RTCRtpTransceiverDirection | null;
}

export interface CallDiagnostics {
  readonly callId: string | undefined;
  /** Every state the call has been in, with milliseconds since the call began. */
  readonly states: readonly { readonly state: CallState; readonly atMs: number }[];
  /** The page's address as the gateway's STUN server sees it. */
  readonly reflexiveAddress: ReflexiveAddress | undefined;
  readonly candidates: readonly GatheredCandidate[];
  readonly gatheringMs: number | undefined;
  readonly connectionState: RTCPeerConnectionState | undefined;
  readonly iceConnectionState: RTCIceConnectionState | undefined;
  /** UPDATEs with an offer that were answered. */
  readonly updates: number;
  readonly mediaLines: readonly MediaLine[];
}

/** What a call stands on. @internal */
export interface CallDependencies {
  readonly userAgent: UserAgent;
  readonly updateSupport: UpdateSupport;
  readonly config: PhoneConfig;
  readonly farewells: Farewells;
  /** Whether this side's own lines go one way. */
  readonly oneWayStreams: boolean;
  /** What becomes of video that the far side adds. */
  readonly farVideo: FarVideo;
  /** The gateway does not react on this socket. */
  readonly onNoReply: () => void;
  /** Make the call that the far side asks for. */
  readonly callTransferTarget: (uri: string, headers: readonly string[], media: MediaRequest) => OutgoingCall;
}


