/** What a listener for SIP messages is told. */

/** One SIP message, as it is on the wire: with credentials, tokens and digits. */
export interface SipMessage {
  /** false: it came. */
  readonly sent: boolean;
  readonly text: string;
}
