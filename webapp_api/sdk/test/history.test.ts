/** The calls that a browser remembers, where two tabs of it are used at once. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { CallHistory } from "../../softphone/history.ts";
import type { Call } from "../src/index.ts";

const OWNER = "alice@ims.example";
const kept = new Map<string, string>();
const storage = {
  getItem: (key: string): string | null => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
  removeItem: (key: string) => void kept.delete(key),
};

const tab = (): CallHistory => new CallHistory(OWNER, false, () => undefined);
const names = (history: CallHistory): string[] => history.calls.map(({ name }) => name).sort();

/** A call of this tab, from its beginning to its end. */
function callIn(history: CallHistory, name: string, cause = "cancelled", direction = "outgoing"): void {
  let end: (end: object) => void = () => undefined;
  const call = { direction, on: (_: string, listener: typeof end) => void (end = listener), diagnostics: () => ({ callId: name }) };
  history.follow(call as unknown as Call, name, name);
  end({ cause });
}

beforeEach(() => {
  kept.clear();
  Object.assign(globalThis, { localStorage: storage });
});

describe("two tabs of one browser", () => {
  test("lose nothing of each other", () => {
    const [one, other] = [tab(), tab()];
    callIn(one, "bob");
    callIn(other, "carol");
    callIn(one, "dave");
    assert.deepEqual(names(tab()), ["bob", "carol", "dave"]);
    assert.deepEqual(names(one), ["bob", "carol", "dave"]);
  });

  test("show what the other has written, and forget what it has forgotten", () => {
    const [one, other] = [tab(), tab()];
    callIn(one, "bob");
    other.reread(); // as the browser tells it
    assert.deepEqual(names(other), ["bob"]);
    one.forget();
    other.reread();
    assert.deepEqual(names(other), []);
    callIn(other, "carol");
    assert.deepEqual(names(tab()), ["carol"]);
  });

  test("have one call of what rang in both", () => {
    const [one, other] = [tab(), tab()];
    callIn(one, "bob", "missed", "incoming");
    callIn(other, "bob", "missed", "incoming");
    callIn(one, "carol", "declined", "incoming");
    callIn(other, "carol", "declined-elsewhere", "incoming");
    assert.deepEqual(names(other), ["bob", "carol"]);
    assert.equal(other.calls.find(({ name }) => name === "carol")?.outcome, "declined");
  });
});

test("a browser that keeps nothing remembers for as long as the page is open", () => {
  const refused = (): never => {
    throw new Error("SecurityError");
  };
  Object.assign(globalThis, { localStorage: { getItem: refused, setItem: refused, removeItem: refused } });
  const only = tab();
  callIn(only, "bob");
  callIn(only, "carol");
  assert.deepEqual(names(only), ["bob", "carol"]);
});

test("a guest's calls are of this page alone", () => {
  const guest = new CallHistory(undefined, false, () => undefined);
  callIn(guest, "bob");
  guest.reread();
  assert.deepEqual(names(guest), ["bob"]);
  assert.equal(kept.size, 0);
});
