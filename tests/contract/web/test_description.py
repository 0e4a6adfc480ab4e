"""The description of the interface is valid, complete, and true (each answer of the other tests is checked by it)."""

from __future__ import annotations

from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.contract.web.client import WebPage, template_of


def test_it_is_openapi(page: WebPage) -> None:
    document: Any = page.description
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_describes_every_endpoint_and_no_other(page: WebPage) -> None:
    described = {
        (path, method.upper())
        for path, operations in page.description["paths"].items()
        for method in operations
    }
    there = {
        (template_of(rule.rule), method)
        for rule in page.app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/.well-known/"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == there


def test_every_body_refuses_what_is_not_described(page: WebPage) -> None:
    assert page.description["components"]["schemas"]["Credentials"]["additionalProperties"] is False
