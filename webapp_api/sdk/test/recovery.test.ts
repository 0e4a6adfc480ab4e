import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { CallEndedError, SipError, SocketError, type PhoneError } from "../src/errors.ts";
import { DEFAULT_RECOVERY, Recovery } from "../src/recovery.ts";
import { settled } from "./phone-on-wire.ts";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

interface Scene {
  readonly recovery: Recovery;
  readonly told: boolean[];
  readonly lost: PhoneError[];
  readonly restarts: () => number;
  connected: boolean;
  up: boolean;
  /** What the next restarts come to. */
  readonly results: (PhoneError | undefined)[];
}

function scene(): Scene {
  let restarts = 0;
  const made: Scene = {
    recovery: new Recovery({
      restart: () => {
        restarts += 1;
        const result = made.results.shift();
        return result === undefined ? Promise.resolve() : Promise.reject(result);
      },
      isConnected: () => made.connected,
      isUp: () => made.up,
      onRecovering: (recovering) => made.told.push(recovering),
      onLost: (error) => made.lost.push(error),
    }),
    told: [],
    lost: [],
    restarts: () => restarts,
    connected: true,
    up: true,
    results: [],
  };
  made.recovery.connectionChanged("connected");
  return made;
}

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await settled();
}

const refusal = (status: number): SipError => new SipError({ method: "INVITE", status, reasonPhrase: "No" });

describe("the way for media", () => {
  test("that is repaired already goes on being repaired when the socket is there once more", async () => {
    const made = scene();
    made.recovery.connectionChanged("failed");
    await pass(0);
    made.recovery.socketRestored();
    await pass(0).catch(() => undefined);
    made.recovery.connectionChanged("failed");
    await pass(60_000);
    assert.ok(made.restarts() > 1);
  });

  test("that gets no reply for a moment is left alone", async () => {
    const made = scene();
    made.recovery.connectionChanged("disconnected");
    await pass(DEFAULT_RECOVERY.patienceMs - 1);
    made.recovery.connectionChanged("connected");
    await pass(60_000);
    assert.deepEqual([made.told, made.restarts()], [[true, false], 0]);
  });

  test("that gets none for longer is repaired, and up when the browser says so", async () => {
    const made = scene();
    made.up = false;
    made.recovery.connectionChanged("disconnected");
    await pass(DEFAULT_RECOVERY.patienceMs);
    assert.deepEqual([made.recovery.state, made.restarts(), made.told], ["restarting", 1, [true]]);
    made.recovery.connectionChanged("connected");
    assert.deepEqual([made.recovery.state, made.told], ["up", [true, false]]);
    await pass(60_000);
    assert.deepEqual(made.lost, []);
  });

  test("that fails is repaired at once", async () => {
    const made = scene();
    made.recovery.connectionChanged("failed");
    await pass(0);
    assert.equal(made.restarts(), 1);
  });

  test("that fails before it ever was is lost", () => {
    const lost: PhoneError[] = [];
    const recovery = new Recovery({
      restart: () => Promise.resolve(),
      isConnected: () => true,
      isUp: () => false,
      onRecovering: () => undefined,
      onLost: (error) => lost.push(error),
    });
    recovery.connectionChanged("failed");
    assert.deepEqual(lost.map(({ kind }) => kind), ["ice"]);
  });

  test("waits for the socket, and is repaired when it is back although nothing seems broken", async () => {
    const made = scene();
    made.connected = false;
    made.recovery.socketLost();
    made.recovery.connectionChanged("failed");
    await pass(600_000);
    assert.deepEqual([made.restarts(), made.lost.length], [0, 0]);
    made.connected = true;
    made.recovery.socketRestored();
    await pass(0);
    assert.deepEqual([made.restarts(), made.told], [1, [true, false]]);
  });

  test("whose repair is refused for a while is tried again, later each time", async () => {
    const made = scene();
    made.up = false;
    made.results.push(refusal(503), refusal(408), undefined);
    made.recovery.connectionChanged("failed");
    await pass(0);
    await pass(499);
    assert.equal(made.restarts(), 1);
    await pass(1);
    await pass(999);
    assert.equal(made.restarts(), 2);
    await pass(1);
    assert.equal(made.restarts(), 3);
  });

  test("whose repair any server in trouble refuses is tried again", async () => {
    for (const status of [430, 480, 491, 500, 502, 504, 580]) {
      const made = scene();
      made.up = false;
      made.results.push(refusal(status));
      made.recovery.connectionChanged("failed");
      await pass(0);
      await pass(500);
      assert.deepEqual([made.restarts(), made.lost], [2, []], String(status));
      made.recovery.stop();
    }
  });

  test("whose repair is refused for good is lost, or kept when it is not broken", async () => {
    for (const up of [false, true]) {
      const made = scene();
      made.up = up;
      made.results.push(refusal(488));
      made.recovery.socketLost();
      made.recovery.socketRestored();
      await pass(0);
      assert.deepEqual([made.recovery.state, made.lost.length], up ? ["up", 0] : ["lost", 1]);
    }
  });

  test("that does not come back with a socket that works is given up", async () => {
    const made = scene();
    made.up = false;
    made.recovery.connectionChanged("failed");
    await pass(0);
    await pass(DEFAULT_RECOVERY.giveUpMs);
    assert.deepEqual([made.recovery.state, made.lost.map(({ kind }) => kind)], ["lost", ["ice"]]);
  });

  test("whose repair the socket's loss interrupts begins anew", async () => {
    const made = scene();
    made.up = false;
    made.results.push(new SocketError("lost"));
    made.recovery.connectionChanged("failed");
    made.recovery.socketLost();
    await pass(60_000);
    assert.equal(made.recovery.state, "interrupted");
    made.recovery.socketRestored();
    await pass(0);
    await pass(500);
    assert.equal(made.restarts(), 2);
  });

  test("of a call that is over is nobody's business", async () => {
    const made = scene();
    made.results.push(new CallEndedError("over"));
    made.recovery.connectionChanged("failed");
    await pass(0);
    made.recovery.stop();
    await pass(60_000);
    assert.deepEqual([made.restarts(), made.lost], [1, []]);
  });
});
