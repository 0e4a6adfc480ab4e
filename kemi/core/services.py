"""Services that are called by name (RFC 5031): ``urn:service:sos``."""

from __future__ import annotations

import re
from typing import Final

_SERVICE: Final = re.compile(
    r"urn:service:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*",
    re.IGNORECASE | re.ASCII,
)


def names_service(uri: str) -> bool:
    """Whether a URI is the name of a service and no more: a proxy may read ``urn:+49900…@example`` as a number."""
    return bool(_SERVICE.fullmatch(uri.strip()))
