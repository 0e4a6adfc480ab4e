/** A routing table is loaded in the console: its text, what is wrong in which line, and who else has changed it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Part } from "./console-page.ts";
import { ApiError, asker } from "../../console/api.ts";
import { newDesk, type Question } from "../../console/desk.ts";
import type { Members } from "../../console/members.ts";
import { faultOf, problemsOf, textOfTable } from "../../console/routing-text.ts";
import { routesView } from "../../console/view-routes.ts";

const DOCUMENT = {
  routes: [
    { id: "all", number: "*", to: "core", hours: null },
    { id: "night", number: "+49 a\nb*", to: "refuse", hours: { days: ["sun"] } },
  ],
  plans: { "d.example": { country: "DE" } },
  profiles: [],
};

/** As the service gives it: nothing is left out. */
const EMPTY = { routes: [], plans: {}, trunk_groups: {}, conferences: {}, permissions: {}, profiles: [] };

test("a table becomes a text with a row a line, and the same table again", () => {
  const text = textOfTable(DOCUMENT);
  assert.deepEqual(JSON.parse(text), DOCUMENT);
  const lines = text.split("\n");
  assert.equal(lines[2], '    { "id": "all", "number": "*", "to": "core", "hours": null },');
  assert.match(lines[3] ?? "", /^ {4}\{ "id": "night", .*\} \}$/);
  assert.equal(lines[6], '    "d.example": { "country": "DE" }');
  assert.equal(lines[8], '  "profiles": []');
});

test("what is no JSON is named with its line", () => {
  const rows = [
    ['{\n"routes": [\n{},\n]}', "a value, found ]", 4],
    ['{\n"routes": []\n"plans": {}}', ", or the end of the list or object, found \"plans\"", 3],
    ['{"routes": [], }', "a name in quotation marks, found }", 1],
    ["{\n'routes': []}", "a name in quotation marks or }, found 'routes'", 2],
    ['{"routes" []}', ":, found [", 1],
    ['{"routes": [1}', ", or the end of the list or object, found }", 1],
    ['{"routes": [}', "a value or ], found }", 1],
    ['{"routes": [01]}', "a value or ], found 01", 1],
    ['{"routes": ["a\nb"]}', 'a value or ], found "', 1],
    ['{"routes": [\n', "a value or ], found the end of the text", 2],
    ["{}\n{}", "the end of the text, found {", 2],
    ["[]", "{, found [", 1],
    ["5", "{, found 5", 1],
    ["", "{, found the end of the text", 1],
    ["{\u00a0}", "a name in quotation marks or }, found \u00a0", 1],
    ['{"\\x": 1}', 'a name in quotation marks or }, found "\\x"', 1],
    [`{${"x".repeat(30)}}`, `a name in quotation marks or }, found ${"x".repeat(20)}…`, 1],
  ] as const;
  for (const [text, expected, line] of rows) {
    assert.deepEqual(faultOf(text), { text: `This is no JSON: expected ${expected}`, lines: [line] }, text);
    if (!expected.startsWith("{, found")) assert.throws(() => void JSON.parse(text), SyntaxError, text);
  }
  for (const text of [' {"a": [1, -2.5e3, true, null, "x: [{"], "b": {}, "c": {"d": [[], {}]}}\r\n', "{}"]) {
    assert.equal(faultOf(text), undefined, text);
    JSON.parse(text);
  }
});

const BAD = `{
  "routes": [
    {"id": "a", "number": "+49*",
     "to": "moon"},
    {"id": "b; row 'x'", "number": "1"},
    {"number": "2"},
    {"id": "a", "number": "3"}
  ],
  "plans": {
    "d.example": {"country": "Germany"}
  },
  "permissions": {"guest": {},
    "*": {}},
  "trunk_groups": {"acme": []},
  "conferences": {
    "weekly": "weekly"}
}`;

