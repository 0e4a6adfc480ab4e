"""What programmers read of answers in the description of the HTTP interface."""

from __future__ import annotations

from typing import Any

import pytest

from webapp_api.openapi import openapi_document
from webapp_api.settings import Settings

DOCUMENT: dict[str, Any] = openapi_document(
    Settings(public_origin="https://gw.example", domain="ims.example")
)


@pytest.mark.parametrize(
    ("method", "path", "status", "word", "headers"),
    [
        ("post", "/api/session", "201", "session", set()),
        ("post", "/api/calls", "202", "pages have been told", {"Location"}),
        ("post", "/api/calls", "409", "No page", set()),
        ("post", "/api/calls", "429", "Too many", {"Retry-After"}),
        ("put", "/api/dials/{dial}", "409", "Another page has it", set()),
        ("get", "/api/oidc/login", "303", "Location", {"Location"}),
        ("post", "/api/operator/users", "201", "account", {"ETag", "Location"}),
        ("put", "/api/operator/users/{name}", "201", "account", {"ETag"}),
        ("put", "/api/operator/users/{name}", "200", "As asked", {"ETag"}),
        ("get", "/api/operator/users/{name}", "200", "As asked", {"ETag"}),
        ("get", "/api/operator/routes", "200", "As asked", {"ETag"}),
        ("put", "/api/operator/routes", "200", "As asked", {"ETag"}),
        ("delete", "/api/operator/users/{name}", "204", "no such thing", set()),
    ],
)
def test_an_answer_is_described_as_it_is(
    method: str, path: str, status: str, word: str, headers: set[str]
) -> None:
    answer = DOCUMENT["paths"][path][method]["responses"][status]
    assert word in answer["description"]
    assert set(answer.get("headers", {})) == headers


def test_a_call_is_ended_by_its_name_alone() -> None:
    needed = {
        (method, path): [one["name"] for one in operation["parameters"] if one.get("required")]
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if any(one["name"] == "call_id" and one["in"] == "query" for one in operation["parameters"])
    }
    assert [where for where, names in needed.items() if "call_id" in names] == [("delete", "/api/calls")]
    assert len(needed) > 1, "elsewhere it is a filter"


def test_who_wants_if_match_says_where_its_value_comes_from() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if any(one["name"] == "If-Match" for one in operation["parameters"]):
                answers = operations["get"]["responses"]
                assert "ETag" in answers["200"].get("headers", {}), (path, method)
