// A page with stock SIP.js and nothing of ours: registers, answers with a tone, and tells what it hears.
import { Registerer, RegistererState, SIPExtension, UserAgent } from "sip.js";

const log = [];
let analyser = null;
let answers = true;
let userAgent = null;

function voice(toneHz) {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: toneHz });
  const destination = context.createMediaStreamDestination();
  oscillator.connect(destination);
  oscillator.start();
  return destination.stream;
}

function listen(track) {
  const stream = new MediaStream([track]);
  const sink = new Audio(); // Chromium decodes only what an element plays
  sink.muted = true;
  sink.srcObject = stream;
  void sink.play();
  const context = new AudioContext();
  analyser = new AnalyserNode(context, { fftSize: 16384 });
  context.createMediaStreamSource(stream).connect(analyser);
}

function heardHz() {
  if (analyser === null) return 0;
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const loudest = levels.reduce((best, level, bin) => (bin > 2 && level > levels[best] ? bin : best), 3);
  return levels[loudest] < -80 ? 0 : (loudest * analyser.context.sampleRate) / analyser.fftSize;
}

async function take(invitation) {
  log.push("invite");
  invitation.delegate = {
    onCancel: () => log.push("cancelled"),
    onBye: async (bye) => {
      log.push("bye");
      await bye.accept();
    },
  };
  await invitation.progress();
  if (!answers) return;
  await invitation.accept();
  const { peerConnection } = invitation.sessionDescriptionHandler;
  listen(peerConnection.getReceivers().find(({ track }) => track.kind === "audio").track);
  log.push("answered");
}

async function start(server, name, realm, password, reliable) {
  navigator.mediaDevices.getUserMedia = async () => voice(1000);
  userAgent = new UserAgent({
    uri: UserAgent.makeURI(`sip:${name}@${realm}`),
    transportOptions: { server },
    authorizationUsername: `${name}@${realm}`,
    authorizationPassword: password,
    sipExtension100rel: reliable ? SIPExtension.Supported : SIPExtension.Unsupported,
    delegate: { onInvite: (invitation) => void take(invitation).catch((error) => log.push(String(error))) },
  });
  await userAgent.start();
  const registerer = new Registerer(userAgent);
  await new Promise((registered, failed) => {
    registerer.stateChange.addListener((state) =>
      state === RegistererState.Registered ? registered() : failed(new Error(state)),
    );
    void registerer.register();
  });
}

window.stock = {
  start,
  heardHz,
  log: () => log.splice(0),
  onlyRing: () => (answers = false),
  stop: () => userAgent?.stop(),
};
