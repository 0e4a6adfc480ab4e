/**
 * Transfers: asking the far side to call somebody else (REFER, RFC 3515, RFC 5589), and being asked. Knows REFER, NOTIFY
 * and Replaces; knows nothing of media.
 */

import type { MediaRequest } from "./media.ts";
import { CallEndedError, SipError, UsageError, type PhoneError } from "./errors.ts";
import { ALLOW_HEADER } from "./sip-headers.ts";
import { errorFromResponse } from "./sip-response.ts";
import type { IncomingResponse, Notification, Referral, SessionDialog, URI } from "./sipjs.ts";

const DECLINE = 603;
/** How long the far side may say nothing of a transfer that it took, seconds: longer than telephones ring. */
const MOST_SILENT_S = 240;

/** What the far side says about the call it makes for us. */
export interface TransferProgress {
  /** Status of its INVITE: 100, 180, 200, 486 … */
  readonly status: number;
  readonly reasonPhrase: string;
  /** Nothing more follows. */
  readonly final: boolean;
}

/** The far side asks this side to call somebody else. Nothing happens until `accept` or `refuse`. */
export interface TransferRequest<Call = unknown> {
  /** The SIP URI to call. */
  readonly target: string;
  /** Who asks, as they say themselves (RFC 3892). */
  readonly referredBy: string | undefined;
  /** The new call takes the place of one that the target has (RFC 3891). */
  readonly attended: boolean;
  /** Make the call; the far side is told how it goes, and hangs up this one when it is answered. */
  accept(media?: MediaRequest): Call;
  refuse(): void;
}

/** Status and reason of a message/sipfrag body (RFC 3420); undefined when it has no status line. */
export function statusFromSipfrag(body: string): { status: number; reasonPhrase: string } | undefined {
  const [, status, reasonPhrase = ""] = /^SIP\/2\.0 (\d{3})(?: ([^\r\n]*))?/.exec(body) ?? [];
  return status === undefined ? undefined : { status: Number(status), reasonPhrase };
}

/**
 * Refer-To for a call that takes the place of the one in `dialog`, as seen from its far side. It goes to their address:
 * the Contact is the gateway's, which nobody else can reach; of several devices only one has the dialog (RFC 5589 §7.3).
 * @internal
 */
export function referToWithReplaces(dialog: SessionDialog): string {
  const replaces = `${dialog.callId};to-tag=${dialog.remoteTag};from-tag=${dialog.localTag}`;
  return `<${withPlainNumber(dialog.remoteURI)}?Replaces=${encodeURIComponent(replaces)}>`;
}

/** Without what the network has said of a number (verstat, cpc, rn: RFC 3966 §3), which SIP.js would escape. */
function withPlainNumber(uri: URI): string {
  const [number = "", ...parameters] = (uri.user ?? "").split(";");
  const plain = uri.clone();
  plain.user = number;
  const own = parameters.filter((parameter) => /^(phone-context|ext|isub)=/i.test(parameter));
  return plain.toString().replace("@", [...own.map((parameter) => `;${parameter}`), "@"].join(""));
}

/** @internal */
export interface TransferOptions {
  readonly dialog: SessionDialog;
  /** A name-addr. */
  readonly referTo: string;
  /** Our own address and Contact. */
  readonly referredBy: string;
  readonly contact: string;
  readonly onProgress: (progress: TransferProgress) => void;
}

/** One transfer that this side asked for. @internal */
export class Transfer {
  /** The CSeq of its REFER, which NOTIFYs may name it by (RFC 3515 §2.4.6). */
  readonly cseq: number;
  /** Resolves when the target has answered the far side; rejects with SipError when it has not. */
  readonly done: Promise<void>;
  #accepted = false;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #settle: { readonly resolve: () => void; readonly reject: (error: PhoneError) => void } | undefined;

