"""Web origins as browsers write them (RFC 6454 §6.2): what is configured is compared with that, letter by letter."""

from typing import Final

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def origin_fault(origin: str) -> str:
    """Return in words why no browser writes an origin of http or https so, or ""."""
    scheme, _, rest = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme.lower())
    if port is None:
        return ""
    if origin != origin.lower():
        return "must be in lower case, as browsers write it"
    if rest.endswith(f":{port}"):
        return f"must be without :{port}, as browsers write it"
    return ""
