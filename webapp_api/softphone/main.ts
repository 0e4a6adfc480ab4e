/** The softphone page: sign in, dial, and hand the call to its card. Uses the SDK's public API only. */

import { connect, PhoneError, type Phone, type PhoneState } from "../sdk/src/index.ts";
import { clearBanners, showBanner, showError } from "./banners.ts";
import { initCallView, useChosenDevice } from "./call-view.ts";
import { watchConnection } from "./connection-notice.ts";
import { callTo, closeDesk, dial, initDesk, isTalking, openDesk } from "./desk.ts";
import { initDevicePickers } from "./device-pickers.ts";
import { takeDialRequests } from "./dial-requests.ts";
import { button, element, focusUnlessTouched, input } from "./dom.ts";
import { showHistory, initHistoryView } from "./history-view.ts";
import { CallHistory } from "./history.ts";
import { hook } from "./hook.ts";
import { buildKeypad } from "./keypad.ts";
import { endsLogin } from "./login-end.ts";
import { currentCredentials, endLogin, endSession, forgetLogin, initSignIn, loginMethod, type SignInCredentials } from "./sign-in.ts";
import { forgetSipTrace, initSipTrace, traceSip } from "./sip-trace.ts";
import { TabLock } from "./tab-lock.ts";
import { askWhichTab } from "./tab-question.ts";
import { troubleFrom } from "./trouble.ts";

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

const CONFIG_URL = document.body.dataset["configUrl"] ?? "/config.json";

const signInCard = element("sign-in-card", HTMLElement);
const signInButtons = element("sign-in-buttons", HTMLFieldSetElement);
const signedInCards = element("signed-in", HTMLElement);
const dialForm = element("dial", HTMLFormElement);
const user = input("user");
const password = input("password");
const target = input("target");
const signOut = button("sign-out");
const videoCall = button("video-call");

/** The person uses the softphone in this tab. */
let tab: TabLock | undefined;
/** Another tab has taken it over: this one signs off as soon as no call runs. */
let isTaken = false;
/** Why the phone gave up. */
let failure: PhoneError | undefined;
let stopDialRequests: () => void = () => undefined;

prefillFromAddress();
initCallView();
initDesk(leaveIfOver);
initSipTrace();
initDevicePickers((kind) => void useChosenDevice(kind));
initHistoryView((address) => {
  target.value = address;
  if (dialForm.checkVisibility()) target.focus();
});
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
  void dial(pressed instanceof HTMLButtonElement && pressed.value === "video");
});
window.addEventListener("beforeunload", (event) => {
  if ((hook.phone?.calls.length ?? 0) > 0) event.preventDefault();
});
window.addEventListener("pagehide", () => void hook.phone?.close());

async function signIn(credentials: () => Promise<SignInCredentials>, takesOver = false): Promise<void> {
  clearBanners();
  forgetSipTrace();
  signInButtons.disabled = true;
  showPhoneState("connecting");
  failure = undefined;
  let phone: Phone | undefined;
  try {
    const person = await credentials();
    if (!(await isWantedHere(person.user, takesOver))) {
      forgetLogin();
      password.value = "";
      showPhoneState("closed");
      return;
    }
    phone = await connect({ configUrl: CONFIG_URL, ...person });
    traceSip(phone);
    phone.onState((state) => {
      if (hook.phone === undefined || hook.phone === phone) showPhoneState(state); // else a former one that still closes
    });
    await phone.register();
    hook.phone = phone;
    password.value = "";
    showSignedIn(phone);
    if (isTaken) void giveAway();
  } catch (error) {
    tab?.release();
    void phone?.close(); // over a dead connection that takes long
    showPhoneState("closed");
    if (!(error instanceof PhoneError)) throw error;
    await leaveLogin(error, loginMethod() !== undefined || credentials === currentCredentials);
  } finally {
    signInButtons.disabled = false;
  }
}

