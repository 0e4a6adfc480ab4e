/** The softphone page: sign in, dial, and hand the call to its card. Uses the SDK's public API only. */

import { connect, PhoneError, type Call, type IncomingCall, type Phone, type PhoneState } from "../sdk/src/index.ts";
import { clearBanners, showBanner, showError } from "./banners.ts";
import { initCallView, showCall } from "./call-view.ts";
import { callerName } from "./caller-text.ts";
import { watchConnection } from "./connection-notice.ts";
import { button, element, input } from "./dom.ts";
import { initHeldCalls, setAside, takeBack, type HeldCall } from "./held-calls.ts";
import { watchIncoming, type AnswerOptions } from "./incoming-view.ts";
import { buildKeypad } from "./keypad.ts";
import { endLogin, initSignIn, type SignInCredentials } from "./sign-in.ts";

/** What browser tests (and the curious) may use: public SDK objects, and the stream for the next call. */
export interface SoftphoneHook {
  /** The phone that is signed in. */
  phone: Phone | undefined;
  /** The running call, or the last one. */
  call: Call | undefined;
  /** Set it to call with this stream instead of microphone and camera. */
  streams: MediaStream | undefined;
}

declare global {
  interface Window {
    softphone: SoftphoneHook;
  }
}

const PHONE_STATE_TEXT: Readonly<Record<PhoneState, string>> = {
  connecting: "Connecting…",
  connected: "Not registered",
  registering: "Registering…",
  registered: "Registered",
  reconnecting: "Reconnecting…",
  disconnected: "Connection lost",
  "signed-out": "Signed out",
  closed: "Signed out",
};

/** Whom the person talks to. */
let shownName = "";

const CONFIG_URL = document.body.dataset["configUrl"] ?? "/config.json";

const hook: SoftphoneHook = { phone: undefined, call: undefined, streams: undefined };
window.softphone = hook;

const signInCard = element("sign-in-card", HTMLElement);
const signInButtons = element("sign-in-buttons", HTMLFieldSetElement);
const dialCard = element("dial-card", HTMLElement);
const dialForm = element("dial", HTMLFormElement);
const user = input("user");
const password = input("password");
const target = input("target");
const signOut = button("sign-out");
const videoCall = button("video-call");

prefillFromAddress();
initCallView();
initHeldCalls((held) => void switchTo(held));
void initSignIn(CONFIG_URL, (credentials) => void signIn(credentials));
buildKeypad(element("dial", HTMLFormElement).querySelector<HTMLElement>("[data-pad]") ?? dialForm, (key) => {
  target.setRangeText(key, target.selectionStart ?? target.value.length, target.selectionEnd ?? target.value.length, "end");
});
button("erase").addEventListener("click", () => {
  target.value = target.value.slice(0, -1);
  target.focus();
});
signOut.addEventListener("click", () => void leave());
dialForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const pressed = (event as SubmitEvent).submitter;
  dial(pressed instanceof HTMLButtonElement && pressed.value === "video");
});
window.addEventListener("beforeunload", (event) => {
  if ((hook.phone?.calls.length ?? 0) > 0) event.preventDefault();
});
window.addEventListener("pagehide", () => void hook.phone?.close());

async function signIn(credentials: () => Promise<SignInCredentials>): Promise<void> {
  clearBanners();
  signInButtons.disabled = true;
  showPhoneState("connecting");
  let phone: Phone | undefined;
  try {
    phone = await connect({ configUrl: CONFIG_URL, ...(await credentials()) });
    phone.onState(showPhoneState);
    await phone.register();
    hook.phone = phone;
    password.value = "";
    showSignedIn(phone);
  } catch (error) {
    showFailure(error);
    await phone?.close();
    await endLogin();
    showPhoneState("closed");
  } finally {
    signInButtons.disabled = false;
  }
}