test("what the service says is wrong is shown problem by problem, with its lines", () => {
  const told = (detail: string): [string, readonly number[]][] => problemsOf(detail, BAD).map(({ text, lines }) => [text, lines]);
  assert.deepEqual(told("row 'a': there are two of this name; row 2: prio: unknown; row 'gone': no"), [
    ["row 'a': there are two of this name", [3, 7]],
    ["row 2: prio: unknown", [6]],
    ["row 'gone': no", []],
  ]);
  assert.deepEqual(told("plan of 'd.example': 'Germany' is no ISO 3166 code; permission '*': per_minute: 1 to 9; for none leave it out"), [
    ["plan of 'd.example': 'Germany' is no ISO 3166 code", [10]],
    ["permission '*': per_minute: 1 to 9; for none leave it out", [13]],
  ]);
  assert.deepEqual(told("trunk group 'acme': names of trunks, each once; conference 'weekly': not a sip: URI"), [
    ["trunk group 'acme': names of trunks, each once", [14]],
    ["conference 'weekly': not a sip: URI", [16]],
  ]);
  assert.deepEqual(told("Invalid enum value 'moon' - at `$.routes[1].to`"), [["Invalid enum value 'moon' - at `$.routes[1].to`", [5]]]);
  assert.deepEqual(told("Expected `int`, got `str` - at `$.permissions[...].calls`")[0]?.[1], [12]);
  assert.deepEqual(told("1000001 rows, more than 1000000"), [["1000001 rows, more than 1000000", []]]);
});

/** The page and what it asked for; PUT is answered by `put`, GET by the table of `versions` that comes next. */
class Loading {
  readonly asked: (readonly [string, unknown, unknown])[] = [];
  readonly questions: Question[] = [];
  readonly told: string[] = [];
  says = true;
  put: () => Promise<Members> = () => Promise.resolve({ version: 9, table: DOCUMENT });
  page = new Part();
  #versions: number[];

  constructor(...versions: number[]) {
    this.#versions = versions;
  }

  async open(): Promise<void> {
    const ask = (method: string, path: string, body?: object, conditions?: object): Promise<Members> => {
      assert.equal(path, "/operator/routes");
      this.asked.push([method, body, conditions]);
      if (method === "PUT") return this.put();
      const version = this.#versions.length > 1 ? this.#versions.shift() : this.#versions[0];
      return Promise.resolve({ version, table: version === 0 ? {} : DOCUMENT });
    };
    const confirm = (question: Question): Promise<boolean> => {
      this.questions.push(question);
      return Promise.resolve(this.says);
    };
    const view = routesView(
      newDesk({ ask, confirm, tell: (text) => this.told.push(text), complain: (error) => this.told.push(String(error)) }),
      { page: "routes", key: "", query: {} },
    );
    await view.refresh();
    this.page = view.element as unknown as Part;
    (this.page.find("Load another table") ?? assert.fail()).click();
  }

  async load(text?: string): Promise<string> {
    if (text !== undefined) this.text.value = text;
    (this.page.byId("load") ?? assert.fail()).submit();
    await new Promise((resolve) => setImmediate(resolve));
    return this.page.byId("table-problems")?.text ?? "";
  }

  get text(): Part {
    return this.page.byId("table-text") ?? assert.fail("the form is closed");
  }
}

test("the table that is shown is edited and loaded when the operator means it, in the place of this version only", async () => {
  const loading = new Loading(7);
  await loading.open();
  assert.deepEqual(JSON.parse(loading.text.value), DOCUMENT);
  loading.says = false;
  await loading.load();
  assert.equal(loading.asked.length, 1, "the operator has said no");
  loading.says = true;
  await loading.load('{"routes": []}');
  assert.match(loading.questions[1]?.text ?? "", /^Version 7 with 2 rows counts now; the new table has 0 rows\. It is empty, and counts as none\. Every call goes to /);
  assert.deepEqual(loading.asked.slice(1), [["PUT", { routes: [] }, { "if-match": '"7"' }]]);
  assert.deepEqual(loading.told, ["The table is loaded. Version 9 counts."]);
  assert.equal(loading.page.byId("table-text"), undefined);
  assert.match(loading.page.text, /^Version 9 counts\./);
});

test("the first table begins with a row for everything", async () => {
  const loading = new Loading(0);
  await loading.open();
  await loading.load();
  assert.match(loading.questions[0]?.text ?? "", /^Every call goes to the core, or without a core to users alone\. The table has 1 row\. Other numbers, .* get 404 /);
  assert.deepEqual(loading.asked[1], ["PUT", { routes: [{ id: "all", number: "*", to: "core" }] }, { "if-match": '"0"' }]);
});

