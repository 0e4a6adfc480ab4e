/** The card of the call the person talks in. Uses the SDK's public API only. */

import { PhoneError, type Call, type CallState } from "../sdk/src/index.ts";
import { showBanner, showError } from "./banners.ts";
import { actOn, initCallActions, showActions } from "./call-actions.ts";
import { chosenDevice, wishedDevice, type DeviceKind } from "./devices.ts";
import { button, element } from "./dom.ts";
import { buildKeypad, flashKey } from "./keypad.ts";
import { LevelMeter } from "./level-meter.ts";
import { copyDiagnostics, initQualityLine, stopQuality, watchQuality } from "./quality-line.ts";
import { initPictureInPicture, offerPictureInPicture } from "./picture-in-picture.ts";
import { playKey } from "./ring-tone.ts";
import { ringBack } from "./ringback.ts";
import { keepAwake } from "./wake-lock.ts";

const STATE_TEXT: Readonly<Record<CallState, string>> = {
  preparing: "Waiting for microphone…",
  dialling: "Calling…",
  connecting: "Connecting…",
  ringing: "Ringing…",
  alerting: "Incoming call",
  answering: "Answering…",
  established: "Connected",
  ending: "Hanging up…",
  ended: "Call ended",
};

const RECOVERING = "The connection for sound is being repaired.";
const SILENT = "No sound arrives. The other side may be muted; if it should talk, hang up and call again.";

const MUTED = "You are muted: nobody hears you.";

const TIMER_INTERVAL_MS = 500;
/** How loud, and for how many looks of the meter, somebody speaks. */
const SPEECH_PERCENT = 50;
const SPEECH_LOOKS = 5;

const card = element("call-card", HTMLElement);
const title = element("call-title", HTMLElement);
const stateText = element("call-state", HTMLElement);
const timer = element("timer", HTMLElement);
const stage = element("stage", HTMLElement);
const avatar = element("avatar", HTMLElement);
const remoteVideo = element("remote-video", HTMLVideoElement);
const localVideo = element("local-video", HTMLVideoElement);
const notice = element("call-notice", HTMLElement);
const pad = element("dtmf-pad", HTMLElement);
const muteAudio = button("mute-audio");
const muteVideo = button("mute-video");
const togglePad = button("toggle-pad");
const localMeter = new LevelMeter(element("local-level", HTMLElement), noticeSpeech);
const remoteMeter = new LevelMeter(element("remote-level", HTMLElement));

let shown: Call | undefined;
/** No sound arrives though it should. */
let silent = false;
/** For how many looks somebody has spoken who is muted. */
let speech = 0;
let context: AudioContext | undefined;
/** Takes off what listens to the call that is shown. */
let leave = (): void => undefined;

/** Wire the controls once. */
export function initCallView(): void {
  initQualityLine();
  initPictureInPicture();
  initCallActions(() => shown && showState(shown));
  buildKeypad(pad, sendTone);
  button("hangup").addEventListener("click", () => void shown?.hangup());
  muteAudio.addEventListener("click", () => toggleMute("audio"));
  muteVideo.addEventListener("click", () => toggleMute("video"));
  togglePad.addEventListener("click", () => showPad(pad.hidden === true));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (shown?.state !== "established" || !/^[0-9*#]$/.test(event.key)) return;
    flashKey(pad, event.key);
    sendTone(event.key);
  });
}

/** Say who is at the other end. */
export function renameCard(name: string): void {
  title.textContent = name;
  avatar.textContent = initialOf(name);
}

/** Show `call` until it ends, or another one is shown. */
export function showCall(call: Call, name: string, gatewayVersion: string, onEnd: () => void): void {
  leave();
  shown = call;
  silent = false;
  speech = 0;
  context ??= new AudioContext();
  void context.resume();
  card.hidden = false;
  renameCard(name);
  title.focus();
  remoteVideo.srcObject = call.remoteStream;
  showPad(false);
  showMuted();
  actOn(call);
  showState(call);
  showRemoteVideo();
  keepAwake(true);
  void playTo(chosenDevice("audiooutput"));
  watchQuality(call, gatewayVersion, (nothing) => {
    silent = nothing;
    showNotice(call);
  });
  const clock = setInterval(() => showTimer(call), TIMER_INTERVAL_MS);
  const trackJoined = (track: MediaStreamTrack): void => {
    track.addEventListener("unmute", showRemoteVideo);
    track.addEventListener("mute", showRemoteVideo);
    showRemoteVideo();
    if (context !== undefined) remoteMeter.start(context, call.remoteStream);
    void playRemote();
  };
  const offs = [
    ringBack(call),
    call.onState(() => showState(call)),
    call.on("hold", () => showState(call)),
    call.on("recovering", () => showState(call)),
    call.on("media", showRemoteVideo),
    call.on("videoOffered", () => {
      showBanner("info", "The other side shows its video.", "Your camera stays off until you add your video.");
    }),
    call.on("remoteTrack", trackJoined),
    call.on("end", (end) => {
      leave();
      card.hidden = true;
      if (end.error !== undefined) {
        showError(end.error, { label: "Copy diagnostics", run: () => void copyDiagnostics(call) });
      } else if (end.by === "remote") showBanner("info", "The other side hung up.", end.reason?.text ?? "");
      onEnd();
    }),
  ];
  call.remoteStream.getTracks().forEach(trackJoined);
  leave = (): void => {
    leave = (): void => undefined;
    for (const off of offs) off();
    clearInterval(clock);
    localMeter.stop();
    remoteMeter.stop();
    stopQuality();
    keepAwake(false);
    remoteVideo.srcObject = null;
    localVideo.srcObject = null;
    offerPictureInPicture(false);
    shown = undefined;
    actOn(undefined);
  };
}

