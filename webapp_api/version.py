"""Version of the gateway as installed."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

_DISTRIBUTION: Final = "webrtc-ims-gateway"


def installed_version(distribution: str = _DISTRIBUTION) -> str:
    """The version of the installed distribution, "unknown" when it runs from a bare source tree."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


VERSION: Final = installed_version()
