/** Who is at the console: somebody with the role of an operator, or a form to log in. */

import { ApiError, isForOperators, logOut, type Ask } from "./api.ts";
import { element } from "./dom.ts";
import { flagOf, textOf } from "./members.ts";

const card = element("sign-in-card", HTMLElement);
const form = element("sign-in", HTMLFormElement);
const user = element("user", HTMLInputElement);
const password = element("password", HTMLInputElement);
const message = element("sign-in-message", HTMLElement);
const submit = element("sign-in-button", HTMLButtonElement);

/** Wire the form; `enter` is called with the name of an operator who is logged in. */
export function initSignIn(ask: Ask, enter: (name: string) => void): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit.disabled = true;
    logIn(ask, enter)
      .catch((error: unknown) => showSignIn(wordsOf(error)))
      .finally(() => {
        submit.disabled = false;
      });
  });
}

/** Go on with the session that this browser has, or show the form. */
export async function resume(ask: Ask, enter: (name: string) => void): Promise<void> {
  try {
    const session = await ask("GET", "/session");
    if (!flagOf(session, "authenticated")) {
      showSignIn();
    } else if (await isOperator(ask)) {
      opened(enter, textOf(session, "name"));
    } else {
      const name = textOf(session, "name");
      showSignIn(`${name} is logged in here, but is no operator. Logging in as an operator ends that session.`);
    }
  } catch (error) {
    showSignIn(wordsOf(error));
  }
}

export function showSignIn(text = ""): void {
  card.hidden = false;
  message.textContent = text;
  (user.value === "" ? user : password).focus();
}

async function logIn(ask: Ask, enter: (name: string) => void): Promise<void> {
  message.textContent = "";
  const session = await ask("POST", "/session", { name: user.value, password: password.value });
  password.value = "";
  if (await isOperator(ask)) {
    opened(enter, textOf(session, "name"));
    return;
  }
  await logOut(ask);
  showSignIn(`${textOf(session, "name")} is no operator. The operator of the gateway gives that role to an account.`);
}

function opened(enter: (name: string) => void, name: string): void {
  card.hidden = true;
  enter(name);
}

async function isOperator(ask: Ask): Promise<boolean> {
  try {
    await ask("GET", "/operator/nodes");
    return true;
  } catch (error) {
    if (error instanceof ApiError && isForOperators(error)) return false;
    throw error;
  }
}

function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError)) throw error;
  return error.status === 404 ? "This gateway has no web accounts, so nobody can log in here." : error.message;
}