  constructor(options: TransferOptions) {
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#onProgress = options.onProgress;
    const refused = ({ message }: IncomingResponse): void => {
      // The 408 that SIP.js makes up has no Via: where the far side tells how it goes, only its 202 was lost.
      if (!this.#accepted || message.hasHeader("via")) this.#end(errorFromResponse("REFER", message));
    };
    const accepted = (): void => {
      this.#accepted = true;
      this.#wait(MOST_SILENT_S);
    };
    const { message } = options.dialog.refer(
      { onAccept: accepted, onReject: refused, onRedirect: refused },
      {
        extraHeaders: [
          `Refer-To: ${options.referTo}`,
          `Referred-By: <${options.referredBy}>`,
          `Contact: ${options.contact}`,
          ALLOW_HEADER,
        ],
      },
    );
    this.cseq = message.cseq;
  }

  readonly #onProgress: (progress: TransferProgress) => void;

  get over(): boolean {
    return this.#settle === undefined;
  }

  /** A NOTIFY in the dialog; RFC 3515 lets it come before the 202. */
  notified({ request }: Notification): void {
    if (this.over) return;
    this.#accepted = true;
    const told = statusFromSipfrag(request.body);
    const subscription = request.getHeader("subscription-state") ?? "";
    const terminated = /^\s*terminated\b/i.test(subscription);
    const expiresS = Number(/;\s*expires\s*=\s*(\d+)/i.exec(subscription)?.[1] ?? MOST_SILENT_S);
    this.#wait(Math.min(expiresS, MOST_SILENT_S));
    if (told !== undefined) this.#onProgress({ ...told, final: told.status >= 200 });
    if (told !== undefined && told.status >= 300) this.#end(new SipError({ method: "REFER", ...told }));
    // A subscription that ends without a final status leaves open how it went: the far side is on its own.
    else if (terminated || (told !== undefined && told.status >= 200)) this.#end(undefined);
  }

  /** The call is over; a far side that took the transfer may hang up before it says how it went. */
  callEnded(byFarSide: boolean): void {
    this.#end(byFarSide && this.#accepted ? undefined : new CallEndedError("the call ended before the transfer"));
  }

  /** Nothing follows when the subscription is over (RFC 6665 §4.1.2): the last NOTIFY may be lost. */
  #wait(seconds: number): void {
    clearTimeout(this.#silence);
    if (this.over) return;
    const unknown = { method: "REFER", status: 408, reasonPhrase: "The far side does not say how the transfer went" };
    this.#silence = setTimeout(() => this.#end(new SipError(unknown)), seconds * 1000);
  }

  #end(error: PhoneError | undefined): void {
    clearTimeout(this.#silence);
    const settle = this.#settle;
    this.#settle = undefined;
    if (error === undefined) settle?.resolve();
    else settle?.reject(error);
  }
}

/** What a call made for somebody else tells. */
interface TransferredCall {
  readonly end: { readonly cause: string; readonly error?: PhoneError } | undefined;
  on(name: "state", listener: (state: string) => void): () => void;
  on(name: "end", listener: () => void): () => void;
}

/** Answer a REFER with 202, and make of it a request that the application decides on (RFC 3515 §2.4.4). @internal */
export function transferRequestFrom<Call extends TransferredCall>(
  referral: Referral,
  options: {
    readonly dialog: () => SessionDialog | undefined;
    readonly contact: string;
    /** Whether it is the first REFER of its dialog: NOTIFYs of all others have to say whose they are. */
    readonly first: boolean;
    readonly call: (uri: string, headers: readonly string[], media: MediaRequest) => Call;
  },
): TransferRequest<Call> | undefined {
  let target: string;
  try {
    const uri = referral.referTo.uri.clone();
    uri.clearHeaders();
    const method = uri.deleteParam("method") ?? "INVITE"; // not to be dialled (RFC 3261 §19.1.5)
    target = method.toUpperCase() === "INVITE" ? uri.toString() : "";
  } catch {
    target = "";
  }
  if (!/^sip:/i.test(target)) {
    void referral.reject({ statusCode: 400 });
    return undefined;
  }
  void referral.accept();
  let decided = false;
  const notify = (status: number, reasonPhrase: string): void => {
    const over = status >= 200;
    try {
      options.dialog()?.notify(undefined, {
        extraHeaders: [
          `Event: refer${options.first ? "" : `;id=${referral.request.cseq}`}`,
          `Subscription-State: ${over ? "terminated;reason=noresource" : "active;expires=180"}`,
          `Contact: ${options.contact}`,
        ],
        body: {
          contentDisposition: "render",
          contentType: "message/sipfrag;version=2.0",
          content: `SIP/2.0 ${status} ${reasonPhrase}\r\n`,
        },
      });
    } catch {
      // The call with the one who asked is over; nobody wants to know.
    }
  };
  const decide = (): void => {
    if (decided) throw new UsageError("the transfer is decided already");
    decided = true;
  };
  const { replaces, referredBy } = referral;
  notify(100, "Trying");
  return {
    target,
    referredBy,
    attended: replaces !== undefined,
    accept(media = {}) {
      decide();
      const headers = [
        ...(replaces === undefined ? [] : [`Replaces: ${decodeURIComponent(replaces)}`]),
        ...(referredBy === undefined ? [] : [`Referred-By: ${referredBy}`]),
      ];
      const call = options.call(target, headers, media);
      let told = 100;
      const tell = (status: number, reasonPhrase: string): void => {
        if (told >= 200 || status <= told) return;
        told = status;
        notify(status, reasonPhrase);
      };
      call.on("state", (state) => {
        if (state === "ringing") tell(180, "Ringing");
        if (state === "established") tell(200, "OK");
      });
      call.on("end", () => {
        const error = call.end?.error;
        if (error instanceof SipError) tell(error.status, error.reasonPhrase);
        else tell(487, "Request Terminated");
      });
      return call;
    },
    refuse() {
      decide();
      notify(DECLINE, "Decline");
    },
  };
}