test("an empty table is none: it is not said to count, and is not what the next one begins with", async () => {
  const loading = new Loading(7);
  loading.put = () => Promise.resolve({ version: 9, table: EMPTY });
  await loading.open();
  await loading.load("{}");
  assert.deepEqual(loading.told, ["The table is loaded. Version 9 is empty, and counts as none."]);
  assert.match(loading.page.text, /^Version 9 is empty, and counts as none\. Every call goes to the core, or without a core to users alone\./);
  (loading.page.find("Load another table") ?? assert.fail()).click();
  assert.deepEqual(JSON.parse(loading.text.value), { routes: [{ id: "all", number: "*", to: "core" }] });
  await loading.load();
  assert.match(loading.questions[1]?.text ?? "", /^Every call goes to the core, .* The table has 1 row\. Other numbers, /);
  assert.deepEqual(loading.asked.at(-1)?.[2], { "if-match": '"9"' });
});

test("what is no JSON is not sent, what the service refuses is told by line, and the text stays", async () => {
  const loading = new Loading(7);
  await loading.open();
  assert.equal(await loading.load("{\n,"), "The table is not loaded. This is no JSON: expected a name in quotation marks or }, found , Line 2");
  assert.equal(loading.questions.length, 0);
  loading.put = () => Promise.reject(new ApiError(422, "row 'a': <b>no</b>"));
  const text = '{"routes": [\n{"id": "a"}]}';
  assert.match(await loading.load(text), /the one that counted stays\. .* row 'a': <b>no<\/b> Line 2$/);
  assert.equal(loading.text.value, text);
  loading.put = () => Promise.reject(new ApiError(413, "Request Entity Too Large"));
  assert.match(await loading.load(), /^This table is too large for the web: .* gwctl routes load FILE\.$/);
  loading.put = () => Promise.reject(new ApiError(503, "Try again."));
  assert.equal(await loading.load(), "");
  assert.match(loading.told.join(), /Try again\.$/);
});

test("a table that somebody else has replaced is not overwritten before the operator has seen the other one", async () => {
  const loading = new Loading(7, 8);
  await loading.open();
  loading.put = () => Promise.reject(new ApiError(412, "Somebody has replaced the table meanwhile; read it again."));
  const said = await loading.load('{"routes": []}');
  assert.match(said, /^Nothing was loaded now: version 7 has been replaced meanwhile, by somebody else, .* lost\. Version 8 counts\. It is shown below/);
  assert.match(loading.page.text, /^Version 8 counts\./);
  assert.equal(loading.text.value, '{"routes": []}');
  loading.put = () => Promise.resolve({ version: 9, table: DOCUMENT });
  await loading.load();
  assert.match(loading.questions[1]?.text ?? "", /^Version 8 /);
  assert.deepEqual(loading.asked.at(-1)?.[2], { "if-match": '"8"' });
});

test("of answers that overtake each other the table of the last question is shown", async () => {
  const answers: ((version: number) => void)[] = [];
  const ask = (method: string): Promise<Members> =>
    method === "PUT"
      ? Promise.resolve({ version: 9, table: DOCUMENT })
      : new Promise((resolve) => answers.push((version) => resolve({ version, table: DOCUMENT })));
  const failed = (error: unknown): never => assert.fail(String(error));
  const desk = newDesk({ ask, confirm: () => Promise.resolve(true), tell: () => undefined, complain: failed });
  const view = routesView(desk, { page: "routes", key: "", query: {} });
  const page = view.element as unknown as Part;
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const answer = async (number: number, version: number): Promise<string> => {
    (answers[number] ?? assert.fail())(version);
    await settled();
    return /^Version \d+/.exec(page.text)?.[0] ?? "";
  };
  void view.refresh();
  assert.equal(await answer(0, 7), "Version 7");
  void view.refresh();
  void view.refresh();
  assert.equal(await answer(1, 7), "Version 7");
  assert.equal(await answer(2, 8), "Version 8", "the later question tells of the later table");
  void view.refresh();
  (page.find("Load another table") ?? assert.fail()).click();
  (page.byId("load") ?? assert.fail()).submit();
  await settled();
  assert.equal(await answer(3, 8), "Version 9", "it was asked before the table was loaded");
  void view.refresh();
  assert.equal(await answer(4, 3), "Version 3", "versions begin anew with another Redis");
  void view.refresh();
  void view.refresh();
  assert.equal(await answer(6, 5), "Version 5");
  assert.equal(await answer(5, 4), "Version 5");
});

test("the condition goes with the request", async () => {
  const sent: Headers[] = [];
  const ask = asker((_input, init) => {
    sent.push(new Headers(init?.headers));
    return Promise.resolve(Response.json({}));
  });
  await ask("PUT", "/operator/routes", {}, { "if-match": '"7"' });
  assert.equal(sent[0]?.get("if-match"), '"7"');
});
