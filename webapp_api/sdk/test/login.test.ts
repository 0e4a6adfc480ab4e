import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";

import { configFromObject } from "../src/config.ts";
import { LoginError } from "../src/errors.ts";
import { currentLogin, login, loginAsGuest, logout, providerLoginUrl } from "../src/login.ts";
import { Phone } from "../src/phone.ts";
import { tokenSource, type AccessToken } from "../src/token-source.ts";
import { close, granted, settled } from "./phone-on-wire.ts";
import { responseTo, Wire } from "./wire.ts";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

const SESSION = {
  authenticated: true,
  method: "password",
  name: "alice",
  impi: "alice@ims.example.com",
  impus: ["tel:+15550100", "sip:alice@ims.example.com"],
  expires_in: 43200,
};

/** A web service that gives these answers, one after another. */
class WebService {
  readonly asked: Asked[] = [];
  readonly #answers: Response[];

  constructor(...answers: Response[]) {
    this.#answers = answers;
  }

  readonly fetcher = ((url: string, options: RequestInit): Promise<Response> => {
    const headers = options.headers as Record<string, string>;
    const body: unknown = typeof options.body === "string" ? JSON.parse(options.body) : undefined;
    this.asked.push({ method: options.method ?? "GET", url, headers, body });
    const answer = this.#answers.shift();
    return answer === undefined ? Promise.reject(new TypeError("network")) : Promise.resolve(answer);
  }) as typeof fetch;
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers });
}

function token(text: string, expiresInS = 600): Response {
  return json({ access_token: text, token_type: "Bearer", expires_in: expiresInS, impi: "", impus: [] });
}

describe("login", () => {
  test("name and password become a session, and the session tokens", async () => {
    const service = new WebService(json(SESSION, 201), token("t1"));
    const alice = await login({ name: "alice", password: "secret" }, service);
    assert.deepEqual([alice.method, alice.name, alice.impi], ["password", "alice", "alice@ims.example.com"]);
    assert.equal(alice.credentials.user, "sip:alice@ims.example.com", "a SIP address can be registered");
    assert.equal(await alice.credentials.token(), "t1");
    assert.deepEqual(
      service.asked.map(({ method, url, body }) => [method, url, body]),
      [
        ["POST", "/api/session", { name: "alice", password: "secret" }],
        ["POST", "/api/tokens", undefined],
      ],
    );
    assert.ok(service.asked.every(({ headers }) => headers["x-csrf-protection"] === "1"));
  });

  test("guests lease an identity; others ask who they are; everybody can leave", async () => {
    const service = new WebService(
      json({ ...SESSION, method: "guest" }, 201),
      json(SESSION),
      json({ authenticated: false }),
      new Response(null, { status: 204 }),
    );
    assert.equal((await loginAsGuest(service)).method, "guest");
    assert.equal((await currentLogin(service))?.name, "alice");
    assert.equal(await currentLogin(service), undefined);
    await logout(service);
    assert.deepEqual(
      service.asked.map(({ method, url }) => `${method} ${url}`),
      ["POST /api/leases", "GET /api/session", "GET /api/session", "DELETE /api/session"],
    );
    assert.equal(providerLoginUrl(), "/api/oidc/login");
  });

  test("a refusal says what to do, and when", async () => {
    const problem = { title: "Service Unavailable", status: 503, detail: "Every guest identity is in use; try later." };
    const service = new WebService(json(problem, 503, { "retry-after": "17" }));
    await assert.rejects(loginAsGuest(service), (error) => {
      assert.ok(error instanceof LoginError);
      assert.deepEqual([error.kind, error.status, error.retryAfterS], ["login", 503, 17]);
      assert.equal(error.message, "Every guest identity is in use; try later.");
      assert.match(error.advice, /wait 17 s/);
      return true;
    });
  });

  for (const [name, answer] of [
    ["no network", undefined],
    ["a page instead of JSON", new Response("<html>", { status: 200 })],
    ["half a session", json({ authenticated: true, method: "password", name: "alice" })],
    ["no identity", json({ ...SESSION, impus: [] })],
    ["another method", json({ ...SESSION, method: "magic" })],
    ["null", json(null)],
  ] as const) {
    test(`${name} is a typed error`, async () => {
      const service = new WebService(...(answer === undefined ? [] : [answer]));
      await assert.rejects(login({ name: "a", password: "b" }, service), { kind: "login", status: 0 });
    });
  }

  test("no answer in time is a typed error as well", async (context) => {
    const late = new AbortController();
    const timeout = context.mock.method(AbortSignal, "timeout", () => late.signal);
    const fetcher = ((_: string, { signal }: RequestInit): Promise<Response> =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))) as typeof fetch;
    const refused = assert.rejects(currentLogin({ fetcher }), { kind: "login", status: 0 });
    assert.deepEqual(timeout.mock.calls.map(({ arguments: [ms] }) => ms), [15_000]);
    late.abort(new DOMException("signal timed out", "TimeoutError"));
    await refused;
  });

  test("an answer that stops behind its header is one, too, and no word that nobody is logged in", async () => {
    const stalled = new ReadableStream({ pull: (body) => body.error(new DOMException("signal timed out", "TimeoutError")) });
    await assert.rejects(currentLogin(new WebService(new Response(stalled))), { kind: "login", status: 0 });
  });

  test("an error page of a proxy is told by its status", async () => {
    const service = new WebService(new Response("<html>", { status: 502 }));
    await assert.rejects(login({ name: "a", password: "b" }, service), { status: 502, message: /HTTP 502/ });
  });
});

