"""/api/oidc: login at the operator's OpenID Connect provider. The browser goes there and comes back.

A browser shows what comes back to a person: a failure sends it to the page, which knows the words. Whoever does not ask
for HTML gets the problem document.
"""

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, NotFound, TooManyRequests
from werkzeug.wrappers import Response as WerkzeugResponse

from kemi.core.limits import address_key
from kemi.state.web.client import StateUnavailable
from kemi.state.web.oidc_logins import LIFETIME_S
from webapp_api import cookies
from webapp_api.blueprints.session import begun
from webapp_api.errors import CONTENT_TYPE, problem, without_state
from webapp_api.logins import NOT_OFFERED
from webapp_api.oidc.sessions import AuthorizationResponse, ProviderSessions
from webapp_api.services import OIDC_CALLBACK, services

blueprint = Blueprint("oidc", __name__)

_LONGEST_PARAMETER = 4096


@blueprint.get("/api/oidc/login")
def get_login() -> Response:
    """Send the browser to the provider."""
    if not _is_wanted():
        raise Forbidden("A login begins with somebody who wants it.")
    if wait_s := services().oidc_attempts.add(address_key(request.remote_addr or "")):
        raise TooManyRequests("Too many logins; wait before the next one.", retry_after=wait_s)
    url, secret = _provider().begin(cookies.read(cookies.SESSION))
    response = _to(url)
    cookies.give(response, cookies.OIDC_LOGIN, secret, LIFETIME_S, "Lax")
    return response


@blueprint.get(OIDC_CALLBACK)
def get_callback() -> Response:
    """Take the browser back, with a session."""
    provider = _provider()
    authorization = AuthorizationResponse(
        **{name: _parameter(name) for name in ("state", "code", "error", "iss")}
    )
    secret, _ = provider.finish(authorization, cookies.read(cookies.OIDC_LOGIN))
    response = begun(_to(url_for("softphone.get_softphone")), secret)
    cookies.take_away(response, cookies.OIDC_LOGIN)
    return response


@blueprint.errorhandler(HTTPException)
def to_the_page(error: HTTPException) -> Response:
    """Answer a failed login."""
    if request.accept_mimetypes.best_match([CONTENT_TYPE, "text/html"]) != "text/html":
        return problem(error)
    return _to(url_for("softphone.get_softphone", login_failed=error.code))


@blueprint.errorhandler(StateUnavailable)
def without_redis(error: StateUnavailable) -> Response:
    """Answer a login that failed because Redis is away."""
    return to_the_page(without_state(error))


def _is_wanted() -> bool:
    """Whether a person may have begun it (Fetch Metadata): no image, script or frame of another site, which would use
    up what its visitors' address may begin.  Who is no browser does not say.
    """
    if request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return False
    return (
        request.headers.get("Sec-Fetch-Site") != "cross-site" or request.headers.get("Sec-Fetch-User") == "?1"
    )


def _provider() -> ProviderSessions:
    provider = services().provider_sessions
    if provider is None:
        raise NotFound(NOT_OFFERED)
    return provider


def _parameter(name: str) -> str:
    values = request.args.getlist(name)
    if len(values) > 1 or len("".join(values)) > _LONGEST_PARAMETER:
        raise BadRequest(f"The parameter {name} is not as described.")
    return "".join(values)


def _to(url: str) -> Response:
    answer: WerkzeugResponse = redirect(url, 303)
    response = Response(status=answer.status_code, headers=[("Location", answer.headers["Location"])])
    response.headers["Cache-Control"] = "no-store"
    return response
