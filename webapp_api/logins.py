"""Logging in and out: who gets a session, and what ends with it. Knows no HTTP but its errors."""

import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, NotFound, ServiceUnavailable, TooManyRequests, Unauthorized

from kemi.core.limits import address_key
from kemi.state.bans import SharedBan
from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.attempts import AttemptStore
from kemi.state.web.bans import BanList
from kemi.state.web.leases import LeaseStore
from kemi.state.web.login_places import LoginPlaces
from kemi.state.web.sessions import LoginMethod, ProviderTokens, Session, SessionStore
from kemi.state.web.streams import CommandStream
from webapp_api.identities import Identity, is_usable
from webapp_api.passwords import password_fits
from webapp_api.settings import Settings

GUEST_CLASS: Final = "guest"
"""Of the routing table, for everybody with a leased identity."""
NOT_OFFERED: Final = "This way to log in is not offered here."
_log = logging.getLogger(__name__)
_LONGEST_WAIT_S: Final = 60


def new_secret() -> str:
    """256 random bits, as cookies carry them."""
    return secrets.token_urlsafe(32)


class Logins:
    """Begins and ends sessions."""

    def __init__(
        self,
        settings: Settings,
        *,
        accounts: AccountStore,
        sessions: SessionStore,
        leases: LeaseStore,
        by_name: AttemptStore,
        by_name_there: AttemptStore,
        places: LoginPlaces,
        by_address: AttemptStore,
        refused: AttemptStore,
        bans: BanList,
        commands: CommandStream,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._sessions = sessions
        self._leases = leases
        self._by_name = by_name
        self._by_name_there = by_name_there
        self._places = places
        self._by_address = by_address
        self._refused = refused
        self._bans = bans
        self._commands = commands
        self._clock = clock
        self._pool = {identity.impi: identity for identity in settings.identity_pool}

    def with_password(self, name: str, password: str, address: str | None) -> tuple[str, Session]:
        """Begin the session of an account; returns the cookie's secret and the session.

        Raises:
            NotFound: there is no password login here.
            TooManyRequests: too many failed attempts for this name or from this address.
            Unauthorized: name or password is wrong; which of them, is not told, nor shown by the time it takes.
            Forbidden: none of the account's public identities can be used.
        """
        if not self._settings.password_login:
            raise NotFound(NOT_OFFERED)
        name, party = name.strip().lower(), address_key(address or "")
        self._count_address(party)
        # As core/limits.py has it for SIP: who keeps guessing elsewhere does not lock the owner out at home.
        at_home = self._places.is_known(name, party)
        by_name = self._by_name_there if at_home else self._by_name
        self._count(by_name, name)
        account = self._accounts.get(name)
        fits = password_fits(account.password_hash if account else None, password)
        if not fits or account is None or account.disabled:
            challenge = WWWAuthenticate("session", {"realm": self._settings.domain})
            raise Unauthorized("Name or password is not right.", www_authenticate=challenge)
        self._by_address.take_back(party)
        by_name.forget(name)
        self._places.remember(name, party)
        identity = _identity_of(account)
        secret, session = self._begin(
            LoginMethod.PASSWORD, account.name, identity, user_class=account.user_class
        )
        if self._accounts.get(name) != account:
            # Removed, or given another password, just before there was a session to be ended with it.
            self.end(secret)
            raise not_logged_in(self._settings.domain)
        return secret, session

    def as_guest(self, address: str | None) -> tuple[str, Session]:
        """Begin a session with a leased identity.

        Raises:
            NotFound: guests are not let in here.
            TooManyRequests: too many leases from this address.
            ServiceUnavailable: every identity is taken; Retry-After says when one may be free.
        """
        if not self._settings.guest_login:
            raise NotFound(NOT_OFFERED)
        self._count_address(address_key(address or ""))
        order = sorted(self._pool, key=lambda _: secrets.randbits(32))
        sid = new_sid()
        lease = self._leases.take(order, sid)
        if lease is None:
            wait_s = min(_LONGEST_WAIT_S, max(1, round(self._leases.free_within_s(order))))
            raise ServiceUnavailable("Every guest identity is in use; try later.", retry_after=wait_s)
        name, identity = lease.impi.partition("@")[0], self._pool[lease.impi]
        # A lease may end before its session, which would see and end calls of the new holder, and before its last
        # token, which the gateway takes no more after this.
        ended = self._sessions.end_those(
            LoginMethod.GUEST, name, lambda one: one.impi == lease.impi, self._log_out
        )
        if lease.former_sid and lease.former_sid not in {session.sid for session in ended}:
            self._commands.logout(lease.former_sid, lease.impi, self._clock())
        return self._begin(LoginMethod.GUEST, name, identity, sid=sid, user_class=GUEST_CLASS)

    def with_provider(
        self, name: str, identity: Identity, sid: str | None, tokens: ProviderTokens | None
    ) -> tuple[str, Session]:
        """Begin the session of somebody whom the OpenID Connect provider has told us."""
        return self._begin(LoginMethod.OIDC, name, identity, sid=sid, tokens=tokens)

    def end(self, secret: str) -> None:
        """End a session, the registrations that came from it, and its lease."""
        self._sessions.end(secret, self._end)

    def end_former(self, former: str, sid: str) -> None:
        """End the session whose cookie has this digest; the session of the public name `sid` has taken its place."""

        def told(session: Session) -> None:
            # A provider may name both sessions alike: a logout would take the registrations and tokens of the new one.
            if session.sid != sid:
                self._end(session)

        self._sessions.end_digest(former, told)

    def end_all(self, name: str) -> int:
        """End every session of an account; returns how many there were."""
        return len(self._sessions.end_all(LoginMethod.PASSWORD, name, self._end))

    def end_outdated(self, account: Account) -> None:
        """End those sessions of an account that have not its identities."""
        # Those of before an upgrade have also what nobody can use any more.
        of_account = [(account.impi, impus) for impus in (_usable(account), account.impus)]
        self._sessions.end_those(
            LoginMethod.PASSWORD, account.name, lambda one: (one.impi, one.impus) not in of_account, self._end
        )

    def end_sid(self, sid: str, impi: str) -> None:
        """End the session of this public name, as its logout does; its registrations too when it is over already."""
        if self._sessions.end_sid(sid, self._end) is None:
            self._commands.logout(sid, impi, self._clock())

    def keep_lease(self, secret: str, session: Session) -> None:
        """Renew the lease of a guest.

        Raises:
            Unauthorized: the lease had ended; the session ends, too.
        """
        if session.method is LoginMethod.GUEST and not self._leases.renew(session.impi, session.sid):
            self.end(secret)
            raise not_logged_in(self._settings.domain)

    def _log_out(self, session: Session) -> None:
        self._commands.logout(session.sid, session.impi, self._clock())

    def _end(self, session: Session) -> None:
        self._log_out(session)
        if session.method is LoginMethod.GUEST:
            self._leases.give_back(session.impi, session.sid)

    def _begin(
        self,
        method: LoginMethod,
        name: str,
        identity: Identity,
        *,
        sid: str | None = None,
        tokens: ProviderTokens | None = None,
        user_class: str = "",
    ) -> tuple[str, Session]:
        now, secret = self._clock(), new_secret()
        session = Session(
            sid=sid or new_sid(),
            method=method,
            name=name,
            impi=identity.impi,
            impus=list(identity.impus),
            expires_at=now + self._settings.session_lifetime_s,
            provider_tokens=tokens,
            user_class=user_class,
            began_at=now,
        )
        self._sessions.begin(secret, session, now)
        return secret, session

    def _count_address(self, party: str) -> None:
        """Count an attempt; who goes on and on although he is told to wait is banned for a while."""
        try:
            self._count(self._by_address, party)
        except TooManyRequests:
            if self._refused.add(party) and not self._bans.is_trusted(party):
                now = self._clock()
                until = now + self._settings.login_window_s
                self._bans.put(party, SharedBan(until, "web login", "webapp_api", now))
                _log.warning("event=address_banned address=%s why=web_login", party)
            raise

    @staticmethod
    def _count(attempts: AttemptStore, party: str) -> None:
        if wait_s := attempts.add(party):
            raise TooManyRequests("Too many attempts; wait before the next one.", retry_after=wait_s)


def new_sid() -> str:
    """The public name of a session."""
    return secrets.token_urlsafe(18)


def _identity_of(account: Account) -> Identity:
    """Return what an account stands for, without public identities of before that the gateway would refuse."""
    usable = _usable(account)
    if left_out := len(account.impus) - len(usable):
        _log.warning("event=identities_not_usable account=%s number=%d", account.name, left_out)
    if not usable:
        raise Forbidden("No public identity of this account can be used; the operator has to change it.")
    return Identity(account.impi, tuple(usable))


def _usable(account: Account) -> list[str]:
    return list(filter(is_usable, account.impus))


def not_logged_in(realm: str) -> Unauthorized:
    """What somebody without a session is told, whatever the reason."""
    challenge = WWWAuthenticate("session", {"realm": realm})
    return Unauthorized("There is no session; log in.", www_authenticate=challenge)