function showSignedIn(phone: Phone): void {
  phone.on("error", (error) => {
    showError(error);
    if (phone.calls.length === 0) void leaveIfOver(phone);
  });
  watchConnection(phone);
  watchIncoming(phone, { answer, established: (call) => enter(phone, call, callerName(call.caller)) });
  signInCard.hidden = true;
  dialCard.hidden = false;
  signOut.hidden = false;
  videoCall.hidden = phone.config.features["video"] === false;
  target.focus();
}

function showSignedOut(): void {
  hook.phone = undefined;
  signInCard.hidden = false;
  dialCard.hidden = true;
  signOut.hidden = true;
  user.focus();
}

/** After the phone gave up: back to the form, with the reason still to be read. */
async function leaveIfOver(phone: Phone): Promise<boolean> {
  if (phone.state !== "disconnected" && phone.state !== "signed-out") return false;
  showSignedOut();
  await phone.close();
  await endLogin();
  return true;
}

async function leave(): Promise<void> {
  clearBanners();
  await hook.phone?.close();
  await endLogin();
  showSignedOut();
}

function dial(video: boolean): void {
  const { phone } = hook;
  if (phone === undefined) return;
  clearBanners();
  const name = target.value.trim();
  try {
    const call = phone.call(name, hook.streams === undefined ? { audio: true, video } : { streams: hook.streams });
    enter(phone, call, name);
  } catch (error) {
    showFailure(error);
  }
}

/** Take an incoming call; the one that runs makes room for it. */
async function answer(call: IncomingCall, { video, instead }: AnswerOptions): Promise<void> {
  clearBanners();
  const running = current();
  try {
    if (running !== undefined && call.replaces === undefined) {
      if (instead || running.call.state !== "established") await running.call.hangup();
      else await holdCurrent(running);
    }
    await call.answer(hook.streams === undefined ? { audio: true, video } : { streams: hook.streams });
  } catch (error) {
    showFailure(error);
  }
}

/** The call is the page's now, until it ends or is set aside. */
function enter(phone: Phone, call: Call, name: string): void {
  const running = current();
  if (running !== undefined && running.call !== call) setAside(running);
  hook.call = call;
  shownName = name;
  dialCard.hidden = true;
  signOut.hidden = true;
  showCall(call, name, () => void leaveCall(phone));
}

async function leaveCall(phone: Phone): Promise<void> {
  const waiting = takeBack();
  if (waiting !== undefined) {
    enter(phone, waiting.call, waiting.name);
    return;
  }
  if (await leaveIfOver(phone)) return;
  dialCard.hidden = false;
  signOut.hidden = false;
  target.focus();
}

/** The call on the card, while it is not over. */
function current(): HeldCall | undefined {
  const { call } = hook;
  return call === undefined || call.end !== undefined ? undefined : { call, name: shownName };
}

async function holdCurrent({ call }: HeldCall): Promise<void> {
  if (!call.held.local) await call.hold();
}

/** Hold the call on the card, and take another one back. */
async function switchTo({ call, name }: HeldCall): Promise<void> {
  const { phone } = hook;
  const running = current();
  if (phone === undefined) return;
  try {
    if (running !== undefined) await holdCurrent(running);
    takeBack(call);
    enter(phone, call, name);
    await call.resume();
  } catch (error) {
    showFailure(error);
  }
}

function showPhoneState(state: PhoneState): void {
  element("light", HTMLElement).dataset["state"] = state;
  for (const call of dialForm.querySelectorAll<HTMLButtonElement>("button.call")) call.disabled = state !== "registered";
  element("phone-state", HTMLElement).textContent = PHONE_STATE_TEXT[state];
}

function showFailure(error: unknown): void {
  if (!(error instanceof PhoneError)) throw error;
  showError(error);
}

/** User and target may come with the address; a password never: addresses end up in logs and histories. */
function prefillFromAddress(): void {
  const address = new URL(location.href);
  user.value = address.searchParams.get("user") ?? "";
  target.value = address.searchParams.get("target") ?? "";
  if (!address.searchParams.has("password")) return;
  address.searchParams.delete("password");
  history.replaceState(null, "", address);
  showBanner("error", "A password in the address is ignored.", "Type it into the form, and change it: addresses are logged.");
}
