/** Which failures end the session at the web service, and which leave it to the browser's other tabs. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { endedOrWhy, endsLogin } from "../../softphone/login-end.ts";
import { ConfigError, LoginError, SignedOutError, SipError, SocketError, UsageError, type PhoneError } from "../src/index.ts";

const refused = (status: number): SipError => new SipError({ method: "REGISTER", status, reasonPhrase: "" });
const noLogin = (status: number): LoginError => new LoginError({ status, detail: "" });
const told = (error: PhoneError): string => `${error.name} ${"status" in error ? String(error.status) : ""}`;

for (const error of [
  new SocketError("the gateway restarts"),
  new ConfigError("cannot be fetched"),
  new UsageError("a registration is already under way"),
  ...[0, 404, 408, 429, 500, 502, 503].map(noLogin),
  ...[408, 430, 480, 491, 500, 503, 504].map(refused),
]) {
  test(`${told(error)} passes: the session stays`, () => assert.equal(endsLogin(error), false));
}

for (const error of [
  new SignedOutError("credentials", "refused"),
  new SignedOutError("token", "none is to be had"),
  ...[401, 403].map(noLogin),
  ...[401, 403, 404, 603].map(refused),
]) {
  test(`${told(error)} makes the session useless`, () => assert.equal(endsLogin(error), true));
}

test("a logout is over when a second attempt finds nobody, and else says why not", async () => {
  const answers = (...errors: (PhoneError | undefined)[]) => (): Promise<void> => {
    const error = errors.shift();
    return error === undefined ? Promise.resolve() : Promise.reject(error);
  };
  assert.equal(await endedOrWhy(answers(undefined)), undefined);
  assert.equal(await endedOrWhy(answers(noLogin(503), undefined)), undefined);
  const away = noLogin(0);
  assert.equal(await endedOrWhy(answers(noLogin(503), away)), away);
});