interface Unanswered {
  readonly resolve: (token: AccessToken) => void;
  readonly reject: (error: Error) => void;
}

/** A token service whose answers come when the test says so. */
function unanswered(): { requests: Unanswered[]; fetchToken: () => Promise<AccessToken> } {
  const requests: Unanswered[] = [];
  return { requests, fetchToken: () => new Promise((resolve, reject) => requests.push({ resolve, reject })) };
}

describe("token source", () => {
  test("takes a token that is at hand", async () => {
    assert.equal(await tokenSource(() => ({ token: "t1", expiresInS: 600 }))(), "t1");
  });

  test("a token is kept for not quite half of its life", async () => {
    let now = 0;
    let count = 0;
    const source = tokenSource(async () => ({ token: `t${(count += 1)}`, expiresInS: 600 }), [() => now]);
    assert.equal(await source(), "t1");
    now = 269;
    assert.equal(await source(), "t1");
    now = 270;
    assert.equal(await source(), "t2");
  });

  test("a refresh at half of a registration that lasts nearly as long as its token gets a new one", async () => {
    let now = 0;
    let count = 0;
    const source = tokenSource(async () => ({ token: `t${(count += 1)}`, expiresInS: 60 }), [() => now]);
    await source();
    now = 29;
    assert.equal(await source(), "t2");
  });

  test("a computer's sleep counts, and so does time in which the clock was set back", async () => {
    const at = { awake: 0, clock: 1000 };
    let count = 0;
    const fetched = async () => ({ token: `t${(count += 1)}`, expiresInS: 600 });
    const source = tokenSource(fetched, [() => at.awake, () => at.clock]);
    assert.equal(await source(), "t1");
    Object.assign(at, { awake: 10, clock: 1300 });
    assert.equal(await source(), "t2");
    Object.assign(at, { awake: 300, clock: 0 });
    assert.equal(await source(), "t3");
  });

  test("its life is counted from the request, not from the answer", async () => {
    let now = 0;
    const source = tokenSource(async () => {
      now += 100;
      return { token: `at ${now}`, expiresInS: 200 };
    }, [() => now]);
    await source();
    assert.equal(await source(), "at 200");
  });

  test("two who ask at once share one request", async () => {
    let count = 0;
    const source = tokenSource(async () => ({ token: `t${(count += 1)}`, expiresInS: 600 }));
    assert.deepEqual(await Promise.all([source(), source(), source()]), ["t1", "t1", "t1"]);
  });

  test("a request that gets no answer is shared for ten seconds, and what it gives late is not kept", async () => {
    let now = 0;
    const { requests, fetchToken } = unanswered();
    const source = tokenSource(fetchToken, [() => now, () => -now]);
    const first = source();
    now = 9;
    const shared = source();
    assert.equal(requests.length, 1);
    now = 10;
    const second = source();
    assert.equal(requests.length, 2);
    requests[1]?.resolve({ token: "t2", expiresInS: 600 });
    assert.equal(await second, "t2");
    requests[0]?.resolve({ token: "t1", expiresInS: 600 });
    assert.deepEqual(await Promise.all([first, shared]), ["t1", "t1"]);
    assert.equal(await source(), "t2");
  });

  test("the end of a request that is shared no more changes nothing for the one that is", async () => {
    let now = 0;
    const { requests, fetchToken } = unanswered();
    const source = tokenSource(fetchToken, [() => now]);
    const first = assert.rejects(source(), { status: 503 });
    now = 10;
    const second = source();
    requests[0]?.reject(new LoginError({ status: 503, detail: "later" }));
    await first;
    const shared = source();
    assert.equal(requests.length, 2);
    requests[1]?.resolve({ token: "t2", expiresInS: 600 });
    assert.deepEqual(await Promise.all([second, shared]), ["t2", "t2"]);
  });

  test("a failure is told and not kept", async () => {
    let fail = true;
    const source = tokenSource(async () => {
      if (fail) throw new LoginError({ status: 503, detail: "later" });
      return { token: "t", expiresInS: 600 };
    });
    await assert.rejects(source(), { status: 503 });
    fail = false;
    assert.equal(await source(), "t");
  });
});

