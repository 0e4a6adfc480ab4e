/** Pools in the console: how many identities are out, who has them, and the end of a lease. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Part } from "./console-page.ts";
import { ApiError, type Ask } from "../../console/api.ts";
import { newDesk, type Desk } from "../../console/desk.ts";
import type { Members } from "../../console/members.ts";
import { poolsView } from "../../console/view-pools.ts";

const unexpected = (): never => assert.fail("nothing of this kind is expected");

function identity(name: string, state: string): Members {
  const isFree = state === "free";
  return { impi: `${name}@d`, impus: [`sip:${name}@d`, "tel:+1999"], state, session: isFree ? "" : `<b>${name}</b>`, since: isFree ? 0 : 1, ends_at: isFree ? 0 : 2 };
}

function pool(...identities: Members[]): Members {
  return { pools: [{ pool: "guests", offered: true, free: identities.filter((one) => one["state"] === "free").length, identities }] };
}

async function shown(ask: Ask, told: Partial<Desk> = {}, query: Readonly<Record<string, string>> = {}): Promise<Part> {
  const desk = newDesk({ ask, tell: unexpected, complain: unexpected, confirm: unexpected, ...told });
  const view = poolsView(desk, { page: "pools", key: "", query });
  await view.refresh();
  return view.element as unknown as Part;
}

test("how many leases are out, and who holds them", async () => {
  const identities = [identity("a", "held"), identity("b", "settling"), identity("c", "free"), identity("d", "free")];
  const { text } = await shown(() => Promise.resolve(pool(...identities)));
  assert.match(text, /^Pools Pools of identities Pool Offered Identities Leased Settling Free guests Yes 4 1 1 2 /);
  assert.match(text, /4 identities .* a@d a@d, \+1999 held .* <b>a<\/b> End {2}the lease of a@d b@d b@d, \+1999 settling /);
  assert.equal(text.match(/End {2}the lease of/g)?.length, 1, "what nobody holds cannot be ended");
});

test("identities are found by state and text", async () => {
  const ask = (): Promise<Members> => Promise.resolve(pool(identity("a", "held"), identity("b", "held"), identity("c", "free")));
  assert.match((await shown(ask, {}, { state: "held", text: "<B>B" })).text, /1 identity Identities of the pools .* b@d/);
  assert.match((await shown(ask, {}, { state: "settling" })).text, /0 identities$/);
});

test("without a pool it says where one comes from", async () => {
  const { text } = await shown(() => Promise.resolve({ pools: [] }));
  assert.match(text, /^Pools There is none\. .* webapp_api_identity_pool\./);
});

test("a lease is ended when the operator means it, and then the page knows", async () => {
  const asked: string[] = [];
  const told: string[] = [];
  let says = false;
  const ask = (method: string, path: string): Promise<Members> => {
    asked.push(`${method} ${path}`);
    return Promise.resolve(method === "DELETE" ? {} : pool(identity("a", asked.length > 1 ? "settling" : "held")));
  };
  const page = await shown(ask, { confirm: () => Promise.resolve(says), tell: (text) => told.push(text) });
  const end = page.find("End") ?? assert.fail();
  end.click();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, ["GET /operator/pools"]);
  says = true;
  end.click();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked.slice(1), ["DELETE /operator/pools/guests/leases/a%40d", "GET /operator/pools"]);
  assert.deepEqual(told, ["The lease of a@d has ended. The identity is free once it has settled."]);
  assert.match(page.text, /guests Yes 1 0 1 0 .* settling/);
});

test("what the service refuses is told", async () => {
  const complaints: unknown[] = [];
  const refusal = new ApiError(404, "Nobody holds this identity.");
  const ask = (method: string): Promise<Members> => (method === "DELETE" ? Promise.reject(refusal) : Promise.resolve(pool(identity("a", "held"))));
  const complain = (error: unknown): void => void complaints.push(error);
  const page = await shown(ask, { confirm: () => Promise.resolve(true), complain });
  (page.find("End") ?? assert.fail()).click();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(complaints, [refusal]);
});
