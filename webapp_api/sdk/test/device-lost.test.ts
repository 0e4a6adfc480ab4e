/** A microphone that is unplugged is told of, in every kind of call. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { captured } from "./browser.ts";
import { answered, AUDIO, phoneOnWire, placed, quiet, requestFrom, ringing } from "./call-on-wire.ts";
import type { Call } from "../src/call.ts";
import type { Wire } from "./wire.ts";

/** What `call` tells when its microphone goes away. */
function lost(call: Call): string[] {
  const kinds: string[] = [];
  call.on("deviceLost", (kind) => kinds.push(kind));
  const track = captured.at(-1)?.getAudioTracks()[0] as { onended?: () => void } | undefined;
  track?.onended?.();
  return kinds;
}

/** Acknowledge the reliable 183 of the page. */
async function acknowledged(wire: Wire): Promise<void> {
  for (;;) {
    const progress = await wire.next();
    if (!progress.startLine.startsWith("SIP/2.0 183")) continue;
    const toTag = /tag=(.*)/.exec(progress.header("to"))?.[1] ?? "";
    await quiet();
    wire.deliver(requestFrom("PRACK", { cseq: 2, toTag, lines: [`RAck: ${progress.header("rseq")} 1 INVITE`] }));
    assert.match((await wire.next()).startLine, /^SIP\/2.0 200/);
    return;
  }
}

describe("a microphone that goes away", () => {
  test("is told of in a call that the page makes", async (context) => {
    const { wire, phone } = await phoneOnWire(context);
    assert.deepEqual(lost(await placed(wire, phone, {}, AUDIO)), ["audio"]);
  });

  for (const prepared of [false, true]) {
    test(`is told of in a call that comes in${prepared ? ", and was prepared" : ""}`, async (context) => {
      const { wire, phone } = await phoneOnWire(context);
      const call = await ringing(wire, phone, { lines: ["Supported: 100rel"] });
      if (prepared) {
        const ready = call.prepare();
        await acknowledged(wire);
        await ready;
      }
      await answered(wire, call);
      assert.equal(call.state, "established");
      assert.deepEqual(lost(call), ["audio"]);
    });
  }
});
