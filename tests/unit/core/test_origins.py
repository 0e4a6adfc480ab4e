"""Origins that no browser writes so."""

from __future__ import annotations

import pytest

from kemi.core.origins import origin_fault


@pytest.mark.parametrize(
    ("origin", "fault"),
    [
        ("https://gw.example", ""),
        ("https://gw.example:8443", ""),
        ("https://gw.example:80", ""),
        ("http://localhost:443", ""),
        ("https://[2001:db8::443]", ""),
        ("app://Some.Thing:443", ""),
        ("https://GW.example", "must be in lower case, as browsers write it"),
        ("HTTPS://gw.example", "must be in lower case, as browsers write it"),
        ("https://[2001:DB8::1]", "must be in lower case, as browsers write it"),
        ("null", ""),
        ("file://", ""),
        ("gw.example", "must begin with its scheme, as https://"),
        ("*", "must begin with its scheme, as https://"),
        ("https://gw.example/", "must be scheme://host or scheme://host:port, without a path"),
        ("https://gw.example/phone", "must be scheme://host or scheme://host:port, without a path"),
        ("https://", "must be scheme://host or scheme://host:port, without a path"),
        ("https://*.gw.example", "must be scheme://host or scheme://host:port, without a path"),
        ("https://gw.example:443", "must be without :443, as browsers write it"),
        ("http://localhost:80", "must be without :80, as browsers write it"),
    ],
)
def test_what_is_wrong_with_it(origin: str, fault: str) -> None:
    assert origin_fault(origin) == fault
