// A page with our SDK as it is built: offers are one-way, that is how it works.
import { connect } from "../../../../webapp_api/static/dist/sdk.js";
import { heardHz, useTone } from "./media.js";

let phone = null;
let call = null;

function take(next) {
  call = next;
}

window.client = {
  async register({ user, password, toneHz }) {
    useTone(toneHz);
    phone = await connect({ configUrl: "/config.json", user, password });
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
  lines: () =>
    call.diagnostics().mediaLines.map((line) => `${line.kind} ${line.mid} ${line.direction}/${line.currentDirection}`),
  close: () => phone?.close(),
};
