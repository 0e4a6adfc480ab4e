import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { DEFAULT_RECONNECT, delayMs, Reconnector, type AttemptResult, type Wait } from "../src/reconnector.ts";
import { settled } from "./phone-on-wire.ts";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

describe("waits between attempts", () => {
  test("they double, chance takes up to half, and they end at the longest", () => {
    const waits = (random: number): number[] => [1, 2, 3, 6, 40].map((attempt) => delayMs(attempt, DEFAULT_RECONNECT, random));
    assert.deepEqual(waits(1), [1000, 2000, 4000, 10_000, 10_000]);
    assert.deepEqual(waits(0), [500, 1000, 2000, 5_000, 5_000]);
  });

  function reconnector(results: AttemptResult[], random = 1): { waits: number[]; givenUp: () => number; made: Reconnector } {
    const waits: number[] = [];
    let givenUp = 0;
    const made = new Reconnector({
      settings: DEFAULT_RECONNECT,
      attempt: () => Promise.resolve(results.shift() ?? { done: false }),
      onWait: ({ delayMs: wait }) => waits.push(wait),
      onGivenUp: () => (givenUp += 1),
      random: () => random,
    });
    return { waits, givenUp: () => givenUp, made };
  }

  for (const giveUpAfterS of [Infinity, 31 * 24 * 3600]) {
    test(`${giveUpAfterS} s are not over at once, though browsers count no further than 24 days`, async () => {
      mock.timers.reset();
      let givenUp = 0;
      const made = new Reconnector({
        settings: { ...DEFAULT_RECONNECT, giveUpAfterS },
        attempt: () => Promise.resolve({ done: false }),
        onWait: () => undefined,
        onGivenUp: () => (givenUp += 1),
      });
      made.start({ retryAfterS: giveUpAfterS });
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual([givenUp, made.running], [0, true]);
      made.stop();
    });
  }

  test("after a restart of the gateway its pages spread over a longer time", () => {
    for (const random of [0, 0.5, 1]) {
      const { waits, made } = reconnector([], random);
      made.start({ restart: true });
      assert.deepEqual(waits, [4000 * random]);
      made.stop();
    }
  });

  test("with a call that runs the first attempt comes soon", () => {
    for (const random of [0, 0.5, 1]) {
      const { waits, made } = reconnector([], random);
      made.start({ urgent: true });
      assert.deepEqual(waits, [250 * random]);
      made.stop();
    }
  });

  test("Retry-After is kept when it is longer", async () => {
    const { waits, made } = reconnector([{ done: false, retryAfterS: 20 }, { done: false, retryAfterS: 1 }, { done: true }]);
    made.start();
    for (const wait of [1000, 20_000, 4000]) {
      mock.timers.tick(wait);
      await settled();
    }
    assert.deepEqual(waits, [1000, 20_000, 4000]);
    assert.equal(made.running, false);
  });

  test("the network's return cuts the wait short; after the end it changes nothing", async () => {
    const { waits, made } = reconnector([{ done: false }, { done: true }]);
    made.start();
    made.hurry();
    await settled();
    assert.deepEqual(waits, [1000, 2000]);
    made.hurry();
    await settled();
    made.hurry();
    mock.timers.tick(60_000);
    await settled();
    assert.deepEqual(waits, [1000, 2000]);
  });

  test("giving up is told once, and a late result of the last attempt changes nothing", async () => {
    let finish: (result: AttemptResult) => void = () => undefined;
    let givenUp = 0;
    const waits: Wait[] = [];
    const made = new Reconnector({
      settings: { ...DEFAULT_RECONNECT, giveUpAfterS: 5 },
      attempt: () => new Promise((resolve) => (finish = resolve)),
      onWait: (wait) => waits.push(wait),
      onGivenUp: () => (givenUp += 1),
      random: () => 1,
    });
    made.start();
    mock.timers.tick(5000);
    finish({ done: false });
    await settled();
    mock.timers.tick(60_000);
    assert.deepEqual([givenUp, waits.length], [1, 1]);
  });
});
