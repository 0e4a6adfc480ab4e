"""Starts Redis as what the Sentinels know it to be:  redis_start.py REDIS_CONF SENTINEL_CONF NAME OPTION...

Sentinels tell a running Redis whom it follows, but do not write it into our redis.conf.  One that starts as it was set
up would, after a fail-over, follow a server that is master no more, and throw its own, newer data away.

Of what the Sentinel of this machine keeps in its file and what the others answer, the highest configuration epoch
counts: it rises with each fail-over.  Where nobody knows a master, Redis starts as REDIS_CONF says.  Python's standard
library only.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SERVER = "/usr/bin/redis-server"
TIMEOUT_S = 0.3
"""For each Sentinel: Redis is away meanwhile, and soon missed."""
WILDCARDS = {"*", "0.0.0.0", "::", "::*"}  # noqa: S104  as redis.conf has them


@dataclass(frozen=True)
class Master:
    """Who is master, as one Sentinel has it."""

    epoch: int
    host: str
    port: int


def kept_master(text: str, name: str) -> Master | None:
    """Return what a Sentinel's file says of the master; None: nothing."""
    found = re.search(rf"^sentinel monitor {re.escape(name)} (\S+) (\d+) ", text, re.MULTILINE)
    if found is None:
        return None
    epoch = re.search(rf"^sentinel config-epoch {re.escape(name)} (\d+)", text, re.MULTILINE)
    return Master(int(epoch[1]) if epoch else 0, found[1], int(found[2]))


def other_sentinels(text: str, name: str) -> list[tuple[str, int]]:
    """Return where the Sentinels are that this one has met."""
    pattern = rf"^sentinel known-sentinel {re.escape(name)} (\S+) (\d+)"
    return [(host, int(port)) for host, port in re.findall(pattern, text, re.MULTILINE)]


def asked_master(host: str, port: int, name: str, password: str) -> Master | None:
    """Ask a Sentinel; None where it does not answer, or knows no such master."""
    commands = [("AUTH", password)] if password else []
    commands.append(("SENTINEL", "MASTER", name))
    said = "".join(
        f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words) for words in commands
    )
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as line, line.makefile("rb") as replies:
            line.sendall(said.encode())
            if password and not replies.readline().startswith(b"+"):
                return None
            header = replies.readline()
            if not header.startswith(b"*"):
                return None
            words = []
            for _ in range(int(header[1:])):
                length = int(replies.readline()[1:])
                words.append(replies.read(length + 2)[:-2].decode())
        found = dict(zip(words[::2], words[1::2], strict=False))
        return Master(int(found["config-epoch"]), found["ip"], int(found["port"]))
    except (OSError, ValueError, KeyError):
        return None


def option(text: str, name: str) -> str:
    """Return the value of an option of redis.conf, "" where it is not there."""
    found = re.search(rf"^{name} +(.+?) *$", text, re.MULTILINE)
    return found[1] if found else ""


def is_own(master: Master, bound: Iterable[str], port: int) -> bool:
    """Tell whether the Redis that listens at these addresses and this port is meant."""
    if master.port != port:
        return False
    addresses = _resolved(master.host)
    if any(addresses & _resolved(one) for one in bound if one not in WILDCARDS):
        return True
    return not WILDCARDS.isdisjoint(bound) and any(map(_is_of_this_machine, addresses))


def _resolved(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return {host}


def _is_of_this_machine(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
            tried.bind((address, 0))
    except OSError:
        return False
    return True


def role(config: str, kept: str, name: str) -> list[str]:
    """Return the options for redis-server that say whom it follows; none where no Sentinel knows a master."""
    password, port = option(config, "requirepass"), int(option(config, "port") or 6379)
    known = [kept_master(kept, name)]
    known += [asked_master(*place, name, password) for place in other_sentinels(kept, name)]
    masters = [one for one in known if one is not None]
    if not masters:
        return []
    master = max(masters, key=lambda one: one.epoch)  # of equal ones our own Sentinel's
    bound = [address.lstrip("-") for address in option(config, "bind").split()]
    if is_own(master, bound, port):
        return ["--replicaof", "no", "one"]
    return ["--replicaof", master.host, str(master.port)]


def main() -> None:
    """Become Redis."""
    config, sentinel, name, *options = sys.argv[1:]
    try:
        kept = Path(sentinel).read_text(encoding="utf-8")
    except OSError:
        kept = ""
    chosen = role(Path(config).read_text(encoding="utf-8"), kept, name)
    print("Redis starts", " ".join(chosen) or "as it was set up", flush=True)
    os.execv(SERVER, [SERVER, config, *options, *chosen])  # noqa: S606  what systemd is told to start


if __name__ == "__main__":
    main()
