/** The overview: what it says of a site that is not well. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Part } from "./console-page.ts";
import { newDesk, type Desk } from "../../console/desk.ts";
import type { Members } from "../../console/members.ts";
import { overviewView } from "../../console/view-overview.ts";

const unexpected = (): never => assert.fail("nothing of this kind is expected");

const NODES = { nodes: [{ node: "192.0.2.1:2223", drained: false, gateways: [{ gateway: "gw1", state: "up", calls: 1 }] }] };
const TRUNKS = { trunks: [{ trunk: "acme", most_calls: 0, gateways: [{ gateway: "gw1", state: "up" }] }] };
const STATUS = { gateways: [{ gateway: "gw1", calls: 3 }], calls: 3, counted_at: { gw1: 1 }, registrations: 7, wrong: [] };

/** A service that answers these paths below /operator and no other. */
function deskOf(answers: Readonly<Record<string, Members>>): Desk {
  const ask = (_method: string, path: string): Promise<Members> => {
    const answer = answers[path.replace("/operator/", "")];
    return answer === undefined ? Promise.reject(new Error(`no ${path}`)) : Promise.resolve(answer);
  };
  return newDesk({ ask, tell: unexpected, complain: unexpected, confirm: unexpected });
}

async function shown(desk: Desk): Promise<string> {
  const view = overviewView(desk);
  await view.refresh();
  view.render();
  return (view.element as unknown as Part).text;
}

test("a site that is well has no alarm", async () => {
  const text = await shown(deskOf({ nodes: NODES, trunks: TRUNKS, status: STATUS }));
  assert.match(text, /Running calls 3 gw1 3 Registrations 7 Relay nodes up 1 of 1 Trunks up 1 of 1/);
  assert.match(text, /Alarms None\.$/);
});

test("what the service says is wrong is an alarm, and what no gateway says is no zero", async () => {
  const wrong = ["gateway gw1 is silent for 60 s", "no relay node takes new calls"];
  const status = { ...STATUS, gateways: [{ gateway: "gw1", calls: null }], calls: null, wrong };
  const text = await shown(deskOf({ nodes: { nodes: [] }, trunks: { trunks: [] }, status }));
  assert.match(text, /Running calls \? gw1 \?/);
  assert.match(text, /Alarms Gateway gw1 is silent for 60 s No relay node takes new calls$/);
});
