"""How programs reach Redis: one server, or the master that Sentinels name.

    redis://[:PASSWORD@]HOST:PORT/DB                 one server; rediss:// by TLS, unix:// by a socket
    redis+sentinel://[:PASSWORD@]HOST:PORT,HOST:PORT,.../NAME[/DB][?sentinel_password=...]
                                                     the master NAME of these Sentinels; rediss+sentinel:// by TLS

The Sentinels are asked whenever a connection is made.  A connection to a master that is one no more ends with the first
thing written to it, and the next one goes to the new master.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

SCHEMES: Final = ("redis", "rediss", "unix")
_SENTINEL_SCHEMES: Final = {"redis+sentinel": False, "rediss+sentinel": True}
_SENTINEL_PORT: Final = 26379
_SENTINEL_LONGEST_S: Final = 0.5
_SENTINEL_SHORTEST_S: Final = 0.1
"""How long each Sentinel is waited for: they are asked one after the other, and the first ones may be gone."""
_MOST_CONNECTIONS: Final = 2**16
"""More than there are threads. A limit of the client's own (100) refuses commands although Redis is there."""


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where Sentinels are, and which master is meant."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    database: int = 0
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)


def sentinel_address_from_url(url: str) -> SentinelAddress | None:
    """Read a URL of Sentinels; None for one of a server; raises ValueError that says what is wrong, without the URL."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in (*SCHEMES, *_SENTINEL_SCHEMES):
        raise ValueError("must be a redis, rediss, unix, redis+sentinel or rediss+sentinel URL")
    if scheme in SCHEMES:
        _check_server(url)
        return None
    # Several hosts are no authority of a URL (RFC 3986): user and hosts are taken apart here.
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    path, _, query = path.partition("?")
    name, _, database = path.partition("/")
    if not name:
        raise ValueError("names no master: .../NAME")
    if database and not database.isdecimal():
        raise ValueError("the database after the master's name is a number")
    username, _, password = user.partition(":")
    # As in the password before: a plus is one, and no space as in a form.
    options = {
        option: unquote(value)
        for option, _, value in (part.partition("=") for part in query.split("&") if part)
    }
    if unknown := options.keys() - {"sentinel_password"}:
        raise ValueError(f"has no option {sorted(unknown)[0]}")
    return SentinelAddress(
        sentinels=tuple(_host_and_port(one) for one in hosts.split(",")),
        name=unquote(name),
        database=int(database or 0),
        tls=_SENTINEL_SCHEMES[scheme],
        username=unquote(username),
        password=unquote(password),
        sentinel_password=options.get("sentinel_password", ""),
    )


def _check_server(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:  # whose text may have a part of the password
        raise ValueError("must be HOST:PORT behind the password, with a port up to 65535") from None


def _host_and_port(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"a Sentinel is host:port: {error}") from error
    if not host:
        raise ValueError("a Sentinel is host:port, several with commas between")
    return host, port or _SENTINEL_PORT


class _Sentinels(Sentinel):
    """When none of them answers, they are left alone for as long as that took; one that is late is a timeout."""

    _rests_until = 0.0

    def discover_master(self, service_name: str) -> tuple[str, int]:
        began = time.monotonic()
        if began < self._rests_until:
            raise redis.TimeoutError("Sentinels did not answer just now")
        try:
            found: tuple[str, int] = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:
            took_s = time.monotonic() - began
            if took_s < _SENTINEL_SHORTEST_S:
                raise
            if took_s >= len(self.sentinels) * self.sentinel_kwargs["socket_timeout"]:
                self._rests_until = began + 2 * took_s
            raise redis.TimeoutError(str(error)) from None
        return found


def _greet(connected: Callable[[], object], connection: Any) -> None:
    connection.on_connect()
    connected()


def redis_client(
    url: str, deadline_s: float, retry: Retry, connected: Callable[[], object] | None = None
) -> redis.Redis:
    """Return a client, which connects at its first command; raises ValueError for a URL that is none.

    Args:
        url: as above.
        deadline_s: seconds, for connecting to the server and for each reply; Sentinels have shorter ones.
        retry: what it does by itself when a connection is lost.
        connected: called when a connection to the server has been made, which the client also does without a word when
            the one before had ended between two commands.
    """
    address = sentinel_address_from_url(url)
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": deadline_s,
        "socket_connect_timeout": deadline_s,
        "retry": retry,
        "protocol": 2,
        "max_connections": _MOST_CONNECTIONS,
    }
    if connected is not None:
        options["redis_connect_func"] = partial(_greet, connected)
    if address is None:
        return redis.Redis.from_url(url, **options)
    for_each_s = min(_SENTINEL_LONGEST_S, max(_SENTINEL_SHORTEST_S, deadline_s / len(address.sentinels)))
    about_sentinels: dict[str, Any] = {
        "socket_timeout": for_each_s,
        "socket_connect_timeout": for_each_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.sentinel_password:
        about_sentinels["password"] = address.sentinel_password
    if address.tls:
        options["ssl"] = about_sentinels["ssl"] = True
    if address.username:
        options["username"] = address.username
    if address.password:
        options["password"] = address.password
    sentinels: Any = _Sentinels
    found: redis.Redis = sentinels(list(address.sentinels), sentinel_kwargs=about_sentinels).master_for(
        address.name, db=address.database, **options
    )
    return found
