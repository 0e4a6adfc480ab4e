"""Tells whether a Redis can be used: redis_answers.py OLDEST_VERSION [SETTINGS]

The Redis' URL is on standard input, or ``redis_url`` in a file of settings.

Run on a node before anything is installed there: Python's standard library only.  Exit status 0: it can.  Otherwise it
says why, without a password.  URLs are those of gateway_redis_url.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

TIMEOUT_S = 3.0
PORT = 6379
SENTINEL_PORT = 26379


class Refused(Exception):
    """It answered, but not as it should; the text says what."""


class Line:
    """One connection, which speaks RESP 2."""

    def __init__(self, host: str, port: int, *, tls: bool = False, path: str = "") -> None:
        if path:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(path)
        else:
            self._socket = socket.create_connection((host, port), TIMEOUT_S)
        if tls:
            self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)
        self._file = self._socket.makefile("rb")

    def log_in(self, user: str, password: str) -> None:
        """Show the password, if there is one."""
        if password:
            self.ask("AUTH", *([user] if user else []), password)

    def ask(self, *words: str) -> str | list[str] | None:
        """Say a command; return its reply, None for none; raise Refused for an error."""
        parts = [word.encode() for word in words]
        self._socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        )
        return self._reply()

    def _reply(self) -> str | list[str] | None:
        kind, text = self._file.read(1), self._file.readline().decode().strip()
        if kind == b"-":
            raise Refused(text)
        if kind == b"$":
            return None if text == "-1" else self._file.read(int(text) + 2).decode(errors="replace")[:-2]
        if kind == b"*":
            return None if text == "-1" else [str(self._reply()) for _ in range(int(text))]
        if kind in (b"+", b":"):
            return text
        raise Refused("is no Redis")


def master_of(hosts: str, name: str, password: str, *, tls: bool) -> tuple[str, int]:
    """Return what the first Sentinel says that knows the master; raise Refused when none does."""
    reasons = []
    for one in hosts.split(","):
        parts = urlsplit(f"//{one}")
        try:
            line = Line(parts.hostname or "", parts.port or SENTINEL_PORT, tls=tls)
            line.log_in("", password)
            found = line.ask("SENTINEL", "get-master-addr-by-name", name)
        except (OSError, Refused) as error:
            reasons.append(f"Sentinel {one}: {error}")
            continue
        if isinstance(found, list):
            return found[0], int(found[1])
        reasons.append(f"Sentinel {one} knows no master {name}")
    raise Refused("; ".join(reasons))


def open_line(url: str) -> Line:
    """Connect to the server of a URL, or to the master that its Sentinels name, and log in."""
    scheme, _, rest = url.partition("://")
    tls = scheme.startswith("rediss")
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    username, _, password = (unquote(part) for part in user.partition(":"))
    path, _, query = path.partition("?")
    of_sentinels = scheme.endswith("+sentinel")
    # The programs take a plus for one there, as in the password before (kemi/state/connection.py).
    read = parse_qs(query.replace("+", "%2B") if of_sentinels else query)
    options = {name: values[0] for name, values in read.items()}
    if of_sentinels:
        name = unquote(path.partition("/")[0])
        host, port = master_of(hosts, name, options.get("sentinel_password", ""), tls=tls)
        line = Line(host, port, tls=tls)
    elif scheme == "unix":
        line = Line("", 0, path=f"/{unquote(path)}")
    elif scheme in ("redis", "rediss"):
        parts = urlsplit(f"//{hosts}")
        line = Line(parts.hostname or "localhost", parts.port or PORT, tls=tls)
    else:
        raise Refused(f"{scheme or 'nothing'} is no way to a Redis: redis, rediss, unix, redis+sentinel")
    line.log_in(options.get("username", username), options.get("password", password))
    return line


def redis_url_of(path: str) -> str:
    """Return what a file of settings says; raise ValueError where it does not."""
    with Path(path).open("rb") as file:
        url = tomllib.load(file).get("redis_url")
    if not isinstance(url, str):
        raise ValueError(f"{path} has no redis_url")
    return url


def main() -> int:
    """Ask it."""
    oldest, *settings = sys.argv[1:]
    try:
        url = redis_url_of(settings[0]) if settings else sys.stdin.read()
        line = open_line(url.strip())
        known = str(line.ask("INFO", "server"))
    except (OSError, Refused, ValueError) as error:
        print(error)
        return 1
    found = re.search(r"redis_version:([0-9.]+)", known)
    version = found[1] if found else "0"
    if [int(part) for part in version.split(".")] < [int(part) for part in oldest.split(".")]:
        print(f"it is Redis {version}, older than {oldest}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
