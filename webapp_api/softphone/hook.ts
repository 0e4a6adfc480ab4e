/** What browser tests (and the curious) may use: public SDK objects, and the stream for the next call. */

import type { Call, Phone } from "../sdk/src/index.ts";

export interface SoftphoneHook {
  /** The phone that is signed in. */
  phone: Phone | undefined;
  /** The running call, or the last one. */
  call: Call | undefined;
  /** Set it to call with this stream instead of microphone and camera. */
  streams: MediaStream | undefined;
}

declare global {
  interface Window {
    softphone: SoftphoneHook;
  }
}

export const hook: SoftphoneHook = { phone: undefined, call: undefined, streams: undefined };
window.softphone = hook;
