"""Web origins as browsers write them (RFC 6454 §6.2): what is configured is compared with that, letter by letter."""

import re
from typing import Final

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_HOST_AND_PORT: Final = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_OPAQUE: Final = "null"
"""What pages without an origin of their own say, as those of files."""


def origin_fault(origin: str) -> str:
    """Return in words why no browser writes an origin so, or ""; other schemes than http and https may be anything."""
    scheme, separator, rest = origin.partition("://")
    if not separator and origin != _OPAQUE:
        return "must begin with its scheme, as https://"
    port = _DEFAULT_PORTS.get(scheme.lower())
    if port is None:
        return ""
    if origin != origin.lower():
        return "must be in lower case, as browsers write it"
    if rest.endswith(f":{port}"):
        return f"must be without :{port}, as browsers write it"
    if not _HOST_AND_PORT.fullmatch(rest):
        return "must be scheme://host or scheme://host:port, without a path"
    return ""
