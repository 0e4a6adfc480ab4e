"""Who exists in the lab: subscribers with their identities, numbers and secrets.

The HSS, the phones, the tests and lab.json all read this one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

REALM: Final = "ims.test"


class Scheme(StrEnum):
    """How the HSS lets a subscriber authenticate (TS 29.229 §6.3.9)."""

    DIGEST_MD5 = "Digest-MD5"
    SIP_DIGEST = "SIP Digest"
    AKA = "Digest-AKAv1-MD5"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One IMS subscription: a private identity and its implicit registration set."""

    name: str
    number: str
    scheme: Scheme = Scheme.SIP_DIGEST
    password: str = ""
    k: str = ""
    opc: str = ""

    @property
    def impi(self) -> str:
        return f"{self.name}@{REALM}"

    @property
    def impu(self) -> str:
        """The default public identity."""
        return f"sip:{self.name}@{REALM}"

    @property
    def tel(self) -> str:
        return f"tel:{self.number}"

    @property
    def impus(self) -> tuple[str, ...]:
        """The implicit set: the sip: form of the number is there because lookup() cannot find a tel: URI."""
        return (self.impu, f"sip:{self.number}@{REALM}", self.tel)


def _with_password(name: str, number: str, scheme: Scheme) -> Subscriber:
    return Subscriber(name, number, scheme, password=f"secret-{name}")


# TS 35.208 §4.3 test set 1: anybody's ISIM simulator knows these keys.
_CAROL = Subscriber(
    "carol",
    "+19990003",
    Scheme.AKA,
    k="465b5ce8b199b49faa5f0a2ee238a6bc",
    opc="cd63cb71954a9f4e48a5994e37a02baf",
)

WEB_USERS: Final = 8

GUESTS: Final = 3

SUBSCRIBERS: Final[tuple[Subscriber, ...]] = (
    _with_password("alice", "+19990001", Scheme.DIGEST_MD5),
    _with_password("bob", "+19990002", Scheme.SIP_DIGEST),
    _CAROL,
    _with_password("dave", "+19990004", Scheme.DIGEST_MD5),
    _with_password("phone", "+19990011", Scheme.DIGEST_MD5),
    _with_password("videophone", "+19990012", Scheme.DIGEST_MD5),
    *(_with_password(f"web{i}", f"+199900{20 + i}", Scheme.SIP_DIGEST) for i in range(1, WEB_USERS + 1)),
    # The identity pool of the web service: nobody knows these passwords, they register with a token.
    *(_with_password(f"guest{i}", f"+199900{40 + i}", Scheme.SIP_DIGEST) for i in range(1, GUESTS + 1)),
)

GUEST_NAMES: Final = tuple(f"guest{i}" for i in range(1, GUESTS + 1))

BY_NAME: Final = {subscriber.name: subscriber for subscriber in SUBSCRIBERS}


def subscribers_to_file(subscribers: Sequence[Subscriber], path: Path) -> None:
    """Write the table as JSON for the HSS process."""
    path.write_bytes(msgspec.json.encode(subscribers))


def subscribers_from_file(path: Path) -> list[Subscriber]:
    """Read what `subscribers_to_file` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=list[Subscriber])
