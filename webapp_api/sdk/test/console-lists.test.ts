/** Lists that come page by page: where their buttons lead, and what events change; and how a call's page asks. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Part } from "./console-page.ts";
import { ApiError } from "../../console/api.ts";
import { newDesk } from "../../console/desk.ts";
import { textOf, type Members } from "../../console/members.ts";
import { PagedList } from "../../console/paged-list.ts";
import { callView } from "../../console/view-call.ts";
import { callsView } from "../../console/view-calls.ts";

const unexpected = (): never => assert.fail("nothing of this kind is expected");

/** A service whose pages are a, b, c...; each answer comes when the test says so. */
class Service {
  readonly asked: string[] = [];
  #waiting: (() => void)[] = [];

  readonly ask = (_method: string, path: string): Promise<Members> => {
    const cursor = new URLSearchParams(path.split("?")[1]).get("cursor") ?? "";
    this.asked.push(cursor);
    const following = String.fromCharCode((cursor || "`").charCodeAt(0) + 1);
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve({ rows: [{ name: `row behind ${cursor}.` }], next: following }));
    });
  };

  async answer(): Promise<void> {
    for (const one of this.#waiting.splice(0)) one();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** The last question is answered first. */
  async answerLastFirst(): Promise<void> {
    for (const one of this.#waiting.splice(0).reverse()) {
      one();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function shown(service: Service): Promise<Part> {
  const list = new PagedList({
    ask: service.ask, path: "/x", member: "rows", cursor: "cursor", filters: [], query: {}, caption: "", one: "row",
    columns: [{ title: "" }], cells: (entry) => [textOf(entry, "name")], complain: unexpected, onQuery: unexpected,
  }); // prettier-ignore
  const first = list.refresh();
  await service.answer();
  await first;
  return list.element as unknown as Part;
}

function click(list: Part, label: string): void {
  (list.find(label) ?? assert.fail(`no ${label}`)).click();
}

test("a page is turned once, however often the button is clicked while the service is asked", async () => {
  const service = new Service();
  const list = await shown(service);
  click(list, "Next");
  click(list, "Next");
  await service.answer();
  assert.match(list.text, /1 row on this page, page 2 row behind a\./);
  click(list, "Next");
  await service.answer();
  click(list, "Back");
  click(list, "Back");
  await service.answer();
  assert.match(list.text, /, page 2 row behind a\./);
  assert.deepEqual(service.asked, ["", "a", "a", "b", "a", "a"]);
});

test("the page that was asked for last is the one that is shown, whichever answer comes last", async () => {
  const service = new Service();
  const list = await shown(service);
  click(list, "Next");
  await service.answer();
  click(list, "Next");
  click(list, "Back");
  await service.answerLastFirst();
  assert.match(list.text, /1 row on this page row behind \./);
});

test("a trace that is not there is asked for six times at first, and then once at a time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let asked = 0;
  const ask = (): Promise<never> => {
    asked += 1;
    return Promise.reject(new ApiError(404, "There is no such trace."));
  };
  const view = callView(newDesk({ ask, tell: unexpected, complain: unexpected, confirm: unexpected }), "k");
  const refused = assert.rejects(view.refresh(), { status: 404 });
  for (let second = 0; second < 10; second += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(1000);
  }
  await refused;
  assert.equal(asked, 6);
  await assert.rejects(view.refresh(), { status: 404 });
  assert.equal(asked, 7);
});

test("what happens to calls while the service is asked is not forgotten with its answer", async () => {
  const call = (key: string): Members => ({ key, call_id: key, owner: `sip:${key}@d`, peer: "sip:b@d", direction: "out", kinds: [], dialog: "early", since: 1, gateway: "gw1" });
  const answers: (() => void)[] = [];
  const document = { calls: [call("a"), call("b")], total: 2, gateways: [{ gateway: "gw1", total: 2, at: 100 }], silent: [] };
  const ask = (): Promise<Members> => new Promise((resolve) => answers.push(() => resolve(document)));
  const view = callsView(newDesk({ ask, tell: unexpected, complain: unexpected, confirm: unexpected }), { page: "calls", key: "", query: {} });
  const part = view.element as unknown as Part;
  const tell = (type: string, key: string, at: number): void => view.take?.({ type, key, call_id: key, impu: `sip:${key}@d`, peer: "sip:b@d", node: "gw1", at });
  const answered = view.refresh();
  tell("call_ended", "a", 101);
  tell("call_ended", "b", 99);
  tell("call_started", "c", 101);
  tell("call_started", "d", 99);
  const second = view.refresh();
  answers.shift()?.();
  await answered;
  assert.match(part.text, /2 calls Running .* c@d .* b@d /, "what was later than the answer");
  assert.doesNotMatch(part.text, / [ad]@d /);
  answers.shift()?.();
  await second;
  assert.match(part.text, /2 calls Running .* a@d .* b@d /, "the second question was put after these events");
});
