/** The overview and the list of nodes: what they say of a site that is not well, and of what nobody has told. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Part } from "./console-page.ts";
import { newDesk, type Desk } from "../../console/desk.ts";
import type { Members } from "../../console/members.ts";
import { nodesView } from "../../console/view-nodes.ts";
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
  desk.hasHeard = true;
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

test("what was told is shown, and nothing is said of what was not", async () => {
  const desk = deskOf({ nodes: NODES });
  const view = overviewView(desk);
  await assert.rejects(view.refresh(), /no \/operator\/trunks/);
  view.render();
  const { text } = view.element as unknown as Part;
  assert.match(text, /Running calls … Registrations … Relay nodes up 1 of 1 Trunks up …/);
  assert.match(text, /Failed calls of the last hour Not known yet\. Alarms Not known yet\.$/);
  assert.equal(desk.counts.total, undefined);
});

test("a list of relay nodes says nothing before it was told, and of calls that nobody knows it does not say 0", async () => {
  const seen = (...calls: (number | null)[]): Members[] => calls.map((one, at) => ({ gateway: `gw${at}`, state: "up", calls: one, version: "" }));
  const answers: Record<string, Members> = { nodes: { nodes: [] }, trunks: { trunks: [] } };
  const view = nodesView(deskOf(answers));
  const part = view.element as unknown as Part;
  await assert.rejects(view.refresh());
  view.render();
  assert.equal(part.text, "");
  const nodes = [{ node: "a", gateways: seen(null, null) }, { node: "b", gateways: seen(null, 0) }, { node: "c", gateways: [] }];
  Object.assign(answers, { nodes: { nodes }, counters: { gateways: [] } });
  await view.refresh();
  view.render();
  assert.match(part.text, / a up +gw0 up +gw1 \? Yes .* b up +gw0 up +gw1 0 Yes .* c \? Yes /);
});
