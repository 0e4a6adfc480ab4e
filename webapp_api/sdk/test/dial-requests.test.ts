/** Click-to-dial: which page takes a call that was asked for elsewhere, and when. The README's example does the same. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { takeDialRequests } from "../../softphone/dial-requests.ts";
import type { Call, Phone } from "../src/index.ts";
import { close, granted, registeredPhone, settled } from "./phone-on-wire.ts";
import { Wire } from "./wire.ts";

const README = await readFile(new URL("../../README.md", import.meta.url), "utf8");
const [, EXAMPLE = ""] = /<!-- example: dials -->\n```js\n(.*?)```/s.exec(README) ?? [];

type Event = Readonly<Record<string, string>>;
type Caller = Pick<Phone, "state" | "onState"> & { call: (to: string) => Call };
/** Let a page listen; returns what tells it events. */
type Listen = (phone: Caller) => (event: Event) => void;

/** The page's WebSocket at /api/events. */
class FakeSocket {
  static opened: FakeSocket[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;

  constructor() {
    FakeSocket.opened.push(this);
  }

  static get last(): FakeSocket {
    const last = FakeSocket.opened.at(-1);
    assert.ok(last);
    return last;
  }

  tell(event: Event): void {
    this.onmessage?.({ data: JSON.stringify(event) });
  }

  close(): void {
    this.closed = true;
  }
}

const page = { hidden: false };
let talking = false;
let stop = (): void => undefined;
/** What the page told the web service, without its name. */
let reports: Event[] = [];
let called: string[] = [];

Object.assign(globalThis, { WebSocket: FakeSocket, document: page, location: new URL("https://gw.example/") });
Object.assign(globalThis, {
  fetch: (url: string, { body }: { body: string }): Promise<Response> => {
    assert.equal(url, "/api/dials/d1");
    const { page: name, ...more } = JSON.parse(body) as { page: string };
    assert.match(name, /^[\w-]{8,64}$/);
    reports.push(more);
    return Promise.resolve(Response.json({ to: "+49301", video: false }));
  },
});

const softphone: Listen = (phone) => {
  stop = takeDialRequests(phone, () => talking, (to) => Promise.resolve(phone.call(to)));
  return (event) => FakeSocket.last.tell(event);
};
const example: Listen = (phone) => (new Function("phone", `${EXAMPLE}; return heard;`) as Listen)(phone);

/** `phone`, whose calls have a Call-ID once they are dialling. */
function callerOf(phone: Phone): Caller {
  const call = (to: string): Call => {
    called.push(to);
    const ringing = { end: undefined, diagnostics: () => ({ callId: "c1" }), onState };
    return ringing as unknown as Call;
  };
  const onState = (listener: (state: "dialling") => void): (() => void) => {
    setImmediate(() => listener("dialling"));
    return () => undefined;
  };
  return { get state() { return phone.state; }, onState: (listener) => phone.onState(listener), call };
}

/** Let `ms` pass, and all that happens meanwhile. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left >= 0; left -= 100) {
    mock.timers.tick(Math.min(left, 100));
    await settled();
    await settled();
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  [reports, called, talking, page.hidden] = [[], [], false, false];
});
afterEach(() => {
  stop();
  mock.timers.reset();
});

const TAKEN = [{}, { call_id: "c1" }];
const REQUESTED = { type: "dial_requested", dial: "d1" };

for (const [who, listen] of [["the softphone", softphone], ["the example", example]] as const) {
  describe(who, () => {
    async function world(): Promise<{ wire: Wire; phone: Phone; tell: (event: Event) => void }> {
      const wire = new Wire();
      const phone = await registeredPhone(wire);
      return { wire, phone, tell: listen(callerOf(phone)) };
    }

    test("takes it at once, and says which call it has become", async () => {
      const { wire, phone, tell } = await world();
      tell(REQUESTED);
      await pass(0);
      assert.deepEqual([reports, called], [TAKEN, ["+49301"]]);
      await close(phone, wire);
    });

    test("leaves it to others without a connection, and takes it once it is registered again", async () => {
      const { wire, phone, tell } = await world();
      wire.break();
      tell(REQUESTED);
      await pass(2_000);
      assert.deepEqual([phone.state, reports], ["reconnecting", []]);
      wire.deliver(granted(await wire.next()));
      await pass(100);
      assert.deepEqual([phone.state, reports, called], ["registered", TAKEN, ["+49301"]]);
      await close(phone, wire);
    });

    test("forgets what another page has taken meanwhile", async () => {
      const { wire, phone, tell } = await world();
      wire.break();
      tell(REQUESTED);
      tell({ type: "dial_taken", dial: "d1" });
      await pass(2_000);
      wire.deliver(granted(await wire.next()));
      await pass(100);
      assert.deepEqual([phone.state, reports], ["registered", []]);
      await close(phone, wire);
    });

    test("forgets what comes too late", async () => {
      const { wire, phone, tell } = await world();
      wire.break();
      tell(REQUESTED);
      await pass(19_000);
      wire.deliver(granted(await wire.next()));
      await pass(100);
      assert.deepEqual([phone.state, reports], ["registered", []]);
      await close(phone, wire);
    });
  });
}

test("the softphone that comes back lets others go first as it would have before", async () => {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  const tell = softphone(callerOf(phone));
  [talking, page.hidden] = [true, true];
  wire.break();
  tell(REQUESTED);
  await pass(2_000);
  wire.deliver(granted(await wire.next()));
  await pass(1_800);
  assert.deepEqual([phone.state, reports], ["registered", []]);
  await pass(200);
  assert.deepEqual(reports, TAKEN);
  await close(phone, wire);
});

test("the softphone listens anew when it hears nothing any more, though the socket is open", async () => {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  const tell = softphone(callerOf(phone));
  const [first, before] = [FakeSocket.last, FakeSocket.opened.length];
  for (let beat = 0; beat < 4; beat++) {
    tell({ type: "position" });
    await pass(20_000);
  }
  assert.deepEqual([first.closed, FakeSocket.opened.length], [false, before]);
  await pass(36_000);
  assert.deepEqual([first.closed, FakeSocket.opened.length], [true, before + 1]);
  tell(REQUESTED);
  await pass(0);
  assert.deepEqual(reports, TAKEN);
  stop();
  await pass(60_000);
  assert.equal(FakeSocket.opened.length, before + 1);
  await close(phone, wire);
});

test("the softphone listens anew when the socket breaks, and not when it is told to stay away", async () => {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  softphone(callerOf(phone));
  const before = FakeSocket.opened.length;
  FakeSocket.last.onclose?.({ code: 1006 });
  await pass(5_000);
  assert.equal(FakeSocket.opened.length, before + 1);
  FakeSocket.last.onclose?.({ code: 4401 });
  await pass(60_000);
  assert.equal(FakeSocket.opened.length, before + 1);
  await close(phone, wire);
});

test("the softphone that is left takes nothing", async () => {
  const wire = new Wire();
  const phone = await registeredPhone(wire);
  const tell = softphone(callerOf(phone));
  page.hidden = true;
  tell(REQUESTED);
  stop();
  await pass(500);
  assert.deepEqual(reports, []);
  await close(phone, wire);
});
