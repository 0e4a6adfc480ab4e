// A page with JsSIP as it is.
import JsSIP from "jssip";
import { framesDecoded, heardHz, iceFragment, lines, receivingTrack, useTone } from "./media.js";

const DIRECTIONS = {
  "one-way": ["sendonly"],
  split: ["sendonly", "recvonly"],
  "listening-first": ["recvonly", "sendonly"],
};

let userAgent = null;
let session = null;
let end = null;
let pcConfig = null;

function take(next) {
  session = next;
  end = null;
  const ended = ({ originator, cause, message }) =>
    (end ??= `${originator} ${cause} ${message?.status_code ?? ""} ${message?.getHeader?.("Warning") ?? ""}`);
  session.on("failed", ended);
  session.on("ended", ended);
}

/** Transceivers that the page makes itself; JsSIP then offers what is there. */
async function ownLines(shape, video) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
  return ({ peerconnection }) => {
    for (const track of stream.getTracks()) {
      for (const direction of DIRECTIONS[shape]) {
        const sends = direction === "sendonly";
        peerconnection.addTransceiver(sends ? track : track.kind, { direction, streams: sends ? [stream] : [] });
      }
    }
  };
}

/** Wait until what JsSIP begins is answered. */
const changed = (begin) =>
  new Promise((done, failed) => begin(done) === false && failed(new Error("JsSIP is not ready for it")));

window.client = {
  async register({ server, user, realm, password, toneHz, bundlePolicy }) {
    useTone(toneHz);
    pcConfig = { iceServers: [], bundlePolicy };
    userAgent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(server)],
      uri: `sip:${user}@${realm}`,
      authorization_user: `${user}@${realm}`,
      password,
    });
    userAgent.on("newRTCSession", ({ originator, session: next }) => originator === "remote" && take(next));
    await new Promise((registered, failed) => {
      userAgent.on("registered", registered);
      userAgent.on("registrationFailed", ({ cause }) => failed(new Error(cause)));
      userAgent.start();
    });
  },
  async call({ target, video, shape }) {
    const own = shape === "two-way" ? null : await ownLines(shape, video);
    const mediaConstraints = own === null ? { audio: true, video } : { audio: false, video: false };
    take(userAgent.call(target, { mediaConstraints, pcConfig, eventHandlers: own && { peerconnection: own } }));
  },
  answer: ({ video }) => session.answer({ mediaConstraints: { audio: true, video }, pcConfig }),
  hangup: () => session.terminate(),
  state: () => {
    if (session === null) return "idle";
    if (end !== null) return `ended: ${end}`;
    if (session.isEstablished()) return "established";
    return session.direction === "outgoing" ? "calling" : "ringing";
  },
  heardHz: () => heardHz(receivingTrack(session.connection, "audio")),
  frames: () => framesDecoded(session.connection),
  lines: () => lines(session.connection),
  hold: () => changed((done) => session.hold({}, done)),
  resume: () => changed((done) => session.unhold({}, done)),
  restartIce: () => changed((done) => session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, done)),
  async showCamera() {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    session.connection.addTrack(stream.getVideoTracks()[0], stream);
    await changed((done) => session.renegotiate({}, done));
  },
  async stopCamera() {
    const lines = session.connection.getTransceivers();
    for (const line of lines) if (line.receiver.track.kind === "video") line.stop();
    await changed((done) => session.renegotiate({}, done));
  },
  /** JsSIP notices, connects again after a while and registers. */
  loseConnection: () => new Promise((done) => (userAgent.once("registered", done), userAgent.transport.socket._ws.close())),
  iceFragment: () => iceFragment(session.connection),
  close: () => userAgent?.stop(),
};
