/** The routing table in the console: what its parts say in words, and what becomes of a number. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Part } from "./console-page.ts";
import { ApiError } from "../../console/api.ts";
import { newDesk } from "../../console/desk.ts";
import { textOf, type Members } from "../../console/members.ts";
import { alarmsText, hoursText, limitsText, ratesText, shortCodesText, tableFrom, targetText } from "../../console/routing-words.ts";
import { pageOf, routesView } from "../../console/view-routes.ts";

const unexpected = (): never => assert.fail("nothing of this kind is expected");
const PLACE = { page: "routes", key: "", query: {} } as const;

/** A row as the service gives it: nothing is left out. */
function row(id: string, more: Members = {}): Members {
  const plain = { realm: "*", user_class: "*", name: "", status: 0, reason: "", priority: 0, weight: 1, hours: null, profile: "" };
  return { id, number: "+49*", to: "core", ...plain, ...more };
}

const NIGHT = { start: "18:00", end: "08:00", days: ["mon", "fri"], zone: "Europe/Berlin" };
const TABLE = {
  version: 7,
  table: {
    routes: [
      row("people", { number: "sip:*@d.example" }),
      row("night", { number: "+4930*", to: "refuse", status: 480, reason: "<b>closed</b>", hours: NIGHT }),
      row("carrier", { realm: "d.example", user_class: "guest", to: "trunk", name: "acme", profile: "narrow" }),
    ],
    plans: { "d.example": { country: "DE", area_code: "30", trunk_prefix: "0", extension_digits: 4, short_codes: { "600": "", "601": "tel:+4930" } } },
    trunk_groups: { acme: ["one", "two"] },
    conferences: { weekly: "sip:weekly@d.example" },
    permissions: { "*": { classes: null, calls: 1, denied: ["+49137"] }, guest: { classes: ["free"] } },
    profiles: ["narrow"],
  },
};

test("a row says when it counts and where it leads", () => {
  assert.equal(hoursText(row("a")), "always");
  assert.equal(hoursText({ hours: NIGHT }), "mon, fri 18:00 to 08:00 (Europe/Berlin)");
  const all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
  assert.equal(hoursText({ hours: { ...NIGHT, days: all } }), "every day 18:00 to 08:00 (Europe/Berlin)");
  const texts = [
    row("a"),
    row("a", { to: "trunk", name: "acme", profile: "narrow" }),
    row("a", { to: "conference", name: "weekly" }),
    row("a", { to: "user", name: "sip:alice@d" }),
    row("a", { to: "refuse", status: 403 }),
    row("a", { to: "refuse", status: 480, reason: "closed" }),
    row("a", { to: "moon", name: "base" }),
  ].map(targetText);
  const expected = ["the core", "trunks acme, media profile narrow", "conference weekly", "pages of alice@d", "refused with 403", "refused with 480: closed", "moon base"];
  assert.deepEqual(texts, expected);
});

test("a permission says what may be called and how often: nothing said is not nothing allowed", () => {
  assert.match(ratesText({ classes: null }), /^all; over trunks no /);
  assert.equal(ratesText({ classes: [] }), "internal");
  assert.equal(ratesText({ classes: ["free", "internal"] }), "internal, free");
  assert.equal(limitsText({}), "none");
  const limits = { calls: 1, calls_per_minute: 10, per_minute: { mobile: 5 }, longest_call_s: 7200 };
  assert.equal(limitsText(limits), "1 call at once, 10 calls a minute, 5 mobile calls a minute, 7200 s for each call");
  assert.equal(alarmsText({ alarms: { denied: 20 }, class_alarms: { premium: 5 } }), "within an hour: 20 denied of a user, 5 premium of the class");
  assert.equal(shortCodesText({ short_codes: { "600": "", "601": "tel:+4930" } }), "600, 601 is +4930");
});

test("rows come in the table's order, a page at a time, and are found by their texts", () => {
  const rows = Array.from({ length: 250 }, (_, at) => row(`r${at}`, { realm: at === 249 ? "d.example" : "*" }));
  const table = tableFrom({ version: 1, table: { routes: rows } });
  const page = pageOf(table, new URLSearchParams("cursor=100"));
  assert.deepEqual([page["total"], page["next"], textOf((page["rows"] as Members[])[0] ?? {}, "position")], [250, "200", "101"]);
  assert.equal(pageOf(table, new URLSearchParams("cursor=200"))["next"], undefined);
  assert.deepEqual(pageOf(table, new URLSearchParams("realm=D.EX"))["rows"], [{ ...rows[249], position: 250 }]);
  assert.equal(pageOf(table, new URLSearchParams("class=any&text=R24"))["total"], 11);
});