/** One tab rings, or as many as the person wants. */
async function isWantedHere(user: string, takesOver: boolean): Promise<boolean> {
  const lock = new TabLock(user, () => void giveAway());
  tab = lock;
  isTaken = false;
  if (takesOver) await lock.takeOver();
  else if (!(await lock.take())) {
    signInCard.hidden = true;
    const choice = await askWhichTab();
    signInCard.hidden = false;
    if (choice === "here") await lock.takeOver();
    else if (choice === "both") lock.share();
    else return false;
  }
  return true;
}

/** Another tab has the softphone now. The gateway ends the calls of who signs off, so a call that runs comes first. */
async function giveAway(): Promise<void> {
  isTaken = true;
  const { phone } = hook;
  if (phone === undefined) return; // it is told when it is there
  stopDialRequests();
  if (phone.calls.length === 0) await leaveIfOver(phone);
  else showBanner("info", "The softphone is used in another tab now.", "This tab signs off when your call is over.");
}

function showSignedIn(phone: Phone): void {
  phone.on("error", (error) => {
    failure = error;
    if (phone.calls.length === 0) void leaveIfOver(phone);
    else showError(error);
  });
  watchConnection(phone);
  signInCard.hidden = true;
  signedInCards.hidden = false;
  signOut.hidden = false;
  videoCall.hidden = phone.config.features["video"] === false;
  const method = loginMethod();
  const owner = method === "guest" ? undefined : phone.address;
  const history: CallHistory = new CallHistory(owner, method !== undefined, () => showHistory(history));
  showHistory(history);
  openDesk(phone, history);
  if (method !== undefined) stopDialRequests = takeDialRequests(phone, isTalking, callTo);
}

function showSignedOut(): void {
  stopDialRequests();
  hook.phone = undefined;
  signInCard.hidden = false;
  signedInCards.hidden = true;
  signOut.hidden = true;
  closeDesk();
  showHistory(undefined);
  focusUnlessTouched(user);
}

/** After the phone gave up: back to the form, with the reason still to be read. */
async function leaveIfOver(phone: Phone): Promise<boolean> {
  if (hook.phone !== phone) return true; // left already: the end of a call that broke comes before the reason
  if (!isTaken && phone.state !== "disconnected" && phone.state !== "signed-out") return false;
  showSignedOut();
  tab?.release();
  await phone.close();
  if (isTaken) tellTaken();
  else if (failure !== undefined) await leaveLogin(failure, loginMethod() !== undefined);
  return true;
}

/** Tell why the phone is no more. The web session is all tabs' and ends only when it is useless; else it can go on. */
async function leaveLogin(error: PhoneError, isLoggedIn: boolean): Promise<void> {
  const isOver = endsLogin(error);
  const again = { label: "Try again", run: () => void signIn(currentCredentials) };
  const out = { label: "Sign out", run: () => void endSession().then(tellOut) };
  showError(error, ...(isLoggedIn && !isOver ? [again, out] : []));
  if (isOver) await endLogin();
  else forgetLogin();
}

/** The web session goes on in the other tab; a SIP password is nowhere any more. */
function tellTaken(): void {
  const again = { label: "Use here", run: () => void signIn(currentCredentials, true) };
  const [title, state] = ["The softphone is used in another tab now.", "This tab does not ring any more."];
  if (loginMethod() === undefined) showBanner("info", title, `${state} Sign in to use it here.`);
  else showBanner("info", title, state, again);
  forgetLogin();
}

async function leave(): Promise<void> {
  clearBanners();
  tab?.release();
  await hook.phone?.close();
  forgetSipTrace();
  const failed = await endLogin();
  showSignedOut();
  tellOut(failed);
}

/** The web session is over; or it is not, and whoever opens this page next would be signed in. */
function tellOut(failed: PhoneError | undefined): void {
  clearBanners();
  if (failed === undefined) return;
  const again = { label: "Sign out", run: () => void endSession().then(tellOut) };
  showBanner("error", "You are NOT signed out.", `${troubleFrom(failed, navigator.onLine).title} Sign out again.`, again);
}

function showPhoneState(state: PhoneState): void {
  element("light", HTMLElement).dataset["state"] = state;
  for (const call of dialForm.querySelectorAll<HTMLButtonElement>("button.call")) call.disabled = state !== "registered";
  element("phone-state", HTMLElement).textContent = PHONE_STATE_TEXT[state];
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
