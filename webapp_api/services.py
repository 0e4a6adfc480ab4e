"""The parts of web login, put together once for each application."""

import time
from dataclasses import dataclass
from typing import Final, Self

from flask import current_app, g
from werkzeug.exceptions import Forbidden, NotFound, TooManyRequests

from kemi.state.web.accounts import AccountStore
from kemi.state.web.attempts import AttemptStore
from kemi.state.web.audit import AuditLog
from kemi.state.web.bans import BanList
from kemi.state.web.calls import FinishedCalls
from kemi.state.web.client import StateUnavailable, connect
from kemi.state.web.dials import DialStore
from kemi.state.web.event_feed import EventFeed, UnkeptEvents
from kemi.state.web.leases import LeaseStore
from kemi.state.web.listening import Listening
from kemi.state.web.locks import Leadership, Lock, Pause
from kemi.state.web.login_places import LoginPlaces
from kemi.state.web.nodes import NodesView
from kemi.state.web.oidc_logins import OidcLoginStore
from kemi.state.web.registrations import RegistrationsView
from kemi.state.web.routes import RoutesStore
from kemi.state.web.running_calls import RunningCalls
from kemi.state.web.server import Server
from kemi.state.web.sessions import LoginMethod, Session, SessionStore
from kemi.state.web.signing_keys import KeySetStore, SigningKeyStore
from kemi.state.web.streams import CommandStream, EventStream
from kemi.state.web.traces import TracesView
from kemi.state.web.trunks import TrunksView
from webapp_api import cookies
from webapp_api.gate import Turns
from webapp_api.keyring import Keyring
from webapp_api.listeners import Hub
from webapp_api.logins import NOT_OFFERED, Logins, not_logged_in
from webapp_api.oidc.keys import EARLIEST_S, ProviderKeys
from webapp_api.oidc.provider import Provider
from webapp_api.oidc.sessions import ProviderSessions
from webapp_api.oidc.token_service import KeysOnly
from webapp_api.sealing import Seal
from webapp_api.settings import Settings
from webapp_api.tokens import Tokens

