"""Which media profile a call gets when its INVITE is routed; the record keeps its name."""

from __future__ import annotations

from collections.abc import Mapping

from kemi.core.messages import Request, uri_from_address
from kemi.core.policy import UnreadableTarget, target_from_uri


def profile_towards_core(request: Request, domains: Mapping[str, str]) -> str:
    """Return the name of the profile for the call of a page, by the host of the URI it calls; "": the default."""
    return _by_domain(request.request_uri, domains)


def profile_towards_page(request: Request, domains: Mapping[str, str]) -> str:
    """The same for the call of somebody else: by the identity the core asserts, else From."""
    asserted = next(iter(request.headers("P-Asserted-Identity")), "")
    return _by_domain(uri_from_address(asserted) if asserted else request.from_uri, domains)


def _by_domain(uri: str, domains: Mapping[str, str]) -> str:
    try:
        return domains.get(target_from_uri(uri).domain, "") if domains else ""
    except UnreadableTarget:
        return ""
