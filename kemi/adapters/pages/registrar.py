"""REGISTER through us: out to the core with our Path, back with what the core granted."""

from __future__ import annotations

import logging
import random
import time

from kemi.adapters.calls.executor import Executor
from kemi.adapters.doors.admission import Admission
from kemi.adapters.doors.hiding import HiddenUsers
from kemi.adapters.kamailio import connections, ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.pages.tokens import KeySets, TokenUse, TokenVerifier
from kemi.core.decimals import retry_after_or
from kemi.core.entry_points import UNAVAILABLE, attempt_key
from kemi.core.errors import SipReject
from kemi.core.headers import explanation
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import (
    BEARER,
    DIGEST,
    Flow,
    Grant,
    PendingRegistration,
    Registration,
    RegistrationSettings,
    check_register,
    digest_grant,
    is_cut_short,
    register_for_core,
    registration_from_reply,
    would_end,
)
from kemi.core.registration.authorization import challenge_for_page, credentials_from_headers
from kemi.core.registration.contact import page_of
from kemi.core.registration.outage import kept_by_core
from kemi.core.registration.reginfo import ASKED_AGAIN_AFTER_S
from kemi.core.registration.reply import comes_late, is_query, is_wildcard, shown_contacts
from kemi.core.registration.states import REPLACED, Cause
from kemi.core.registration.token import (
    NO_PASSWORDS,
    REFUSAL,
    TOO_SHORT,
    TokenRefused,
    challenge,
    grant_from_token,
    token_hash,
)
from kemi.core.trust import TOPOLOGY, TOWARDS_PAGE, warnings_for_page
from kemi.settings import Settings
from kemi.state.dialogs import DialogStore
from kemi.state.flows import FlowStore
from kemi.state.subscriptions import SubscriptionStore

CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


