"""Security header fields of every response."""

from typing import Final

from flask import Flask, Response, request

from webapp_api.settings import SIP_PATH, Settings

_PERMISSIONS_POLICY: Final = (
    "microphone=(self), camera=(self), autoplay=(self), geolocation=(), display-capture=()"
)
# Half a year; longer only once nobody needs to go back to http.
_STRICT_TRANSPORT_SECURITY: Final = "max-age=15768000"


def content_security_policy(settings: Settings) -> str:
    """Only what this origin serves; the gateway's WebSocket is named, older browsers do not count it as 'self'."""
    socket_origin = settings.wss_url.removesuffix(SIP_PATH)
    return "; ".join(
        (
            "default-src 'self'",
            f"connect-src 'self' {socket_origin}",
            "media-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def register(app: Flask, settings: Settings) -> None:
    """Put the header fields on every response of `app`."""
    fields = {
        "Content-Security-Policy": content_security_policy(settings),
        "Permissions-Policy": _PERMISSIONS_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    @app.after_request
    def add_security_headers(response: Response) -> Response:
        for name, value in fields.items():
            response.headers[name] = value
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = _STRICT_TRANSPORT_SECURITY
        return response
