"""The gateway's subscriptions to registration state: NOTIFYs and answers in the workers, SUBSCRIBEs in housekeeping."""

from __future__ import annotations

import logging
import secrets
import time
from functools import partial

from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio import transactions
from kemi.adapters.log import log_event
from kemi.adapters.pages.reginfo import reginfo_from_text
from kemi.core.errors import SipReject
from kemi.core.messages import Reply, Request, parameters
from kemi.core.registration import Registration, RegistrationSettings
from kemi.core.registration.own_requests import (
    LONGER_THAN_REGISTRATION_S,
    REFRESH_MARGIN_S,
    Subscription,
    follow_service_route,
    forget_dialog,
    retry_at,
    set_back,
    subscribe,
    subscription_answered,
    subscription_failed,
    subscription_key,
)
from kemi.core.registration.reginfo import ASKED_AGAIN_AFTER_S, CLOCKS_S, Verdict, judge, without
from kemi.state.deadlines import Deadlines
from kemi.state.flows import FlowStore
from kemi.state.subscriptions import SubscriptionStore

CONTENT_TYPE = "application/reginfo+xml"
AT_MOST_EVERY_S = 1.0
"""However often the core ends a subscription, it is not asked for more often than this."""


class Notifications:
    """What the core sends inside our subscriptions."""

    def __init__(self, flows: FlowStore, store: SubscriptionStore) -> None:
        self._flows = flows
        self._store = store

    def is_ours(self, request: Request) -> bool:
        """Whether a request is in the dialog of a subscription of ours."""
        return request.method == "NOTIFY" and self._store.get(request.call_id) is not None

    def is_answer(self, reply: Reply) -> bool:
        """Whether a response is to a SUBSCRIBE of ours."""
        return reply.method == "SUBSCRIBE" and self._store.get(reply.call_id) is not None

    def notified(self, request: Request) -> None:
        """Take a NOTIFY: 481 for another dialog, 489 for another event, 400 for a document we cannot read."""
        subscription = self._store.get(request.call_id)
        if subscription is None or request.to_tag != subscription.local_tag:
            raise SipReject("no such subscription", status=481, reason_phrase="Subscription Does Not Exist")
        if subscription.remote_tag and request.from_tag != subscription.remote_tag:
            raise SipReject("no such subscription", status=481, reason_phrase="Subscription Does Not Exist")
        if "".join(request.headers("Event")).partition(";")[0].strip().lower() != "reg":
            raise SipReject("this subscription is to reg", status=489, reason_phrase="Bad Event")
        now = time.time()
        verdict = self._judge(request, subscription, now)
        self._store.change(request.call_id, lambda found: _learn(found, request, verdict, now))
        for key, cause in verdict.endings:
            self._flows.end(key, cause, now)
        for key, left_s in verdict.shortened:
            self._flows.change(key, lambda found, left=left_s: _shortened(found, left, now))  # type: ignore[misc]
        for key, identities in verdict.withdrawn:
            self._flows.change(key, partial(without, identities=identities))
        transactions.reply_statelessly(200, "OK", (), "")

    def _judge(self, request: Request, subscription: Subscription, now: float) -> Verdict:
        if not request.body:  # a subscription's last word may come without a document (RFC 6665 §4.2.2)
            return Verdict(version=subscription.version)
        if request.content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise SipReject(f"{CONTENT_TYPE} is expected", status=415, reason_phrase="Unsupported Media Type")
        document = reginfo_from_text(request.body)
        known = {key: self._flows.binding(key) for key in subscription.bindings}
        bindings = {key: binding for key, binding in known.items() if binding is not None}
        verdict = judge(document, subscription.version, bindings, now, self._flows.is_asked)
        log_event(
            logging.INFO,
            "registration_notified",
            call_id=request.call_id,
            identity=subscription.identity,
            version=document.version,
            ended=len(verdict.endings),
            withdrawn=sum(len(identities) for _, identities in verdict.withdrawn),
        )
        return verdict

    def answered(self, reply: Reply) -> None:
        """Take the final response to a SUBSCRIBE of ours."""
        self._store.change(reply.call_id, lambda found: subscription_answered(found, reply, time.time()))
        if reply.status >= 300:
            log_event(logging.WARNING, "subscription_refused", call_id=reply.call_id, status=reply.status)

    def unanswered(self, call_id: str, cseq: int) -> None:
        """Nobody answered a SUBSCRIBE of ours."""
        log_event(logging.WARNING, "subscription_refused", call_id=call_id, status=408)
        self._store.change(call_id, lambda found: subscription_failed(found, cseq, 408, time.time()))


