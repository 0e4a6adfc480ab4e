/** The operators' console: logs in, listens, and shows the page that the address names. */

import { ApiError, asker, isForOperators, logOut } from "./api.ts";
import { failureFrom, HOUR_S } from "./causes.ts";
import { hearAnew, newDesk, type Desk, type Question, type View } from "./desk.ts";
import { element, h } from "./dom.ts";
import { EventFeed, type FeedState } from "./event-feed.ts";
import { numberOf, type Members } from "./members.ts";
import { routeFromHash, type Route } from "./route.ts";
import { initSignIn, resume, showSignIn } from "./sign-in.ts";
import { callView } from "./view-call.ts";
import { callsView } from "./view-calls.ts";
import { auditView, pastView, registrationsView } from "./view-lists.ts";
import { nodesView } from "./view-nodes.ts";
import { overviewView } from "./view-overview.ts";
import { poolsView } from "./view-pools.ts";
import { routesView } from "./view-routes.ts";
import { usersView } from "./view-users.ts";

/** Events change the page at most this often. */
const RENDER_MS = 500;
/** Events lead to questions at most this often. */
const ASK_MS = 2000;
/** Times that tick are shown anew. */
const TICK_MS = 5000;

const FEED_TEXT: Readonly<Record<FeedState, string>> = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Events are interrupted, trying again…",
  over: "Logged out",
};

const title = element("page-title", HTMLElement);
const area = element("view", HTMLElement);
const nav = element("nav", HTMLElement);
const banners = element("banners", HTMLElement);
const status = element("status", HTMLElement);
const feedText = element("feed-text", HTMLElement);
const feedLight = element("feed-light", HTMLElement);
const signOut = element("sign-out", HTMLButtonElement);
const person = element("person", HTMLElement);
const dialog = element("confirm", HTMLDialogElement);

const ask = asker();
const desk: Desk = newDesk({ ask, tell, complain, confirm });

let view: View | undefined;
let feed: EventFeed | undefined;
/** What told that the last question failed; taken back when one is answered. */
let failed: HTMLElement | undefined;
let renderTimer: ReturnType<typeof setTimeout> | undefined;
let askTimer: ReturnType<typeof setTimeout> | undefined;
let intervals: ReturnType<typeof setInterval>[] = [];

initSignIn(ask, enter);
signOut.addEventListener("click", () => {
  logOut(ask).then(() => leave(), stay);
});
window.addEventListener("hashchange", () => {
  if (feed !== undefined) open(routeFromHash(location.hash), true);
});
document.addEventListener("visibilitychange", refresh);
window.addEventListener("pagehide", () => feed?.close());
void resume(ask, enter).finally(() => {
  document.body.dataset["ready"] = "";
});

function enter(name: string): void {
  person.textContent = name;
  for (const part of [nav, signOut, area, title]) part.hidden = false;
  const socketUrl = new URL("/api/operator/events", location.href);
  socketUrl.protocol = socketUrl.protocol.replace("http", "ws");
  feed?.close();
  hearAnew(desk);
  feed = new EventFeed({
    url: socketUrl.href,
    handlers: {
      onEvent: take,
      onStart: (cut) => {
        desk.missedBeforeS = cut ? Infinity : 0;
        desk.hasHeard = true;
      },
      onGap: () => {
        desk.missedBeforeS = Date.now() / 1000;
        askSoon();
      },
      onState: showFeed,
      onOver: (code) => leave(code === 4403 ? "Your account is no operator's any more." : "You have been logged out."),
    },
  });
  open(routeFromHash(location.hash), false);
}

function leave(text = ""): void {
  feed?.close();
  feed = undefined;
  close();
  person.textContent = "";
  banners.replaceChildren();
  dialog.close();
  for (const part of [nav, signOut, area, title]) part.hidden = true;
  showFeed("over");
  showSignIn(text);
}

