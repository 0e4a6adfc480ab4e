// What the pages of all libraries do with media: a tone as voice, an ear, counted pictures, lines of one direction.

const CAMERA = { width: 352, height: 288 };
const EAR_MS = 400;
const EAR_RATE_HZ = 16000;
const SILENCE = 0.003;
let sink = null;

/** Let the microphone be a tone, where the browser's own fake microphone is none; and the camera be held upright. */
export function useTone(toneHz, turned = false) {
  const devices = navigator.mediaDevices;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async ({ audio, video }) => {
    const stream = video && !turned ? await real({ video: CAMERA }) : new MediaStream();
    if (video && turned) stream.addTrack(turnedTrack());
    if (audio) stream.addTrack(toneHz === null ? (await real({ audio })).getTracks()[0] : toneTrack(toneHz));
    return stream;
  };
}

function toneTrack(toneHz) {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: toneHz });
  const volume = new GainNode(context, { gain: 0.3 });
  const destination = context.createMediaStreamDestination();
  oscillator.connect(volume).connect(destination);
  oscillator.start();
  return destination.stream.getAudioTracks()[0];
}

/** A camera whose pictures are to be turned by a quarter, as a phone's is that is held upright. Chromium only. */
function turnedTrack() {
  const canvas = new OffscreenCanvas(CAMERA.width, CAMERA.height);
  const context = canvas.getContext("2d");
  const track = new MediaStreamTrackGenerator({ kind: "video" });
  const writer = track.writable.getWriter();
  let number = 0;
  const timer = setInterval(() => {
    if (track.readyState === "ended") return clearInterval(timer);
    context.fillStyle = `hsl(${(number * 7) % 360} 80% 50%)`;
    context.fillRect((number * 5) % CAMERA.width, 0, 60, CAMERA.height);
    number += 1;
    void writer.write(new VideoFrame(canvas, { timestamp: performance.now() * 1000, rotation: 90 }));
  }, 66);
  return track;
}

/** Width and height of the far side's picture as it is shown. */
export async function pictureSize(track) {
  const screen = document.createElement("video");
  screen.muted = true;
  screen.srcObject = new MediaStream([track]);
  const shown = new Promise((resolve) => screen.requestVideoFrameCallback(resolve));
  void screen.play();
  await shown;
  const size = [screen.videoWidth, screen.videoHeight];
  screen.srcObject = null;
  return size;
}

/** The track of that kind on which the far side sends. */
export function receivingTrack(connection, kind) {
  const line = connection
    ?.getTransceivers()
    .find(({ receiver, currentDirection }) => receiver.track.kind === kind && currentDirection?.includes("recv"));
  return line?.receiver.track ?? null;
}

/** The strongest frequency of a track, 0 for silence. An AudioContext would do, but Firefox runs none without a device. */
export async function heardHz(track) {
  if (track === null || track.readyState !== "live") return 0;
  const stream = new MediaStream([track]);
  if (sink?.srcObject?.getTracks()[0] !== track) {
    sink = new Audio(); // Chromium decodes only what an element plays
    sink.muted = true;
    sink.srcObject = stream;
    void sink.play();
  }
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, EAR_MS));
  if (recorder.state !== "inactive") recorder.stop();
  await stopped;
  const recorded = await new Blob(parts).arrayBuffer();
  const decoder = new OfflineAudioContext(1, EAR_RATE_HZ, EAR_RATE_HZ);
  const sound = await decoder.decodeAudioData(recorded).catch(() => null);
  return sound === null ? 0 : strongest(sound.getChannelData(0).slice(-EAR_RATE_HZ / 5));
}

function strongest(samples) {
  let best = { hz: 0, level: 0 };
  for (let hz = 200; hz <= 1500; hz += 5) {
    let real = 0;
    let imaginary = 0;
    const step = (2 * Math.PI * hz) / EAR_RATE_HZ;
    samples.forEach((sample, index) => {
      real += sample * Math.cos(step * index);
      imaginary += sample * Math.sin(step * index);
    });
    const level = (2 * Math.hypot(real, imaginary)) / samples.length;
    if (level > best.level) best = { hz, level };
  }
  return best.level > SILENCE ? best.hz : 0;
}

/** Pictures of the far side that the browser decoded. */
export async function framesDecoded(connection) {
  let frames = 0;
  for (const line of (await connection?.getStats())?.values() ?? []) {
    if (line.type === "inbound-rtp" && line.kind === "video") frames += line.framesDecoded ?? 0;
  }
  return frames;
}

/** By what our side of ICE is known: another one after each restart. */
export const iceFragment = (connection) => /^a=ice-ufrag:(.*)$/m.exec(connection.localDescription.sdp)[1].trim();

/** What the connection looks like, for a failed test. */
export function lines(connection) {
  return (connection?.getTransceivers() ?? []).map(
    ({ mid, receiver, direction, currentDirection }) =>
      `${receiver.track.kind} ${mid} ${direction}/${currentDirection}`,
  );
}
