"""Every error knows its SIP answer: one row for each class, and a class without a row fails."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import pytest

import kemi.core
import kemi.state
from kemi.core import errors
from kemi.core.emergency import AlternativeService
from kemi.core.errors import GatewayError, Termination
from kemi.core.registration.token import TokenRefused
from kemi.core.routing.numbers import BadNumber, ServiceCode
from kemi.core.routing.permissions import CallDenied
from kemi.core.routing.table import RefusedByRow
from kemi.core.routing.way import NoRoute

CLIENT, SERVER = Termination.CLIENT_ERROR, Termination.SERVER_ERROR
ROWS = {
    errors.GatewayError: (500, "Server Internal Error", SERVER, logging.ERROR),
    errors.SipReject: (403, "Forbidden", CLIENT, logging.INFO),
    errors.NotAcceptableHere: (488, "Not Acceptable Here", CLIENT, logging.INFO),
    errors.RemoteProtocolError: (400, "Bad Request", CLIENT, logging.INFO),
    BadNumber: (404, "Not Found", CLIENT, logging.INFO),
    ServiceCode: (404, "Not Found", CLIENT, logging.INFO),
    RefusedByRow: (403, "Forbidden", CLIENT, logging.INFO),
    NoRoute: (404, "Not Found", CLIENT, logging.INFO),
    TokenRefused: (401, "Unauthorized", CLIENT, logging.INFO),
    errors.SdpSyntaxError: (400, "Bad Session Description", CLIENT, logging.INFO),
    CallDenied: (403, "Forbidden", CLIENT, logging.INFO),
    AlternativeService: (380, "Alternative Service", CLIENT, logging.INFO),
    errors.OverLimit: (503, "Too Many Requests", CLIENT, logging.DEBUG),
    errors.LocalProtocolError: (500, "Server Internal Error", SERVER, logging.ERROR),
    errors.MediaUnavailable: (503, "Media Relay Unavailable", SERVER, logging.ERROR),
    errors.MediaForgotten: (503, "Media Relay Unavailable", SERVER, logging.ERROR),
}


def _all_errors(kind: type[GatewayError] = GatewayError) -> set[type[GatewayError]]:
    """Return the class and everything below it, after importing whatever could define more."""
    for package in (kemi.core, kemi.state):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return {kind}.union(*(_all_errors(child) for child in kind.__subclasses__()))


def test_every_error_has_a_row() -> None:
    assert {kind for kind in _all_errors() if kind.__module__.startswith("kemi.")} == set(ROWS)


@pytest.mark.parametrize(
    ("kind", "disposition"), [pytest.param(kind, row, id=kind.__name__) for kind, row in ROWS.items()]
)
def test_an_error_carries_its_disposition(
    kind: type[GatewayError], disposition: tuple[int, str, Termination, int]
) -> None:
    error = kind("what happened")
    assert (error.status, error.reason_phrase, error.termination, error.log_level) == disposition
    assert error.detail == "what happened"


def test_a_single_error_may_say_it_more_precisely() -> None:
    error = errors.SipReject("x", status=480, reason_phrase="Temporarily Unavailable")
    assert (error.status, error.reason_phrase) == (480, "Temporarily Unavailable")
    assert errors.SipReject("y").status == 403


def test_without_a_detail_the_reason_phrase_speaks() -> None:
    assert errors.SipReject().detail == "Forbidden"
    assert errors.SipReject(reason_phrase="Not Registered").detail == "Not Registered"


@pytest.mark.parametrize(
    ("line_number", "detail"),
    [pytest.param(None, "bad", id="no line"), pytest.param(3, "line 3: bad", id="line")],
)
def test_a_syntax_error_names_its_line(line_number: int | None, detail: str) -> None:
    error = errors.SdpSyntaxError("bad", line_number)
    assert error.detail == detail
    assert error.line_number == line_number