/** The person has chosen another device: the running call goes on with it. */
export async function useChosenDevice(kind: DeviceKind): Promise<void> {
  if (kind === "ringoutput") return; // it rings there the next time
  if (kind === "audiooutput") {
    await playTo(chosenDevice(kind));
    return;
  }
  const call = shown;
  if (call?.localStream === undefined || (kind === "videoinput" && !call.sendsVideo)) return;
  const wish = wishedDevice(kind);
  try {
    await call.useDevice(kind === "audioinput" ? "audio" : "video", wish === true ? {} : wish);
    showState(call);
  } catch (error) {
    if (!(error instanceof PhoneError)) throw error;
    showError(error);
  }
}

/** The page sends from other devices in `call` now: show them, if it is on the card. */
export function refreshCard(call: Call): void {
  if (shown === call) showState(call);
}

/** A loudspeaker that is not there any more leaves the sound where it is. */
async function playTo(deviceId: string): Promise<void> {
  if (!("setSinkId" in remoteVideo) || remoteVideo.sinkId === deviceId) return;
  try {
    await remoteVideo.setSinkId(deviceId);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    showBanner("error", "The chosen loudspeaker cannot be used.", "Choose another one.");
  }
}

/** Browsers may keep sound off until the person has touched the page; any other failure is the end of the call. */
async function playRemote(): Promise<void> {
  try {
    await remoteVideo.play();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    showBanner("info", "The browser keeps the sound off.", "Click anywhere on the page to hear the other side.");
    document.addEventListener("click", () => void playRemote(), { once: true });
  }
}

function showState(call: Call): void {
  const text = stateOf(call);
  // Said once, not with every change behind it.
  if (stateText.textContent !== text) stateText.textContent = text;
  card.dataset["state"] = call.state;
  const established = call.state === "established";
  togglePad.disabled = !established;
  muteAudio.disabled = call.localStream === undefined;
  if (!established) timer.hidden = true;
  showNotice(call);
  showTimer(call);
  showActions();
  const local = call.localStream;
  if (local === undefined || localVideo.srcObject === local) return;
  localVideo.srcObject = local;
  const video = local.getVideoTracks().length > 0;
  localVideo.hidden = !video;
  muteVideo.hidden = !video;
  showMuted();
  if (context !== undefined) localMeter.start(context, local, true);
}

function showNotice(call: Call): void {
  const words = call.recovering ? RECOVERING : speech >= SPEECH_LOOKS ? MUTED : silent ? SILENT : "";
  notice.hidden = words === "";
  if (notice.textContent !== words) notice.textContent = words;
}

/** Who speaks into a muted microphone does not know that it is. */
function noticeSpeech(percent: number): void {
  const before = speech;
  if (shown === undefined || !shown.muted("audio") || shown.held.local) speech = 0;
  else if (percent >= SPEECH_PERCENT) speech += 1;
  if (shown !== undefined && before >= SPEECH_LOOKS !== speech >= SPEECH_LOOKS) showNotice(shown);
}

function stateOf(call: Call): string {
  const { local, remote } = call.held;
  if (call.state !== "established" || !(local || remote)) return STATE_TEXT[call.state];
  if (local && remote) return "On hold on both sides";
  return local ? "On hold" : "The other side holds the call";
}

function showTimer(call: Call): void {
  if (call.answeredAt === undefined || call.state !== "established") return;
  const seconds = Math.floor((Date.now() - call.answeredAt.getTime()) / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  timer.textContent = `${hours > 0 ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  timer.hidden = false;
}

function showRemoteVideo(): void {
  const video = shown?.remoteStream.getVideoTracks().some((track) => !track.muted) ?? false;
  stage.dataset["video"] = String(video);
  offerPictureInPicture(video);
}

function showPad(visible: boolean): void {
  pad.hidden = !visible;
  togglePad.setAttribute("aria-expanded", String(visible));
}

function toggleMute(kind: "audio" | "video"): void {
  shown?.mute(kind, !shown.muted(kind));
  showMuted();
}

function showMuted(): void {
  const audio = shown?.localStream !== undefined && shown.muted("audio");
  const video = shown?.localStream !== undefined && shown.muted("video");
  muteAudio.setAttribute("aria-pressed", String(audio));
  muteVideo.setAttribute("aria-pressed", String(video));
  localVideo.classList.toggle("off", video);
}

function sendTone(key: string): void {
  playKey(key);
  shown?.sendDtmf(key).catch((error: unknown) => {
    // A call that is over has told so itself, and why.
    if (error instanceof PhoneError && error.kind !== "call-ended") showError(error);
  });
}

function initialOf(name: string): string {
  const letter = /\p{L}/u.exec(name)?.[0];
  return letter === undefined ? "#" : letter.toUpperCase();
}
