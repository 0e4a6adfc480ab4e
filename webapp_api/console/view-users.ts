/** People with an account: a list, and a form that makes, changes or removes one. */

import type { Desk, View } from "./desk.ts";
import { h, labelled, type Child } from "./dom.ts";
import { flagOf, textOf, textsOf, type Members } from "./members.ts";
import { PagedList } from "./paged-list.ts";
import { hashOf, type Route } from "./route.ts";
import { addressText } from "./words.ts";

const EVERY_MS = 60_000;
const YES_NO = [["", "All"], ["true", "Yes"], ["false", "No"]] as const;

export function usersView(desk: Desk, route: Route): View {
  const editor = h("section", { class: "card", "aria-labelledby": "editor-title", hidden: true });
  const list = new PagedList({
    ask: desk.ask,
    complain: desk.complain,
    query: route.query,
    onQuery: (query) => history.replaceState(null, "", hashOf("users", { query })),
    path: "/operator/users",
    member: "users",
    cursor: "cursor",
    filters: [
      { name: "impu", label: "Identity" },
      { name: "is_operator", label: "Operators", choices: YES_NO },
      { name: "disabled", label: "Disabled", choices: YES_NO },
    ],
    caption: "People with an account, by name",
    one: "account",
    columns: [{ title: "Name" }, { title: "Identities" }, { title: "Class" }, { title: "Role" }, { title: "Action" }],
    cells: (user) => userCells(user, () => edit(user)),
  });
  const edit = (user: Members | undefined): void => {
    editor.hidden = false;
    editor.replaceChildren(...editorOf(desk, user, done));
    editor.querySelector<HTMLElement>("input:not([readonly])")?.focus();
  };
  const done = (text: string): void => {
    editor.hidden = true;
    editor.replaceChildren();
    if (text !== "") desk.tell(text);
    void list.refresh().catch(desk.complain);
    add.focus();
  };
  const add = h("button", { type: "button", click: () => edit(undefined) }, "Add an account");
  return {
    title: "Users",
    element: h("div", { class: "stack" }, h("div", {}, add), editor, list.element),
    everyMs: EVERY_MS,
    refresh: () => list.refresh(),
    render: () => undefined,
  };
}

function userCells(user: Members, change: () => void): Child[] {
  const name = textOf(user, "name");
  const role = [flagOf(user, "operator") && "operator", flagOf(user, "disabled") && "disabled"].filter((text) => text !== false);
  return [
    name,
    textsOf(user, "impus").map(addressText).join(", "),
    textOf(user, "user_class"),
    role.join(", ") || "user",
    h(
      "button",
      { type: "button", class: "small", "data-focus": `change ${name}`, click: change },
      "Change",
      h("span", { class: "visually-hidden" }, ` ${name}`),
    ),
  ];
}

function editorOf(desk: Desk, user: Members | undefined, done: (text: string) => void): Node[] {
  const isNew = user === undefined;
  const known = user ?? {};
  const text = (id: string, value: string, more: Record<string, string | boolean> = {}): HTMLInputElement =>
    h("input", { id, value, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...more });
  const name = text("user-name", textOf(known, "name"), isNew ? { required: true } : { readonly: true });
  const password = text("user-password", "", { type: "password", autocomplete: "new-password", required: isNew });
  const impi = text("user-impi", textOf(known, "impi"));
  const impus = text("user-impus", textsOf(known, "impus").join(" "));
  const userClass = text("user-class", textOf(known, "user_class"));
  const operator = h("input", { type: "checkbox", checked: flagOf(known, "operator") });
  const disabled = h("input", { type: "checkbox", checked: flagOf(known, "disabled") });
  const path = (): string => `/operator/users/${encodeURIComponent(name.value.trim())}`;
  // Two operators do not undo each other's work.
  const condition = isNew ? { "if-none-match": "*" } : { "if-match": `"${textOf(known, "etag")}"` };
  const submit = (event: Event): void => {
    event.preventDefault();
    const change = {
      ...(password.value !== "" && { password: password.value }),
      impi: impi.value.trim(),
      impus: impus.value.split(/[\s,]+/).filter((part) => part !== ""),
      user_class: userClass.value.trim(),
      operator: operator.checked,
      disabled: disabled.checked,
    };
    desk.ask("PUT", path(), change, condition).then(() => done(`The account of ${name.value} is kept.`)).catch(desk.complain);
  };
  const remove = async (): Promise<void> => {
    const question = "Sessions, registrations and calls of this person end at once.";
    if (!(await desk.confirm({ title: `Remove ${name.value}?`, text: question, yes: "Remove" }))) return;
    await desk.ask("DELETE", path(), undefined, condition);
    done(`The account of ${name.value} is removed.`);
  };
  return [
    h("h2", { id: "editor-title" }, isNew ? "New account" : `Account of ${name.value}`),
    h(
      "form",
      { submit, class: "filters" },
      labelled("Name", name),
      labelled(isNew ? "Password" : "New password, or empty", password),
      labelled("Private identity", impi),
      labelled("Public identities", impus),
      labelled("Class", userClass),
      h("fieldset", {}, h("legend", { class: "visually-hidden" }, "Role"), h("label", {}, operator, "Operator"), h("label", {}, disabled, "Disabled")),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Save"),
        h("button", { type: "button", click: () => done("") }, "Cancel"),
        !isNew && h("button", { type: "button", class: "danger", click: () => void remove().catch(desk.complain) }, "Remove"),
      ),
    ),
  ];
}