/** Whoever comes to this browser next would be the operator. */
function stay(error: unknown): void {
  if (!(error instanceof ApiError)) throw error;
  banner("error", `You are NOT logged out: ${error.message} Log out again.`);
}

function open(route: Route, byLink: boolean): void {
  close();
  view = viewOf(route);
  title.textContent = view.title;
  document.title = `${view.title} · Console`;
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset["page"] === (route.page === "call" ? "past" : route.page)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  area.replaceChildren(view.element);
  area.dataset["page"] = route.page;
  delete area.dataset["shown"];
  if (byLink) title.focus();
  banners.replaceChildren();
  refresh();
  intervals = [setInterval(refresh, view.everyMs), setInterval(view.render, TICK_MS)];
}

function close(): void {
  for (const interval of intervals) clearInterval(interval);
  intervals = [];
  clearTimeout(renderTimer);
  clearTimeout(askTimer);
  renderTimer = askTimer = undefined;
  view = undefined;
  area.replaceChildren();
}

function viewOf(route: Route): View {
  switch (route.page) {
    case "overview":
      return overviewView(desk);
    case "calls":
      return callsView(desk, route);
    case "past":
      return pastView(desk, route);
    case "registrations":
      return registrationsView(desk, route);
    case "nodes":
      return nodesView(desk);
    case "routes":
      return routesView(desk, route);
    case "users":
      return usersView(desk, route);
    case "pools":
      return poolsView(desk, route);
    case "audit":
      return auditView(desk, route);
    case "call":
      return callView(desk, route.key);
  }
}

function take(event: Members): void {
  if (desk.missedBeforeS === Infinity) {
    const atS = numberOf(event, "at");
    desk.missedBeforeS = atS > Date.now() / 1000 - HOUR_S ? atS : 0;
  }
  desk.counts.apply(event);
  view?.take?.(event);
  desk.alarms.add(event);
  const failure = failureFrom(event);
  if (failure !== undefined) desk.failures.add(failure);
  renderTimer ??= setTimeout(() => {
    renderTimer = undefined;
    view?.render();
  }, RENDER_MS);
  if (view?.asksAfter?.(event) === true) askSoon();
}

function askSoon(): void {
  askTimer ??= setTimeout(() => {
    askTimer = undefined;
    refresh();
  }, ASK_MS);
}

function refresh(): void {
  const asked = view;
  if (asked === undefined || document.hidden) return;
  asked
    .refresh()
    .then(() => {
      if (view !== asked) return;
      asked.render();
      area.dataset["shown"] = "";
      failed?.remove();
      failed = undefined;
    })
    .catch((error: unknown) => {
      if (view !== asked) return;
      asked.render();
      // Whoever asks every few seconds is told once.
      if (!(error instanceof ApiError) || failed?.dataset["text"] !== error.message || !failed.isConnected) failed = complain(error);
    });
}

function showFeed(state: FeedState): void {
  feedText.textContent = feed === undefined && state === "over" ? "" : FEED_TEXT[state];
  feedLight.dataset["state"] = state;
}

function tell(text: string): void {
  status.textContent = text;
  banner("info", text);
}

function complain(error: unknown): HTMLElement | undefined {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) leave("Your session is over.");
  else if (isForOperators(error)) leave("Your account is no operator's any more.");
  else return banner("error", error.message);
  return undefined;
}

function banner(tone: "info" | "error", text: string): HTMLElement {
  const dismiss = h("button", { type: "button", class: "plain", click: () => banners.replaceChildren() }, "Dismiss");
  const attributes = { class: `banner ${tone}`, "data-text": text, ...(tone === "error" && { role: "alert" }) };
  const made = h("div", attributes, h("p", {}, text), dismiss);
  banners.replaceChildren(made);
  return made;
}

function confirm({ title: name, text, yes }: Question): Promise<boolean> {
  element("confirm-title", HTMLElement).textContent = name;
  element("confirm-text", HTMLElement).textContent = text;
  element("confirm-yes", HTMLButtonElement).textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
