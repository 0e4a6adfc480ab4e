/** The calls of the person: made, answered, set aside, switched, handed on. One of them is on the card. */

import { IncomingCall, OutgoingCall, PhoneError, type Call, type MediaKind, type MediaRequest, type Phone } from "../sdk/src/index.ts";
import { clearBanners, showBanner, showError } from "./banners.ts";
import { refreshCard, renameCard, showCall } from "./call-view.ts";
import { callerAddress, callerName } from "./caller-text.ts";
import { showDevices } from "./device-pickers.ts";
import { wishedDevice } from "./devices.ts";
import { button, element, focusUnlessTouched, input } from "./dom.ts";
import { initHeldCalls, renameHeld, setAside, takeBack, type HeldCall } from "./held-calls.ts";
import type { CallHistory } from "./history.ts";
import { hook } from "./hook.ts";
import { watchIncoming, type AnswerOptions } from "./incoming-view.ts";
import { askAboutTransfer } from "./transfer-request.ts";

const dialCard = element("dial-card", HTMLElement);
const target = input("target");
const signOut = button("sign-out");
const addCall = button("add-call");

/** Whom the person talks to. */
let shownName = "";
let history: CallHistory | undefined;
/** Calls an eye is kept on. */
const watched = new WeakSet<Call>();
/** Whether a call makes room for another one, which takes a while: a second click must not make a second call. */
let makingRoom = false;
let idle: (phone: Phone) => Promise<boolean> = () => Promise.resolve(false);

/** Wire it once; `onIdle` hears when the last call is over, and tells whether the phone is, too. */
export function initDesk(onIdle: (phone: Phone) => Promise<boolean>): void {
  idle = onIdle;
  initHeldCalls((held) => void switchTo(held));
  addCall.addEventListener("click", () => showDial(dialCard.hidden === true));
  dialCard.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || current() === undefined) return;
    showDial(false);
    addCall.focus();
  });
}

/** Take the calls that come to `phone`, and write down what becomes of all. */
export function openDesk(phone: Phone, calls: CallHistory): void {
  history = calls;
  phone.on("call", (call) => history?.follow(call, callerName(call.caller), callerAddress(call.caller) ?? ""));
  watchIncoming(phone, { answer, established: (call) => enter(phone, call, callerName(call.caller)) });
  showDial(true);
}

export function closeDesk(): void {
  showDial(false);
}

/** Call what is in the form. */
export async function dial(video: boolean): Promise<void> {
  if ((await callTo(target.value.trim(), video)) !== undefined) target.value = "";
}

/** Call somebody; a call that runs is held first. Undefined, with a banner that says why, when there is no call. */
export async function callTo(name: string, video: boolean): Promise<Call | undefined> {
  const { phone } = hook;
  if (phone === undefined || makingRoom) return undefined;
  clearBanners();
  try {
    const running = current();
    if (running !== undefined) await makeRoom(hold(running));
    const call = phone.call(name, media(video));
    history?.follow(call, name, name);
    enter(phone, call, name);
    return call;
  } catch (error) {
    showFailure(error);
    return undefined;
  }
}

/** Whether somebody is on the card. */
export function isTalking(): boolean {
  return current() !== undefined;
}

/** Take an incoming call; the one that runs makes room for it. */
async function answer(call: IncomingCall, { video, instead }: AnswerOptions): Promise<void> {
  if (makingRoom) return;
  clearBanners();
  const running = current();
  try {
    if (running !== undefined && call.replaces !== running.call) {
      if (instead || running.call.state !== "established") await makeRoom(running.call.hangup());
      else await makeRoom(hold(running));
    }
    await call.answer(media(video));
  } catch (error) {
    showFailure(error);
  }
}