/** The page with its table, at a service that answers what else is asked by `answer`. */
async function shown(answer: (method: string, path: string) => Promise<Members> = unexpected, table: Members = TABLE): Promise<Part> {
  const ask = (method: string, path: string): Promise<Members> =>
    `${method} ${path}` === "GET /operator/routes" ? Promise.resolve(table) : answer(method, path);
  const view = routesView(newDesk({ ask, tell: unexpected, complain: unexpected, confirm: unexpected }), PLACE);
  await view.refresh();
  return view.element as unknown as Part;
}

async function explained(page: Part, number: string): Promise<string> {
  const part = (id: string): Part => page.byId(id) ?? assert.fail(`no ${id}`);
  part("explain-number").value = number;
  part("explain-realm").value = "d.example";
  part("explain").submit();
  await new Promise((resolve) => setImmediate(resolve));
  return `${part("explain-said").text} ${part("explain-rows").text}`.trim();
}

test("the table is shown with its plans, permissions and what rows name", async () => {
  const { text } = await shown();
  assert.match(text, /^Version 7 counts\./);
  assert.match(text, /3 rows .* 1 people any any sip:\*@d\.example always the core 0 1 2 night any any \+4930\* mon, fri/);
  assert.match(text, /refused with 480: <b>closed<\/b> .* 3 carrier d\.example guest \+49\* always trunks acme, media profile narrow 0 1/);
  assert.match(text, /all others all; over trunks .* \+49137 1 call at once none guest internal, free none none/);
  assert.match(text, /d\.example DE 30 0 to 4 digits 600, 601 is \+4930/);
  assert.match(text, /Trunks acme one, then two Conference weekly sip:weekly@d\.example Media profile narrow$/);
});

test("without a table it says where calls go", async () => {
  const { text } = await shown(unexpected, { version: 0, table: {} });
  assert.match(text, /^There is no table\. Every call goes to the core, or without a core to users alone\./);
});

test("who calls what: the number as it is looked up, the rows with their targets, permission and limits", async () => {
  const rows = [{ id: "night", why: "wins" }, { id: "carrier", why: "night is nearer to the number" }];
  const told = { version: 7, number: "+493012", emergency: false, rows, cost: "national", denied: "", limits: "1 calls at once" };
  const asked: string[] = [];
  const page = await shown((method, path) => {
    asked.push(`${method} ${path}`);
    return Promise.resolve(told);
  });
  const text = await explained(page, " 030 12 ");
  assert.deepEqual(asked, ["GET /operator/routes/explain?number=030+12&realm=d.example"]);
  assert.match(text, /^030 12 is looked up as \+493012\. Rates: national; the caller's class may call it\. Limits: 1 calls at once\. Rows /);
  assert.match(text, /night \+4930\* refused with 480: <b>closed<\/b> wins carrier \+49\* trunks acme, .* night is nearer to the number$/);
});

test("who calls what: denied, no row, an emergency, a number that cannot be called", async () => {
  const told = { version: 7, number: "+49", emergency: false, rows: [{ id: "people", why: "wins" }], cost: "premium", denied: "you may not call premium numbers", limits: "" };
  const answers = [told, { ...told, rows: [], denied: "" }, { ...told, rows: [], user: "bob" }, { ...told, user: "bob" }, { ...told, rows: [], emergency: true }];
  const refusal = new ApiError(404, "This number gets 484: digits are missing.");
  const page = await shown(async () => answers.shift() ?? Promise.reject(refusal));
  assert.match(await explained(page, "0900"), /Rates: premium; denied: you may not call premium numbers\. Rows .* wins$/);
  assert.equal(await explained(page, "x"), "x is looked up as +49. No row fits: the caller gets 404.");
  assert.match(await explained(page, "600"), /404\. Without an IMS core: to the pages of bob, by no trunk; .* rates do not\.$/);
  assert.match(await explained(page, "601"), /premium numbers\. Without an IMS core: to the pages of bob, .* Rows .* wins$/);
  assert.match(await explained(page, "110"), /^110 is for emergencies: the gateways' setting gateway_emergency /);
  assert.equal(await explained(page, "+4930"), "This number gets 484: digits are missing.");
});
