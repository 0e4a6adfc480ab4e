"""What this machine is to run, told by which configuration files it has."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from kemi.settings import Settings as GatewaySettings
from rtpengine.agent.settings import Settings as AgentSettings
from webapp_api.check.own_files import PROGRAMS, read_own_file
from webapp_api.check.relay_file import NAME as RELAY
from webapp_api.check.relay_file import RelayFile, read_relay_file
from webapp_api.settings import Settings as WebSettings

NOT_OURS: Final = os.strerror(errno.EACCES)
"""Why a file is broken that this user may not read."""
OTHERS: Final = ("haproxy.cfg", "redis.conf", "site.cfg", "tls.cfg")


class NothingHere(ValueError):
    """The folder has none of our files."""


@dataclass(frozen=True)
class Host:
    """The files of a machine; None, or "": it has no such file, or a broken one."""

    folder: Path
    gateway: GatewaySettings | None = None
    web: WebSettings | None = None
    agent: AgentSettings | None = None
    relay: RelayFile | None = None
    haproxy: str = ""
    redis: str = ""
    site: str = ""
    """Kamailio's site.cfg."""
    tls: str = ""
    """Kamailio's tls.cfg."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """File -> why it cannot be used."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the files; raises NothingHere."""
        texts: dict[str, str] = {}
        broken: dict[str, str] = {}
        for name in (*PROGRAMS, RELAY, *OTHERS):
            path = folder / name
            try:
                if path.exists():
                    texts[name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                broken[name] = getattr(error, "strerror", None) or str(error)
        if not texts and not broken:
            raise NothingHere(f"{folder} has none of {', '.join((*PROGRAMS, RELAY, *OTHERS))}")
        own = {}
        for name in PROGRAMS.keys() & texts.keys():
            file = read_own_file(name, texts[name])
            own[name] = file.settings
            if file.settings is None:
                broken[name] = file.findings[0].reason
        return cls(
            folder,
            own.get("gateway.toml"),
            own.get("webapp_api.toml"),
            own.get("media_agent.toml"),
            read_relay_file(texts[RELAY])[0] if RELAY in texts else None,
            haproxy=texts.get("haproxy.cfg", ""),
            redis=texts.get("redis.conf", ""),
            site=texts.get("site.cfg", ""),
            tls=texts.get("tls.cfg", ""),
            broken=broken,
        )

    @property
    def public_origins(self) -> list[str]:
        """Where pages are: what the web service says, or without one here whom the gateway lets in; else empty."""
        return [self.web.public_origin] if self.web else list(self.gateway.origins) if self.gateway else []

    @property
    def redis_url(self) -> str:
        """The site's Redis, or the one of this machine; "" where there is none."""
        own = self._own_redis_url()
        return self.gateway.redis_url if self.gateway else self.web.redis_url if self.web else own

    @property
    def is_redis_copy(self) -> bool:
        """Whether this machine is to have a copy of a Redis, and no program that writes into one."""
        return not (self.gateway or self.web) and bool(self._redis_option("replicaof"))

    def _own_redis_url(self) -> str:
        if not self.redis:
            return ""
        address = self._redis_option("bind").split()[:1] or ["127.0.0.1"]
        host = address[0].lstrip("-")
        password = self._redis_option("requirepass").strip('"')
        secret = f":{quote(password, safe='')}@" if password else ""
        shown = f"[{host}]" if ":" in host else host
        return f"redis://{secret}{shown}:{self._redis_option('port') or 6379}/0"

    def _redis_option(self, name: str) -> str:
        found = re.search(rf"^{name}\s+(.+)$", self.redis, re.MULTILINE | re.IGNORECASE)
        return found[1].strip() if found else ""

    def front_doors(self) -> list[tuple[str, int, str]]:
        """Return address, port and certificate ("" without TLS) of each listener of HAProxy."""
        found = []
        for match in re.finditer(r"^\s*bind\s+(\S+):(\d+)(.*)$", self.haproxy, re.MULTILINE):
            certificate = re.search(r"\bcrt\s+(\S+)", match[3])
            address = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(match[1], match[1])  # noqa: S104
            address = "::1" if address in ("[::]", "::") else address.strip("[]")
            found.append((address, int(match[2]), certificate[1] if certificate else ""))
        return found

    @property
    def haproxy_socket(self) -> str:
        """Where HAProxy takes commands, "" where its file does not say."""
        found = re.search(r"^\s*stats\s+socket\s+(\S+)", self.haproxy, re.MULTILINE)
        return found[1] if found else ""

    def haproxy_number(self, name: str) -> int | None:
        """Return the first number of that name of HAProxy, which is the global one where it is in each section."""
        found = re.search(rf"^\s*{name}\s+(\d+)", self.haproxy, re.MULTILINE)
        return int(found[1]) if found else None

    def site_number(self, name: str) -> int | None:
        """Return a number of Kamailio's site.cfg."""
        found = re.search(rf"^{name}=(\d+)", self.site, re.MULTILINE)
        return int(found[1]) if found else None

    def relay_number(self, name: str) -> int | None:
        """Return a number of rtpengine.conf."""
        text = self.relay.options.get(name, "") if self.relay else ""
        return int(text) if re.fullmatch(r"-?\d+", text) else None
