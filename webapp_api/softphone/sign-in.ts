/**
 * The ways to sign in: an account of the web service, a guest's identity, the operator's provider, or a SIP password.
 * Knows the form; what is done with the credentials is the page's business.
 */

import {
  currentLogin,
  fetchConfig,
  login,
  LoginError,
  loginAsGuest,
  logout,
  PhoneError,
  providerLoginUrl,
  type Credentials,
  type Login,
  type LoginMethod,
} from "../sdk/src/index.ts";
import { clearBanners, showError } from "./banners.ts";
import { button, element, input } from "./dom.ts";
import { endedOrWhy } from "./login-end.ts";

/** What `connect` wants to know of a person. */
export type SignInCredentials = Credentials & { readonly user: string; readonly authorizationUser?: string };

/** Signs in with credentials that are still to be asked for; asking may fail with a PhoneError. */
export type SignIn = (credentials: () => Promise<SignInCredentials>) => void;

const form = element("sign-in", HTMLFormElement);
const ways = element("sign-in-ways", HTMLFieldSetElement);
const byAccount = input("way-account");
const sipFields = element("sip-fields", HTMLDetailsElement);
const buttons = element("sign-in-buttons", HTMLFieldSetElement);
const guest = button("guest");
const provider = element("provider", HTMLAnchorElement);

let loggedInBy: LoginMethod | undefined;

/** Show the ways that the web service offers, and sign in whoever is logged in already. */
export async function initSignIn(configUrl: string, signIn: SignIn): Promise<void> {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(byAccount.checked ? accountCredentials : () => Promise.resolve(sipCredentials()));
  });
  guest.addEventListener("click", () => signIn(async () => credentialsOf(await loginAsGuest())));
  ways.addEventListener("change", showFields);
  provider.href = providerLoginUrl();
  // Before this the browser itself would send the form, with the password.
  buttons.disabled = false;
  await begin(configUrl, signIn);
  form.dataset["ready"] = "";
}

/** Without the web service there is nothing to sign in with: the person is told, and can ask for another attempt. */
async function begin(configUrl: string, signIn: SignIn): Promise<void> {
  try {
    const hasLogin = await showWays(configUrl);
    tellFailedLogin();
    if (hasLogin) await resume(signIn);
  } catch (error) {
    if (!(error instanceof PhoneError)) throw error;
    const run = (): void => {
      clearBanners();
      void begin(configUrl, signIn);
    };
    showError(error, { label: "Try again", run });
  }
}

/** Show the ways to sign in; whether the web service's own are among them. */
async function showWays(configUrl: string): Promise<boolean> {
  const { login: offered, features } = await fetchConfig(configUrl).catch((error: unknown) => {
    form.hidden = true;
    throw error;
  });
  // Without an IMS core nobody could check a SIP password.
  ways.hidden = !offered.password || features["sipPassword"] === false;
  byAccount.checked = offered.password;
  guest.hidden = !offered.guest;
  provider.hidden = !offered.oidc;
  showFields();
  form.hidden = false;
  return offered.password || offered.guest || offered.oidc;
}

/** How the person has logged in at the web service; undefined with a SIP password. */
export function loginMethod(): LoginMethod | undefined {
  return loggedInBy;
}

/** End the web session that the page has signed in with; the error means that it goes on. */
export async function endLogin(): Promise<PhoneError | undefined> {
  return loggedInBy === undefined ? undefined : endSession();
}

/** End this browser's web session, whoever signed in with it; the error means that it goes on. */
export function endSession(): Promise<PhoneError | undefined> {
  loggedInBy = undefined;
  return endedOrWhy(() => logout());
}

/** Leave the web session to the browser's other tabs. */
export function forgetLogin(): void {
  loggedInBy = undefined;
}

/** Credentials of the session that this browser has; LoginError when it has none any more. */
export async function currentCredentials(): Promise<SignInCredentials> {
  const current = await currentLogin();
  if (current === undefined) throw new LoginError({ status: 401, detail: "you are logged out" });
  return credentialsOf(current);
}

/** The person is logged in: after a reload, or back from the provider. */
async function resume(signIn: SignIn): Promise<void> {
  const current = await currentLogin();
  if (current !== undefined) signIn(() => Promise.resolve(credentialsOf(current)));
}

/** The provider's answer led to no login: the address has the status of our web service. */
function tellFailedLogin(): void {
  const address = new URL(location.href);
  const text = address.searchParams.get("login_failed");
  if (text === null) return;
  address.searchParams.delete("login_failed");
  history.replaceState(null, "", address);
  const status = Number(text);
  const detail = status === 403 ? "your account has no telephone identity here" : "the login at your organisation failed";
  showError(new LoginError({ status, detail }));
}

async function accountCredentials(): Promise<SignInCredentials> {
  return credentialsOf(await login({ name: input("user").value, password: input("password").value }));
}

function credentialsOf(person: Login): SignInCredentials {
  loggedInBy = person.method;
  return person.credentials;
}

function sipCredentials(): SignInCredentials {
  const authorizationUser = input("authorization-user").value.trim();
  return {
    user: input("user").value,
    password: input("password").value,
    ...(authorizationUser !== "" && { authorizationUser }),
  };
}

function showFields(): void {
  sipFields.hidden = byAccount.checked;
}