def _learn(found: Subscription, request: Request, verdict: Verdict, now: float) -> None:
    found.version = max(found.version, verdict.version)
    found.remote_tag = (
        found.remote_tag or request.from_tag
    )  # a NOTIFY may overtake the 200 (RFC 6665 §4.1.2.4)
    found.stale = found.stale or verdict.resubscribe
    if verdict.doubtful:
        found.refresh_at = now + ASKED_AGAIN_AFTER_S
    value = "".join(request.headers("Subscription-State"))
    if value.partition(";")[0].strip().lower() != "terminated":
        return
    forget_dialog(found)
    if parameters(f"<>;{value.partition(';')[2]}").get("reason") in ("deactivated", "timeout"):
        found.stale = True  # RFC 6665 §4.1.3: at once; otherwise after a while
    else:
        found.failed_at = now


def _shortened(found: Registration, left_s: int, now: float) -> Registration:
    """The core wants the page to register again before its time (RFC 3680 §5.1): at half of what is left."""
    found.core_expires_at = min(found.core_expires_at, now + left_s)
    found.expires_at = min(found.expires_at, found.core_expires_at)
    found.renew_at = now + left_s / 2
    return found


class SubscriptionKeeper:
    """Makes, refreshes and ends the subscriptions; runs in the housekeeping process alone."""

    def __init__(self, settings: RegistrationSettings, store: SubscriptionStore, executor: Executor) -> None:
        self._settings = settings
        self._store = store
        self._executor = executor
        self._dialogs: dict[str, str] = {}
        """Subscription key -> Call-ID."""
        self._users: dict[str, str] = {}
        """Binding key -> subscription key."""
        self._routes: dict[str, list[str]] = {}
        """Binding key -> its Service-Route when it changed last."""
        self._asked_until: dict[str, float] = {}
        """Call-ID -> until when the last SUBSCRIBE asked for."""
        self._needed_until: dict[str, float] = {}
        """Call-ID -> when the last of its registrations runs out at the core."""
        self._sent_at: dict[str, float] = {}
        self._deadlines = Deadlines()
        self._worked_at = 0.0

    def restore(self, bindings: dict[str, Registration]) -> None:
        """Go on with the subscriptions of before a restart, as far as there are bindings left."""
        bindings = bindings if self._settings.reg_event else {}
        for subscription in self._store.all():
            subscription.bindings = [key for key in subscription.bindings if key in bindings]
            user = subscription_key(bindings[subscription.bindings[0]]) if subscription.bindings else ""
            if self._dialogs.get(user, subscription.call_id) != subscription.call_id or not user:
                self._store.remove(subscription.call_id)
                continue
            self._store.set(subscription)
            self._dialogs[user] = subscription.call_id
            self._users.update(dict.fromkeys(subscription.bindings, user))
            self._asked_until[subscription.call_id] = subscription.expires_at

    def binding_changed(self, key: str, registration: Registration | None, now: float) -> None:
        """A binding was made, refreshed or removed."""
        if not self._settings.reg_event:
            return
        self._follow_clock(now)
        user = subscription_key(registration) if registration is not None else ""
        before = self._users.get(key, "")
        if before and before != user:
            self._leave(key, before)
        if registration is None:
            return
        self._users[key] = user
        subscription = self._store.get(self._dialogs.get(user, ""))
        if subscription is None:
            subscription = Subscription(
                call_id=secrets.token_hex(16),
                identity=registration.default_identity,
                local_tag=secrets.token_hex(8),
                service_route=registration.service_route,
            )
            self._store.set(subscription)
            self._dialogs[user] = subscription.call_id
        if key not in subscription.bindings:
            self._store.change(subscription.call_id, lambda found: found.bindings.append(key))
        route = registration.service_route
        # That of this binding must have changed: each of a user's bindings may have one of its own (RFC 3608 §6.4).
        before_it = self._routes.get(key, subscription.service_route)
        if route not in (before_it, subscription.service_route):
            self._store.change(subscription.call_id, lambda found: follow_service_route(found, route))
        self._routes[key] = route
        call_id, until = subscription.call_id, registration.core_expires_at
        self._needed_until[call_id] = max(until, self._needed_until.get(call_id, 0.0))
        if self._asked_until.get(call_id, 0.0) < until + REFRESH_MARGIN_S:
            self._subscribe(call_id, now)

    def work(self, now: float) -> list[str]:
        """Do what answers and notifications ask for and what is due; return the Call-IDs of changed subscriptions."""
        self._follow_clock(now)
        changed = self._store.take_changed()
        for call_id in changed:
            self._look(call_id, now)
        for call_id in self._deadlines.due(now):
            self._look(call_id, now)
        return changed

    def _follow_clock(self, now: float) -> None:
        """A subscription runs out at the core whatever our clock says: where it was set back, so is all that is noted
        by it; else nothing would be asked for until it is as late again."""
        back_s, self._worked_at = self._worked_at - now, now
        if back_s < CLOCKS_S:
            return
        for times in (self._asked_until, self._needed_until, self._sent_at):
            for call_id in times:
                times[call_id] -= back_s
        for call_id in self._dialogs.values():
            self._store.change(call_id, partial(set_back, seconds=back_s))
            self._look(call_id, now)

    def _look(self, call_id: str, now: float) -> None:
        subscription = self._store.get(call_id)
        if subscription is None or not subscription.bindings:
            return
        if subscription.stale:
            at = self._sent_at.get(call_id, 0.0) + AT_MOST_EVERY_S
        elif subscription.failed_at:
            at = retry_at(subscription)
        elif subscription.refresh_at:
            at = subscription.refresh_at
        else:
            return  # not answered yet
        if at <= now:
            self._subscribe(call_id, now)
        else:
            self._deadlines.put(call_id, at)

    def _leave(self, key: str, user: str) -> None:
        self._users.pop(key, None)
        self._routes.pop(key, None)
        call_id = self._dialogs.get(user, "")

        def without(found: Subscription) -> None:
            found.bindings = [other for other in found.bindings if other != key]

        subscription = self._store.change(call_id, without)
        if subscription is None or subscription.bindings:
            return
        if subscription.remote_tag:
            self._send(call_id, 0)
        self._store.remove(call_id)
        for memory in (self._asked_until, self._needed_until, self._sent_at):
            memory.pop(call_id, None)
        del self._dialogs[user]

    def _subscribe(self, call_id: str, now: float) -> None:
        left_s = max(0.0, self._needed_until.get(call_id, 0.0) - now)
        self._sent_at[call_id] = now
        self._asked_until[call_id] = now + left_s + LONGER_THAN_REGISTRATION_S
        self._send(call_id, int(left_s) + LONGER_THAN_REGISTRATION_S)

    def _send(self, call_id: str, expires_s: int) -> None:
        built = []

        def count(found: Subscription) -> None:
            found.stale, found.failed_at, found.refresh_at = False, 0.0, 0.0
            built.append(subscribe(found, expires_s, self._settings, secrets.token_hex(12)))

        self._store.change(call_id, count)
        for request in built:
            self._executor.perform(call_id, request)
