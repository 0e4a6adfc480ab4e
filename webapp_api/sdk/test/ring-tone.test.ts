/** A browser that allows no sound yet: what is missed is not heard later, and the person is told. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { RingTone, tryToRing } from "../../softphone/ring-tone.ts";
import { settled } from "./phone-on-wire.ts";

let isAllowed = false;
/** Tones that were begun. */
let tones = 0;

class FakeContext {
  static readonly open = new Set<FakeContext>();
  state = "suspended";
  readonly currentTime = 0;
  readonly destination = {};
  #resumed: (() => void)[] = [];

  constructor() {
    FakeContext.open.add(this);
  }

  resume(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#resumed.push(resolve));
    if (isAllowed) {
      this.state = "running";
      for (const resolve of this.#resumed.splice(0)) resolve();
    }
    return done;
  }

  close(): Promise<void> {
    FakeContext.open.delete(this);
    return Promise.resolve();
  }
}

class FakeNode {
  readonly gain = { setTargetAtTime: (): void => undefined };
  connect(): void {}
  disconnect(): void {}
  stop(): void {}
  start(): void {
    tones += 1;
  }
}

const page = new EventTarget();
Object.assign(globalThis, { AudioContext: FakeContext, GainNode: FakeNode, OscillatorNode: FakeNode, document: page });

/** The person clicks, from when on the browser allows sound. */
async function touch(): Promise<void> {
  isAllowed = true;
  page.dispatchEvent(new Event("click"));
  await settled();
}

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    mock.timers.tick(Math.min(left, 500));
    await settled();
  }
}

/** What the person is told now, and how often they were. */
const told = { now: 0, ever: 0 };
const tell = (): (() => void) => {
  told.now += 1;
  told.ever += 1;
  return () => {
    told.now -= 1;
  };
};

const ringer = new RingTone();
beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  Object.assign(told, { now: 0, ever: 0 });
  [isAllowed, tones] = [false, 0];
  for (const context of FakeContext.open) context.state = "suspended";
});
afterEach(() => {
  ringer.stop();
  mock.timers.reset();
});

test("the rings that nobody could hear are not heard together later", async () => {
  void tryToRing(tell);
  ringer.start("ring");
  await pass(20_000);
  assert.deepEqual([tones, told.now], [0, 1]);
  await touch();
  assert.deepEqual([tones, told.now], [2, 0]); // one ring is two tones
  await pass(8_000);
  assert.equal(tones, 6);
});

test("a ring that is over before the browser allows it is not heard", async () => {
  void tryToRing(tell);
  ringer.start("ring");
  await pass(5_000);
  ringer.stop();
  await touch();
  await pass(10_000);
  assert.equal(tones, 0);
});

test("who may not hear the page is told at the sign-in and with each call, until they touch it", async () => {
  const open = FakeContext.open.size;
  void tryToRing(tell);
  await pass(1_500);
  void tryToRing(tell);
  await pass(1_500);
  assert.deepEqual(told, { now: 2, ever: 2 });
  await touch();
  assert.deepEqual(told, { now: 0, ever: 2 });
  void tryToRing(tell);
  await pass(1_500);
  assert.deepEqual(told, { now: 0, ever: 2 });
  assert.equal(FakeContext.open.size, open);
});
