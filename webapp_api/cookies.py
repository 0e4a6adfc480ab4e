"""The cookies of the web API.

`__Host-` binds a cookie to this host and to TLS: no subdomain and no plain HTTP can set one (RFC 6265bis §4.1.3.2).
The session's is Strict: no other site's link or form brings it along. The one of a login under way at a provider must
come along when the provider sends the browser back, so it is Lax; it opens nothing by itself.
"""

import re
from typing import Final, Literal

from flask import Response, request

SESSION: Final = "__Host-session"
OIDC_LOGIN: Final = "__Host-oidc-login"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 random bytes in base64url."""


def read(name: str) -> str | None:
    """The secret in a cookie of this request; None when there is none or it cannot be one of ours."""
    value = request.cookies.get(name, "")
    return value if _SECRET.fullmatch(value) else None


def give(
    response: Response, name: str, secret: str, lifetime_s: int, same_site: Literal["Strict", "Lax"]
) -> None:
    """Put a cookie into a response."""
    response.set_cookie(
        name, secret, max_age=lifetime_s, path="/", secure=True, httponly=True, samesite=same_site
    )


def take_away(response: Response, name: str) -> None:
    """Remove a cookie from the browser."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="Strict")
