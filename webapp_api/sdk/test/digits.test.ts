/** Digits keep their order, and are heard before the call is hung up. */

import assert from "node:assert/strict";
import { describe, mock, test, type TestContext } from "node:test";

import { FakePeerConnection } from "./browser.ts";
import { AUDIO, phoneOnWire, placed, quiet } from "./call-on-wire.ts";
import { Digits } from "../src/dtmf.ts";
import { granted } from "./phone-on-wire.ts";
import type { OutgoingCall } from "../src/outgoing-call.ts";
import { responseTo, type Message, type Wire } from "./wire.ts";

async function talking(context: TestContext, state = "connected"): Promise<{ wire: Wire; call: OutgoingCall }> {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { wire, phone } = await phoneOnWire(context);
  context.after(() => mock.timers.reset());
  const call = await placed(wire, phone, {}, AUDIO);
  FakePeerConnection.made.at(-1)?.to(state);
  return { wire, call };
}

/** Answer the INFOs that come, one after the other; their digits. */
async function taken(wire: Wire, statuses: readonly string[] = []): Promise<string> {
  let digits = "";
  for (await quiet(); !wire.silent; await quiet()) {
    const info = await wire.next();
    assert.match(info.startLine, /^INFO /);
    wire.deliver(responseTo(info, statuses[digits.length] ?? "200 OK"));
    digits += /^Signal=(.)/.exec(info.body)?.[1];
  }
  return digits;
}

/** What the page sends next, within two seconds. */
async function soon(wire: Wire, startLine: RegExp): Promise<Message> {
  for (let ms = 0; ms < 2000; ms += 100) {
    await quiet();
    if (!wire.silent) break;
    mock.timers.tick(100);
  }
  assert.equal(wire.silent, false, `no ${startLine}`);
  const message = await wire.next();
  assert.match(message.startLine, startLine);
  return message;
}

describe("digits by INFO", () => {
  test("come in the order in which they were asked for", async (context) => {
    const { wire, call } = await talking(context);
    void call.sendDtmf("123");
    void call.sendDtmf("#");
    assert.equal(await taken(wire), "123#");
  });

  test("do not overtake one that waits until the gateway hears the page", async (context) => {
    const { wire, call } = await talking(context, "connecting");
    void call.sendDtmf("1");
    await quiet();
    FakePeerConnection.made.at(-1)?.to("connected");
    void call.sendDtmf("2");
    await quiet();
    assert.equal(wire.silent, true);
    mock.timers.tick(100);
    assert.equal(await taken(wire), "12");
  });

  test("that are refused take the rest of their own along, and none that follow", async (context) => {
    const { wire, call } = await talking(context);
    const refused = assert.rejects(call.sendDtmf("123"), { kind: "sip", status: 480 });
    void call.sendDtmf("#");
    assert.equal(await taken(wire, ["200 OK", "480 Temporarily Unavailable"]), "12#");
    await refused;
  });

  test("have been played when the promise resolves, and follow each other without a wait", async (context) => {
    const { wire, call } = await talking(context);
    const heard: string[] = [];
    void call.sendDtmf("12").then(() => heard.push("12"));
    void call.sendDtmf("3", { durationMs: 200 }).then(() => heard.push("3"));
    assert.equal(await taken(wire), "123");
    const pass = async (ms: number): Promise<string[]> => {
      mock.timers.tick(ms);
      await quiet();
      return heard;
    };
    await pass(260);
    assert.deepEqual(await pass(259), []);
    assert.deepEqual(await pass(1), ["12"]);
    assert.deepEqual(await pass(299), ["12"]);
    assert.deepEqual(await pass(1), ["12", "3"]);
  });

  test("do not wait for one that was under way when the socket was lost", async (context) => {
    const { wire, call } = await talking(context);
    const lost = assert.rejects(call.sendDtmf("1"), { kind: "socket" });
    assert.match((await wire.next()).body, /^Signal=1/);
    wire.break();
    await lost;
    wire.deliver(granted(await soon(wire, /^REGISTER /)));
    wire.deliver(responseTo(await soon(wire, /^INVITE /), "200 OK", [], AUDIO));
    await soon(wire, /^ACK /);
    void call.sendDtmf("2");
    assert.equal(await taken(wire), "2");
  });

  test("that are none, or of a call that is over, are told at once", async (context) => {
    const { wire, call } = await talking(context);
    await assert.rejects(call.sendDtmf("1 2"), { kind: "usage" });
    await assert.rejects(call.sendDtmf("1", { durationMs: 1 }), { kind: "usage" });
    const waiting = assert.rejects(call.sendDtmf("1"), { kind: "socket" });
    await quiet();
    wire.break();
    mock.timers.reset(); // nothing takes long from here on
    const hungUp = call.hangup();
    await assert.rejects(call.sendDtmf("2"), { kind: "call-ended" });
    await Promise.all([hungUp, waiting]);
  });
});

/** A connection whose browser takes a tone out of the buffer when it begins to play it. */
function playing(): { connection: RTCPeerConnection; played: string[] } {
  const played: string[] = [];
  let idle = true;
  const dtmf = {
    canInsertDTMF: true,
    toneBuffer: "",
    insertDTMF(tones: string, durationMs: number, gapMs: number): void {
      dtmf.toneBuffer = tones;
      const play = (): void => {
        const tone = dtmf.toneBuffer[0];
        idle = tone === undefined;
        if (tone === undefined) return;
        dtmf.toneBuffer = dtmf.toneBuffer.slice(1);
        setTimeout(() => {
          played.push(tone);
          play();
        }, durationMs + Math.max(gapMs, 30));
      };
      if (idle) play();
    },
  };
  return { connection: { getSenders: () => [{ dtmf }] } as unknown as RTCPeerConnection, played };
}

describe("digits by telephone-events", () => {
  for (const [gapMs, eachMs] of [[100, 260], [0, 190]] as const) {
    test(`have been played when the promise resolves, with ${gapMs} ms between them`, async (context) => {
      mock.timers.enable({ apis: ["setTimeout"] });
      context.after(() => mock.timers.reset());
      const { connection, played } = playing();
      const digits = new Digits();
      const heard: string[] = [];
      const send = (tones: string): Promise<unknown> =>
        digits.send(tones, { gapMs }, connection, () => Promise.reject(new Error("INFO"))).then(() => heard.push(tones));
      void send("1");
      await quiet();
      void send("23");
      await quiet();
      for (const all of ["1", "1", "1,23"]) {
        mock.timers.tick(eachMs - 1);
        await quiet();
        assert.notEqual(heard.join(), "1,23");
        mock.timers.tick(1);
        await quiet();
        assert.equal(heard.join(), all);
      }
      assert.equal(played.join(""), "123");
    });
  }
});
