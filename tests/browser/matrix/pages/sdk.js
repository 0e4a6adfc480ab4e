// A page with our SDK as it is built: offers are one-way, that is how it works.
import { connect } from "../../../../webapp_api/static/dist/sdk.js";
import { heardHz, pictureSize, useTone } from "./media.js";

const RESTART_MS = 15000;
let phone = null;
let call = null;
let connection = null;
const sockets = [];

function take(next) {
  call = next;
}

/** Let the page reach what the browser has for it: its sockets, and its connection, which offers in these groups. */
function follow(groups) {
  const { RTCPeerConnection, WebSocket } = window;
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) {
      super(...given);
      connection = this;
    }
    async createOffer(...given) {
      const { type, sdp } = await super.createOffer(...given);
      return { type, sdp: this.remoteDescription === null ? GROUPED[groups](sdp) : sdp };
    }
  };
}

/** How a page may bundle the lines of its first offer (RFC 9143): as the browser does, each kind apart, not at all. */
const GROUPED = {
  browser: (sdp) => sdp,
  kinds: (sdp) => {
    const mids = { audio: [], video: [] };
    for (const [, kind, mid] of sdp.matchAll(/^m=(audio|video) [^]*?^a=mid:(\S+)/gm)) mids[kind].push(mid);
    const lines = Object.values(mids).filter((group) => group.length > 0);
    return sdp.replace(/^a=group:BUNDLE.*\r\n/m, lines.map((group) => `a=group:BUNDLE ${group.join(" ")}\r\n`).join(""));
  },
  none: (sdp) => sdp.replace(/^a=group:BUNDLE.*\r\n/gm, ""),
};

const ufrag = () => /^a=ice-ufrag:(\S+)/m.exec(connection.currentLocalDescription.sdp)[1];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

window.client = {
  async register({ user, password, toneHz, turned = false, oneWayStreams = true, groups = "browser" }) {
    follow(groups);
    useTone(toneHz, turned);
    phone = await connect({ configUrl: "/config.json", user, password, oneWayStreams });
    phone.on("call", take);
    await phone.register();
  },
  call: ({ target, video }) => take(phone.call(target, { audio: true, video })),
  answer: ({ video }) => call.answer({ audio: true, video }),
  hangup: () => call.hangup(),
  state: () => {
    if (call === null) return "idle";
    if (call.state === "ended") return `ended: ${call.end.by} ${call.end.cause} ${call.end.error ?? ""}`;
    return { alerting: "ringing", established: "established" }[call.state] ?? "calling";
  },
  heardHz: () => heardHz(call.remoteStream.getAudioTracks()[0] ?? null),
  async frames() {
    const video = (await call.stats()).inbound.filter(({ kind }) => kind === "video");
    return video.reduce((sum, { framesDecoded }) => sum + (framesDecoded ?? 0), 0);
  },
  pictureSize: () => pictureSize(call.remoteStream.getVideoTracks()[0]),
  lines: () =>
    call.diagnostics().mediaLines.map((line) => `${line.kind} ${line.mid} ${line.direction}/${line.currentDirection}`),
  hold: () => call.hold(),
  resume: () => call.resume(),
  showCamera: () => call.addVideo(),
  stopCamera: () => call.removeVideo(),
  /** The SDK restarts ICE when its socket was lost; done when that is agreed. */
  async restartIce() {
    const before = ufrag();
    sockets.at(-1).close();
    const deadline = performance.now() + RESTART_MS;
    while (ufrag() === before || call.recovering) {
      if (performance.now() > deadline) throw new Error(`no ICE restart; the call is ${call.state}`);
      await pause(20);
    }
  },
  /** How many transports carry the lines, and which lines share one. */
  transports() {
    const lines = connection.getTransceivers().filter(({ currentDirection }) => currentDirection !== "stopped");
    return new Set(lines.map(({ sender }) => sender.transport)).size;
  },
  /** Whether the gateway has told the page that nobody takes its pictures: port 0 (RFC 3264 §6). */
  cameraRefused: () => /^m=video 0 /m.test(connection.currentRemoteDescription?.sdp ?? ""),
  groups: () => [...connection.remoteDescription.sdp.matchAll(/^a=group:BUNDLE (.*)\r$/gm)].map(([, mids]) => mids),
  close: () => phone?.close(),
};
