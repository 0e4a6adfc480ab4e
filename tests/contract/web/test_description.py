"""The description of the interface is valid, complete, and true (each answer of the other tests is checked by it)."""

from __future__ import annotations

import json
import re
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


def with_parts(names: set[str], schemas: dict[str, Any]) -> set[str]:
    """Return the schemas and all that they refer to."""
    found: set[str] = set()
    while names - found:
        name = (names - found).pop()
        found.add(name)
        names |= set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schemas[name])))
    return found


def _takes_more(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" and schema.get("additionalProperties") is not False


def test_every_body_refuses_what_is_not_described(page: WebPage) -> None:
    schemas = page.description["components"]["schemas"]
    bodies = {
        schema["$ref"].rpartition("/")[2]
        for operations in page.description["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
        for schema in (operation["requestBody"]["content"]["application/json"]["schema"],)
    }
    assert "Credentials" in bodies
    open_ones = {name for name in with_parts(bodies, schemas) if _takes_more(schemas[name])}
    assert open_ones == set()