class Registrar:
    """The registration part of a worker process."""

    def __init__(
        self,
        settings: Settings,
        registration_settings: RegistrationSettings,
        flows: FlowStore,
        dialogs: DialogStore,
        subscriptions: SubscriptionStore,
        executor: Executor,
        admission: Admission,
        entry_points: EntryPoints,
        hidden: HiddenUsers,
    ) -> None:
        self._flows = flows
        self._dialogs = dialogs
        self._subscriptions = subscriptions
        self._executor = executor
        self._admission = admission
        self._entry_points = entry_points
        self._settings = registration_settings
        self._grace_s = settings.timers.flow_recovery_s
        self._issuers = settings.tokens.issuers
        self._tokens = TokenVerifier(self._issuers, KeySets(HtableTable("jwks")))
        self._hidden = hidden
        self._is_home = settings.home is not None
        self.token_use = TokenUse(HtableTable("token"), HtableTable("revoked"))

    # ------------------------------------------------------------ from the page

    def forward(self, request: Request, flow: Flow | None) -> None:
        """Send a page's REGISTER to the core; ``flow``: what is known of its connection."""
        if flow is None or not self._flows.is_open(flow.connection_id):
            raise SipReject("this connection is closing", status=480, reason_phrase="Temporarily Unavailable")
        now = time.time()
        if not flow.binding:
            self._flows.wait_from(flow.connection_id, now)
        current = self._flows.registration_on(flow, now)
        check_register(request, current, self._settings)
        credentials = credentials_from_headers(request.headers("Authorization"))
        if BEARER not in self._settings.schemes:
            grant = digest_grant(request, credentials)
        else:
            try:
                grant = self._granted(
                    request, credentials.token, bool(credentials.digests), flow, current, now
                )
            except TokenRefused as refused:
                self._challenge(request, 401, refused)
                return
            if grant.scheme == DIGEST:
                grant = digest_grant(request, credentials)
        register = register_for_core(
            request,
            flow,
            grant,
            credentials,
            current,
            self._settings,
            icid=f"{random.getrandbits(128):032x}",  # to be unique, and no secret
            now=now,
        )
        self._flows.expect(request.call_id, request.cseq, register.pending)
        self._executor.prepare(register.edits, Side.IMS)
        if not self._entry_points.forward_register(attempt_key("REGISTER", request.call_id, request.cseq)):
            self._unanswered(request)

    def _granted(
        self,
        request: Request,
        token: str,
        has_digest: bool,
        flow: Flow,
        current: Registration | None,
        now: float,
    ) -> Grant:
        """Return what the token allows; without one what the connection's earlier token allowed, or digest."""
        if token:
            return self._grant_from_token(request, token, flow, current, now)
        if current is not None and current.grant.scheme == BEARER and not has_digest:
            # Stock libraries send no token when they sign off (RFC 8898 §2.1.4 lets the connection vouch).
            if would_end(request, current.grant, now):
                raise TokenRefused("the one of before is over", error="")
            self.token_use.check(current.grant)
            return current.grant
        if DIGEST not in self._settings.schemes:
            told = NO_PASSWORDS if has_digest else REFUSAL
            raise TokenRefused("none was sent", error="", told=told)
        return Grant(DIGEST)

    def _grant_from_token(
        self, request: Request, token: str, flow: Flow, current: Registration | None, now: float
    ) -> Grant:
        verified = self._tokens.verified(token)
        grant = grant_from_token(verified, origin=flow.origin, now=now)
        self.token_use.check(grant)
        self.token_use.claim(grant.issuer, grant.token_id, page_of(request, current))
        return grant

    def check_token(self, request: Request, registration: Registration | None) -> bool:
        """Whether a request outside any dialog may go on: a token in it must be one of this registration's user.

        A request without one passes, because its connection is bound to the registration.  Otherwise the challenge is
        sent (RFC 8898 §2.3).
        """
        if registration is None or registration.grant.scheme != BEARER:
            return True
        token = credentials_from_headers(
            [*request.headers("Authorization"), *request.headers("Proxy-Authorization")]
        ).token
        flow = self._flows.flow(request.connection_id)
        if not token or flow is None:
            return True
        try:
            if token_hash(token) == registration.grant.token_hash:  # its signature was right at the REGISTER
                self.token_use.check(registration.grant)
                return True
            grant = grant_from_token(self._tokens.verified(token), origin=flow.origin, now=time.time())
            self.token_use.check(grant)
            if grant.impi != registration.grant.impi:
                raise TokenRefused("the token of somebody else")
        except TokenRefused as refused:
            self._challenge(request, 407, refused)
            return False
        return True

    def _challenge(self, request: Request, status: int, refused: TokenRefused) -> None:
        """Ask for a (better) token; why this one is refused stands in our log only."""
        log_event(
            logging.INFO,
            "token_refused",
            call_id=request.call_id,
            method=request.method,
            detail=refused.detail,
        )
        if refused.error:  # or there was no token at all
            self._admission.token_refused(request.connection_id)
        reason_phrase = "Unauthorized" if status == 401 else "Proxy Authentication Required"
        transactions.reply_statelessly(status, reason_phrase, self._refusal(status, refused), "")

    def _refusal(self, status: int, refused: TokenRefused) -> tuple[str, ...]:
        bearer = challenge(self._settings.realm, self._issuers[0], refused.error)
        return (f"{CHALLENGES[status]}: {bearer}", *explanation(refused.told, self._settings.realm))

    # ------------------------------------------------------------ from the core

    def failed(self, status: int, *, silent: bool) -> None:
        """An entry point of the core did not say yes to the current REGISTER: the next one is asked where it cannot
        speak for the core."""
        if silent or status == UNAVAILABLE:
            transactions.forget_replies()
            if not self._entry_points.forward_register_on():
                self._unanswered(ksr.request(), silent=silent)
            return
        if status in CHALLENGES and not self._hidden.hides_from(ksr.connection_id()):
            self._flows.forget(ksr.call_id(), ksr.number("$cs"))
            return  # as every registration begins: the challenge goes on as it is
        request = ksr.request()
        pending = self._flows.expected(request.call_id, request.cseq)
        is_hidden = self._hidden.answers(request, status, pending)
        wait_s = 0 if pending is None or is_hidden else pending.retry_after_s
        if status >= 500 or wait_s:
            self._flows.wait_from(request.connection_id, time.time() + wait_s, core_failed=True)
        if status in CHALLENGES:
            return
        log_event(
            logging.INFO,
            "registration_refused",
            call_id=request.call_id,
            identity=pending.address_of_record if pending else "",
            status=status,
        )
        if not is_hidden:
            self._refused(request, status, pending)

    def _unanswered(self, request: Request, *, silent: bool = True) -> None:
        """Tell the page that the core is silent; its registration of before, if any, stands until it runs out.

        Where the last entry point was not ``silent``, but said when it is to be asked again, so does the 504 (RFC 3261
        §21.5.4), and the page's connection is not closed before.
        """
        pending = self._flows.expected(request.call_id, request.cseq)
        wait_s = 0 if pending is None or silent else pending.retry_after_s
        self._flows.wait_from(request.connection_id, time.time() + wait_s, core_failed=True)
        log_event(logging.ERROR, "core_silent", call_id=request.call_id, method=request.method)
        lines = explanation("the IMS core does not answer", self._settings.realm)
        if wait_s:
            lines = (*lines, f"Retry-After: {wait_s}")
        transactions.reply_in_transaction(504, "Server Time-out", lines, "")

    def _refused(self, request: Request, status: int, pending: PendingRegistration | None) -> None:
        """Ask for another token where that is what helps.

        The core knows no such user: for a page with a token this looks like any bad token (RFC 6749 §10.10).  Or it
        registers nobody for as little as the token has left: a page that wants longer would ask for ever.
        """
        if BEARER not in self._settings.schemes:
            return
        if status in (403, 404) and credentials_from_headers(request.headers("Authorization")).token:
            refused = TokenRefused("the core does not take the user")
        elif status == 423 and pending is not None and is_cut_short(request, pending):
            refused = TokenRefused("the core registers for longer than the token lasts", told=TOO_SHORT)
        else:
            return
        transactions.reply_in_transaction(401, "Unauthorized", self._refusal(401, refused), "")

    def answered(self, reply: Reply) -> None:
        """Learn from the core's final response; it goes on to the page without what is only for the network."""
        granted = 200 <= reply.status < 300
        pending = self._flows.awaited(reply.call_id, reply.cseq)
        self._hide(reply, pending)
        if pending is not None:
            challenges = reply.headers(CHALLENGES[reply.status]) if reply.status in CHALLENGES else []
            self._admission.answered(pending, reply.status, challenges)
        if pending is not None and not granted:
            wait_s = retry_after_or(0, "".join(reply.headers("Retry-After")))
            if wait_s != pending.retry_after_s:  # for failed(), which sees the request alone
                pending.retry_after_s = wait_s
                self._flows.expect(reply.call_id, reply.cseq, pending)
        self._entry_points.answered(attempt_key(reply.method, reply.call_id, reply.cseq), reply.status)
        if granted and pending is not None:
            self._confirmed(pending, reply)
            # Not before: another worker may have the notification of what the page has just asked for.
            self._flows.forget(reply.call_id, reply.cseq)

    def _hide(self, reply: Reply, pending: PendingRegistration | None) -> None:
        """Take from the core's response what stays in the network; add our own challenge to the core's."""
        remove = [*TOWARDS_PAGE, *TOPOLOGY, "Warning"]
        lines = list(warnings_for_page(reply.headers("Warning"), self._settings.realm))
        if reply.status == 401:
            core_challenges = reply.headers("WWW-Authenticate")
            if BEARER in self._settings.schemes:
                # First, because browsers' SIP libraries answer the last challenge only; a field each (RFC 8898 §2.1.1).
                ksr.insert_headers([f"WWW-Authenticate: {challenge(self._settings.realm, self._issuers[0])}"])
            passed = [challenge_for_page(value) for value in core_challenges]
            self._hidden.challenged(reply, passed, pending)
            if passed != core_challenges:
                remove.append("WWW-Authenticate")
                lines += [f"WWW-Authenticate: {value}" for value in passed]
        ksr.remove_headers(tuple(remove))
        if lines:
            ksr.append_headers(lines)

    def _confirmed(self, pending: PendingRegistration, reply: Reply) -> None:
        now = time.time()
        if is_query(pending):
            return
        registration = None if is_wildcard(pending) else registration_from_reply(pending, reply, now)
        event = "registered" if registration else "deregistered"
        log_event(logging.INFO, event, call_id=reply.call_id, identity=pending.address_of_record)
        if registration is not None:
            self._bind(pending, registration, reply, now)
        elif is_wildcard(pending):
            for key in self._flows.bindings_of(pending.address_of_record):
                self._deregistered(key, pending, now)
            if self._is_home:  # our own registrar keeps the pages of all the user's identities together
                others = [key for key, one in self._flows.bindings() if one.impi == pending.grant.impi]
                for key in others:
                    self._flows.end(key, Cause.UNREGISTERED, now)
        else:
            self._deregistered(pending.key, pending, now)

    def _deregistered(self, key: str, pending: PendingRegistration, now: float) -> None:
        """End a binding, but not for an answer that comes late: the core is asked which REGISTER it took last."""
        ended = self._flows.end(
            key, Cause.DEREGISTERED, now, lambda found: not comes_late(pending, found, now)
        )
        if ended is None and self._flows.binding(key) is not None:
            self._subscriptions.ask_again(key, now + ASKED_AGAIN_AFTER_S)

    def _bind(
        self, pending: PendingRegistration, registration: Registration, reply: Reply, now: float
    ) -> None:
        replaced = self._flows.register(pending.connection_id, registration, now + self._grace_s)
        if replaced.contact:
            self._loaded_anew(registration.owner, replaced.contact, now)
        if replaced.connection_id:
            # The same instance over a new connection (RFC 5626 §6): the old one is of no use any more.
            connections.close_connection(replaced.connection_id, *REPLACED)
            self._flows.note_closed(replaced.connection_id)
        if self.token_use.is_over(registration.grant):
            # Logged out while the core was asked: whoever ends the session's bindings may have missed this one.
            self._flows.end(
                registration.key, Cause.LOGGED_OUT, now, lambda found: self.token_use.is_over(found.grant)
            )
        contacts = shown_contacts(pending, reply, registration, now)
        if contacts:
            ksr.remove_headers(("Contact",))
            ksr.append_headers(f"Contact: {contact}" for contact in contacts)

    def _loaded_anew(self, owner: str, contact: str, now: float) -> None:
        """Nobody comes back to what a page began before it drew another Contact; the room for it is needed at once."""
        if self._flows.state_of(owner, contact, now) is None:
            self._dialogs.end_of_page(owner, set(), contact, now)

    def answered_on_behalf(self, call_id: str, cseq: int, status: int, reply: Reply | None = None) -> None:
        """The core's answer to a REGISTER of ours for a page; 408: none came, and the core's own time will end it."""
        level = logging.INFO if status < 300 else logging.WARNING
        pending = self._flows.awaited(call_id, cseq)
        if pending is None or not pending.on_behalf:  # the page may send what our de-registration looks like
            log_event(level, "deregistered_on_behalf", call_id=call_id, status=status)
            return
        self._flows.forget(call_id, cseq)
        log_event(level, "refreshed_on_behalf", call_id=call_id, status=status)
        if reply is not None and status < 300:
            granted = registration_from_reply(pending, reply, time.time())
            if granted is not None:
                self._flows.change(pending.key, lambda found: kept_by_core(found, granted))
