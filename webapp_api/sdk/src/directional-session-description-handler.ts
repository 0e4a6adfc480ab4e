/**
 * The handler of calls that the page makes: its first offer is one-way. The stock handler rewrites sendonly to
 * sendrecv. Knows the direction of m-lines and nothing else.
 */

import { MediaSessionDescriptionHandler } from "./media-session-description-handler.ts";
import { directionsByMid, sends } from "./sdp.ts";

export class DirectionalSessionDescriptionHandler extends MediaSessionDescriptionHandler {
  /** First offer: our tracks go one way. Answer: take what is offered, keep sending where we send (RFC 3264 §6.1). */
  protected override async updateDirection(): Promise<void> {
    const connection = this.peerConnection;
    if (connection === undefined) throw new Error("the call is over");
    if (connection.signalingState === "stable") {
      for (const transceiver of connection.getTransceivers()) {
        if (transceiver.mid === null && transceiver.sender.track !== null) transceiver.direction = "sendonly";
      }
      return;
    }
    if (connection.signalingState !== "have-remote-offer") {
      throw new Error(`no direction can be set in signaling state ${connection.signalingState}`);
    }
    const offered = directionsByMid(connection.remoteDescription?.sdp ?? "");
    for (const transceiver of connection.getTransceivers()) {
      if (transceiver.mid === null || !sends(offered.get(transceiver.mid))) continue;
      if (transceiver.direction === "sendonly") transceiver.direction = "sendrecv";
      if (transceiver.direction === "inactive") transceiver.direction = "recvonly";
    }
  }
}