describe("registration with a login", () => {
  const CONFIG = configFromObject({ wssUrl: "wss://gw.example/sip", domain: "ims.example.com" });

  async function openPhone(wire: Wire, ...answers: Response[]): Promise<Phone> {
    const service = new WebService(json(SESSION, 201), ...answers);
    const alice = await login({ name: "alice", password: "secret" }, service);
    const parts = { transportConstructor: wire.transportConstructor };
    return Phone.open(CONFIG, { config: CONFIG, ...alice.credentials }, parts);
  }

  test("the default address is registered with the token", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire, token("t1"));
    const registered = phone.register();
    const register = await wire.next();
    assert.deepEqual(register.headers("authorization"), ["Bearer t1"]);
    assert.match(register.header("to"), /<sip:alice@ims\.example\.com>/);
    wire.deliver(responseTo(register, "200 OK", [`Contact: ${register.header("contact").split(";expires")[0]};expires=600`]));
    await registered;
    const closing = phone.close();
    const removal = await wire.next();
    assert.deepEqual(removal.headers("authorization"), ["Bearer t1"]);
    wire.deliver(responseTo(removal, "200 OK"));
    await closing;
  });

  test("a session that has ended is told as such, and nothing is sent", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire, json({ detail: "There is no session; log in." }, 401));
    await assert.rejects(phone.register(), { kind: "login", status: 401 });
    assert.equal(wire.silent, true);
    assert.equal(phone.state, "connected");
    await phone.close();
  });

  for (const [name, given] of [["its text alone", "t1"], ["an answer as it came", { access_token: "t1", expires_in: 600 }]]) {
    test(`a fetchToken that gives ${name} is wrong use, and nothing is sent`, async () => {
      const wire = new Wire();
      const source = tokenSource(async () => given as never);
      const parts = { transportConstructor: wire.transportConstructor };
      const phone = await Phone.open(CONFIG, { config: CONFIG, user: "alice", token: source }, parts);
      await assert.rejects(phone.register(), { name: "UsageError" });
      await phone.close();
    });
  }

  test("a request for a token that is never answered is followed by one that is", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const wire = new Wire();
      let now = 0;
      const { requests, fetchToken } = unanswered();
      const token = tokenSource(fetchToken, [() => now]);
      const parts = { transportConstructor: wire.transportConstructor };
      const phone = await Phone.open(CONFIG, { config: CONFIG, user: "alice", token }, parts);
      const refused = assert.rejects(phone.register(), { kind: "socket" });
      await settled();
      mock.timers.tick(15_000);
      await refused;
      now = 15;
      const registered = phone.register();
      await settled();
      requests[1]?.resolve({ token: "t2", expiresInS: 600 });
      const register = await wire.next();
      assert.deepEqual(register.headers("authorization"), ["Bearer t2"]);
      wire.deliver(granted(register));
      await registered;
      await close(phone, wire);
    } finally {
      mock.timers.reset();
    }
  });

  test("closing does not fail when there is no token any more", async () => {
    const wire = new Wire();
    const phone = await openPhone(wire, token("t1", 0));
    const registered = phone.register();
    const register = await wire.next();
    wire.deliver(responseTo(register, "200 OK", [`Contact: ${register.header("contact").split(";expires")[0]};expires=600`]));
    await registered;
    const closing = phone.close();
    const removal = await wire.next();
    assert.deepEqual(removal.headers("authorization"), []);
    wire.deliver(responseTo(removal, "401 Unauthorized"));
    await closing;
    assert.equal(phone.state, "closed");
  });
});
