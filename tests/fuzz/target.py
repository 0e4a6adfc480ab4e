"""What a target is, and where its inputs are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kemi.core.errors import GatewayError, LocalProtocolError

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """A reader with its properties: what it does not allow comes out as an exception."""

    name: str
    run: Callable[[bytes], None]
    dictionary: tuple[bytes, ...] = ()
    """Pieces that random inputs are made of."""

    @property
    def folder(self) -> Path:
        """Where its kept inputs are."""
        return CORPUS / self.name

    @property
    def corpus(self) -> list[Path]:
        """Kept inputs; those named ``found-*`` once failed."""
        return sorted(self.folder.glob("*"))


def text_of(data: bytes) -> str:
    """Decode as Kamailio's values are decoded for us: what is no UTF-8 becomes replacement characters."""
    return data.decode("utf-8", "replace")


def refused(work: Callable[[], object]) -> bool:
    """Do something that may be refused as the peer's mistake; whether it was.  Our own mistakes are raised."""
    try:
        work()
    except LocalProtocolError:
        raise
    except GatewayError as error:
        assert 400 <= error.status < 700
        assert error.detail
        return True
    return False
