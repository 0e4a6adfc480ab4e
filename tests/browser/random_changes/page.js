// A page that calls and is called by the SDK, with a fake microphone and camera; what the test asks of it.
window.sockets = [];
window.WebSocket = class extends window.WebSocket {
  constructor(...given) {
    super(...given);
    window.sockets.push(this);
  }
};

window.changes = {
  hold: (call) => call.hold(),
  resume: (call) => call.resume(),
  addVideo: (call) => call.addVideo(),
  removeVideo: (call) => call.removeVideo(),
  mute: (call) => call.mute("audio", true),
  unmute: (call) => call.mute("audio", false),
  hideVideo: (call) => call.mute("video", true),
  showVideo: (call) => call.mute("video", false),
  useMicrophone: (call) => call.useDevice("audio", {}),
  useCamera: (call) => call.useDevice("video", {}),
  sendDigits: (call) => call.sendDtmf("12"),
  loseSocket: async () => {
    window.sockets.at(-1).close();
    await new Promise((resolve) => setTimeout(resolve, 1500));
  },
};

window.change = async ([name, delayMs]) => {
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  try {
    await window.changes[name](window.call);
    return "";
  } catch (error) {
    return [error.kind ?? error.name, error.status, error.message].filter(Boolean).join(" ");
  }
};

window.begin = async ([user, password, oneWayStreams]) => {
  const { connect } = await import("/static/dist/sdk.js");
  window.phone = await connect({ configUrl: "/config.json", user, password, oneWayStreams });
  window.phone.on("call", (call) => (window.call = call));
  await window.phone.register();
};

window.state = () => {
  const { state, held, sendsVideo, recovering, end } = window.call;
  const [muted, hidden] = [window.call.muted("audio"), window.call.muted("video")];
  const why = end && `${end.cause} ${end.error ?? ""}`;
  return { state, held, sendsVideo, recovering, muted, hidden, why, phone: window.phone.state };
};

// The loudest sample of the far side, and how many of its pictures are not black, within so many milliseconds.
window.perceive = async (ms) => {
  const stream = window.call.remoteStream;
  window.ear ??= new AudioContext();
  const ears = stream.getAudioTracks().map((track) => {
    // Chromium gives scripts no sound of a far side's track that nothing plays.
    Object.assign(new Audio(), { srcObject: new MediaStream([track]), muted: true }).play().catch(() => undefined);
    const analyser = new AnalyserNode(window.ear, { fftSize: 2048 });
    window.ear.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    return analyser;
  });
  let pictures = 0;
  const canvas = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const eyes = stream.getVideoTracks().map((track) => {
    const video = Object.assign(document.createElement("video"), { srcObject: new MediaStream([track]), muted: true });
    const look = () => {
      canvas.drawImage(video, 0, 0, 16, 16);
      const bright = canvas.getImageData(0, 0, 16, 16).data.reduce((sum, value, at) => (at % 4 === 3 ? sum : sum + value), 0);
      if (bright / 768 > 20) pictures += 1;
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    video.play().catch(() => undefined);
    return video;
  });
  let loudest = 0;
  const samples = new Float32Array(2048);
  for (const end = performance.now() + ms; performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const ear of ears) {
      ear.getFloatTimeDomainData(samples);
      for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
    }
  }
  for (const eye of eyes) eye.srcObject = null;
  return { loudest, pictures };
};