EXTENSION: Final = "services"
FOR_OPERATORS: Final = "This is for operators."
"""The console knows it by this (console/api.ts): other things are forbidden, too."""
OIDC_CALLBACK: Final = "/api/oidc/callback"
_TOKENS_PER_MINUTE: Final = 60
_QUESTIONS_PER_MINUTE: Final = 60
"""Of one person (of guests: of one session), for running calls, and as many to end one: each is put to all gateways,
and these hear some hundred in a second."""
_OPERATOR_WORK_PER_MINUTE: Final = 600
"""Of one operator: lists that are read whole, passwords to hash, tables to look through."""
_HISTORIES_PER_MINUTE: Final = 300
"""Of one person: hundreds of records may have to be read for one page."""
_DIALS_PER_MINUTE: Final = 20
_LISTENS_PER_MINUTE: Final = 60
"""Of one person: each time the whole stream may have to be read, some 10,000 events."""
_COMEBACKS: Final = 6
"""At least so often each of a person's listeners may come back in this minute."""
_CATCH_UPS: Final = 2
"""At a time in one process: reading the stream takes all of a processor, which others need, too."""
_ROTATION_S: Final = 10
_REFRESH_S: Final = 30
"""Longer than a provider may take for its answer (oidc/provider.py DEADLINE_S, three times)."""
_LEADER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that web login needs."""

    settings: Settings
    accounts: AccountStore
    sessions: SessionStore
    leases: LeaseStore
    keyring: Keyring
    key_sets: KeySetStore
    logins: Logins
    oidc_attempts: AttemptStore
    tokens: Tokens
    commands: CommandStream
    events: EventStream
    registrations: RegistrationsView
    relay_nodes: NodesView
    running_calls: RunningCalls
    server: Server
    trunks: TrunksView
    traces: TracesView
    finished_calls: FinishedCalls
    hub: Hub
    feed: EventFeed
    catching_up: Turns
    unkept: UnkeptEvents
    listening: Listening
    listen_attempts: AttemptStore
    questions: AttemptStore
    calls_to_end: AttemptStore
    history_requests: AttemptStore
    routes: RoutesStore
    dials: DialStore
    dial_attempts: AttemptStore
    audit: AuditLog
    bans: BanList
    operator_work: AttemptStore
    leadership: Leadership
    provider_keys: ProviderKeys | None
    token_service_keys: tuple[ProviderKeys, ...]
    provider_sessions: ProviderSessions | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Put the parts together; nothing is connected yet."""
        redis = connect(settings.redis_url)
        accounts = AccountStore(redis)
        sessions = SessionStore(redis, settings.session_idle_s)
        leases = LeaseStore(
            redis,
            lifetime_s=settings.token_lifetime_s,
            settling_s=settings.lease_settling_s,
            grace_s=settings.lease_grace_s,
        )
        window_s = settings.login_window_s
        key_sets = KeySetStore(redis)
        rotation = Lock(redis, "key-rotation", _ROTATION_S)
        keyring = Keyring(settings, SigningKeyStore(redis), key_sets, rotation)
        commands = CommandStream(redis)
        bans = BanList(redis, settings.trusted_proxies)
        logins = Logins(
            settings,
            accounts=accounts,
            sessions=sessions,
            leases=leases,
            by_name=AttemptStore(redis, "login-name", limit=settings.login_attempts, window_s=window_s),
            by_name_there=AttemptStore(
                redis, "login-name-there", limit=settings.login_attempts, window_s=window_s
            ),
            places=LoginPlaces(redis),
            by_address=AttemptStore(
                redis, "login-address", limit=settings.login_attempts_per_address, window_s=window_s
            ),
            refused=AttemptStore(
                redis, "login-refused", limit=settings.login_attempts_per_address, window_s=window_s
            ),
            bans=bans,
            commands=commands,
        )
        early = Pause(redis, "oidc-keys", EARLIEST_S)
        provider_keys = provider_sessions = None
        if settings.oidc is not None:
            provider = Provider(settings.oidc, f"{settings.public_origin}{OIDC_CALLBACK}")
            provider_keys = ProviderKeys(provider, key_sets, early)
            provider_sessions = ProviderSessions(
                provider,
                provider_keys,
                under_way=OidcLoginStore(redis),
                sessions=sessions,
                logins=logins,
                seal=Seal(settings.key_secret),
                refresh_lock=lambda sid: Lock(redis, f"oidc-refresh:{sid}", _REFRESH_S),
            )
        return cls(
            settings=settings,
            accounts=accounts,
            sessions=sessions,
            leases=leases,
            keyring=keyring,
            key_sets=key_sets,
            logins=logins,
            oidc_attempts=AttemptStore(
                redis, "oidc-login", limit=settings.login_attempts_per_address, window_s=window_s
            ),
            tokens=Tokens(
                settings,
                keyring=keyring,
                logins=logins,
                requests=AttemptStore(
                    redis, "token", limit=_TOKENS_PER_MINUTE, window_s=60, also_when_refused=True
                ),
                provider=provider_sessions,
            ),
            commands=commands,
            events=EventStream(redis),
            registrations=RegistrationsView(redis),
            relay_nodes=NodesView(redis),
            running_calls=RunningCalls(redis),
            server=Server(redis),
            trunks=TrunksView(redis),
            traces=TracesView(redis),
            finished_calls=FinishedCalls(redis),
            hub=Hub(),
            feed=EventFeed(redis),
            catching_up=Turns(_CATCH_UPS),
            unkept=UnkeptEvents(redis),
            listening=Listening(
                redis,
                per_user=settings.event_listeners_per_user,
                per_address=settings.event_listeners_per_address,
            ),
            listen_attempts=AttemptStore(
                redis,
                "listen",
                limit=max(_LISTENS_PER_MINUTE, _COMEBACKS * settings.event_listeners_per_user),
                window_s=60,
            ),
            questions=AttemptStore(redis, "running-calls", limit=_QUESTIONS_PER_MINUTE, window_s=60),
            history_requests=AttemptStore(
                redis, "history", limit=_HISTORIES_PER_MINUTE, window_s=60, also_when_refused=True
            ),
            calls_to_end=AttemptStore(
                redis, "end-call", limit=_QUESTIONS_PER_MINUTE, window_s=60, also_when_refused=True
            ),
            routes=RoutesStore(redis),
            dials=DialStore(redis),
            dial_attempts=AttemptStore(redis, "dial", limit=_DIALS_PER_MINUTE, window_s=60),
            audit=AuditLog(redis),
            bans=bans,
            operator_work=AttemptStore(
                redis, "operator-work", limit=_OPERATOR_WORK_PER_MINUTE, window_s=60, also_when_refused=True
            ),
            leadership=Leadership(redis, "housekeeper", _LEADER_S),
            provider_keys=provider_keys,
            token_service_keys=tuple(
                ProviderKeys(KeysOnly(service), key_sets, early) for service in settings.token_services
            ),
            provider_sessions=provider_sessions,
        )


def services() -> Services:
    """Return the parts, within a request that needs Redis.

    Raises:
        NotFound: the operator has not set web login up.
        StateUnavailable: Redis let others wait in vain just now, so that this request need not.
    """
    found: Services | None = current_app.extensions[EXTENSION]
    if found is None:
        raise NotFound(NOT_OFFERED)
    if found.bans.unanswered:
        raise StateUnavailable("Redis does not answer")
    return found


def session_of_request() -> tuple[str, Session]:
    """The cookie's secret and the session of this request; raises Unauthorized when there is none."""
    secret = cookies.read(cookies.SESSION)
    parts = services()
    session = parts.sessions.use(secret, time.time()) if secret else None
    if secret is None or session is None:
        raise not_logged_in(parts.settings.domain)
    return secret, session


def holds_since(session: Session) -> float:
    """Return since when what happens to a session's identities is its owner's: before, a guest's were another's."""
    if session.method is not LoginMethod.GUEST:
        return 0.0
    settings: Settings = current_app.extensions["settings"]
    return session.began_at or session.expires_at - settings.session_lifetime_s


def only_operators(*, costs: bool = False) -> str:
    """Return the operator's name.

    Args:
        costs: much has to be read or computed for the answer, or it is noted, so that there is a limit.

    Raises:
        Unauthorized: for nobody.
        Forbidden: for everybody who is no operator.
        TooManyRequests: an operator asks without end.
    """
    _, session = session_of_request()
    if not is_operator(session):
        raise Forbidden(FOR_OPERATORS)
    if costs and (wait_s := services().operator_work.add(session.name)):
        raise TooManyRequests(
            "Too many requests; /api/operator/events tells without asking.", retry_after=wait_s
        )
    g.operator = session.name
    return session.name


def is_operator(session: Session) -> bool:
    """Whether the session's owner is an operator, now."""
    account = services().accounts.get(session.name) if session.method is LoginMethod.PASSWORD else None
    return account is not None and account.operator and not account.disabled