/** The call is the page's now, until it ends or is set aside. */
function enter(phone: Phone, call: Call, name: string): void {
  const running = current();
  const replaced = call instanceof IncomingCall ? call.replaces : undefined;
  if (running !== undefined && running.call !== call && running.call !== replaced) setAside(running);
  hook.call = call;
  shownName = name;
  showDial(false);
  signOut.hidden = true;
  showCall(call, name, phone.config.version, () => void leaveCall(phone));
  watch(call);
  askAboutTransfer(call, (accept) => void followTransfer(phone, accept));
  call.onState((state) => {
    if (state === "established") void showDevices();
  });
}

/** Keep an eye on a call, on the card or on hold, for as long as it lasts. */
function watch(call: Call): void {
  if (watched.has(call)) return;
  watched.add(call);
  // Who was unplugged is heard again by whatever microphone the system has now.
  call.on("deviceLost", (kind) => void replaceDevice(call, kind));
  let known = call.farEnd?.uri ?? (call instanceof OutgoingCall ? call.target : undefined);
  call.on("farEnd", (caller) => {
    const isAnother = call.state === "established" && caller.uri !== known;
    known = caller.uri;
    if (!isAnother) return; // whom the person has called stands there as they wrote it
    const name = callerName(caller);
    if (hook.call !== call) renameHeld(call, name);
    else renameCard((shownName = name));
  });
}

async function replaceDevice(call: Call, kind: MediaKind): Promise<void> {
  const what = kind === "audio" ? "microphone" : "camera";
  try {
    await call.useDevice(kind, {});
    refreshCard(call);
    showBanner("info", `Your ${what} is gone; another one is used now.`);
    void showDevices();
  } catch (error) {
    if (!(error instanceof PhoneError)) throw error;
    if (call.end === undefined) showBanner("error", `Your ${what} is gone.`, "Plug it in again and choose it below.");
  }
}

async function leaveCall(phone: Phone): Promise<void> {
  const waiting = takeBack();
  if (waiting !== undefined) {
    enter(phone, waiting.call, waiting.name);
    return;
  }
  if (await idle(phone)) return;
  showDial(true);
  signOut.hidden = false;
}

/** The call on the card, while it is not over. */
function current(): HeldCall | undefined {
  const { call } = hook;
  return call === undefined || call.end !== undefined ? undefined : { call, name: shownName };
}

/** Hold a call that makes room. One that is not answered yet cannot be held: it is silenced when it is set aside. */
async function hold({ call }: HeldCall): Promise<void> {
  if (call.held.local || call.state !== "established") return;
  try {
    await call.hold();
  } catch (error) {
    if (call.end === undefined) throw error; // else there is nobody left who could listen
  }
}

async function makeRoom(done: Promise<void>): Promise<void> {
  makingRoom = true;
  try {
    await done;
  } finally {
    makingRoom = false;
  }
}

/** Hold the call on the card, and take another one back. */
async function switchTo({ call, name }: HeldCall): Promise<void> {
  const { phone } = hook;
  const running = current();
  if (phone === undefined || makingRoom) return;
  try {
    if (running !== undefined) await makeRoom(hold(running));
    takeBack(call);
    enter(phone, call, name);
    if (call.state === "established") await call.resume();
  } catch (error) {
    showFailure(error);
  }
}

/** Call whom the other side names; it hangs up when that call is answered. */
async function followTransfer(phone: Phone, accept: (media: MediaRequest) => { call: Call; name: string }): Promise<void> {
  const running = current();
  try {
    if (running !== undefined) await makeRoom(hold(running));
    const { call, name } = accept(media(false));
    history?.follow(call, name, name);
    enter(phone, call, name);
  } catch (error) {
    showFailure(error);
  }
}

function media(video: boolean): MediaRequest {
  if (hook.streams !== undefined) return { streams: hook.streams };
  return { audio: wishedDevice("audioinput"), video: video && wishedDevice("videoinput") };
}

function showDial(visible: boolean): void {
  dialCard.hidden = !visible;
  addCall.setAttribute("aria-expanded", String(visible));
  if (visible) focusUnlessTouched(target);
}

function showFailure(error: unknown): void {
  if (!(error instanceof PhoneError)) throw error;
  if (error.kind !== "call-ended") showError(error);
}
