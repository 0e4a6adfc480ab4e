"""/api/operator/traces: what calls did."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
import redis

from kemi.core.trace.entries import Entry, What
from kemi.state.redis_link import RedisLink
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TraceHead, TracePortion, entries_to_bytes
from tests.contract.web.client import WebPage

TRACES, TRACE = "/api/operator/traces", "/api/operator/trace"
KEY = "a/b?c@d;gw-in-1"
ODD_KEYS = ("/x@y", "x@y", "//x@y", ".", "..", "x" * 7_900)


@pytest.fixture
def traced(store: redis.Redis, redis_url: str) -> None:
    """Two calls, one of which failed, and before them some with odd names."""
    del store  # empty
    rings = TraceRings(10, 10, 100, 1000)
    link = RedisLink(redis_url, "gw1")
    odd = [(key, key, False) for key in ODD_KEYS]
    for key, call_id, failed in (*odd, (KEY, "a/b?c@d", True), ("other", "other", False)):
        head = TraceHead(
            key=key, call_id=call_id, impu="sip:a@b", peer="tel:+49301", direction="to_page", node="gw1",
            began_at=2.0 if failed else 1.0 if key == "other" else 0.5, status=488 if failed else 0, failed=failed,
        )  # fmt: skip
        entry = Entry(
            at=2.5, what=What.DECISION, name="request_rejected", why="no codec", values={"status": 488}
        )
        link.ship_traces([TracePortion(head, entries_to_bytes([entry]))], rings)


@pytest.mark.usefixtures("traced")
def test_an_operator_sees_a_list_and_whole_traces(page_of_operator: WebPage) -> None:
    listed = page_of_operator.ask("GET", TRACES).get_json()
    assert [one["key"] for one in listed["traces"]][:2] == [KEY, "other"]
    assert listed["next"] == ""
    assert page_of_operator.ask("GET", f"{TRACES}?impu=a@b").get_json() == listed
    failed = page_of_operator.ask("GET", f"{TRACES}?failed=true&limit=1").get_json()
    assert [(one["key"], one["status"], one["failed"]) for one in failed["traces"]] == [(KEY, 488, True)]
    following = page_of_operator.ask("GET", f"{TRACES}?after={quote(failed['next'])}").get_json()
    assert following["traces"][0]["key"] == "other"
    for name in (KEY, "a/b?c@d"):
        trace = page_of_operator.ask("GET", f"{TRACE}?{urlencode({'key': name})}").get_json()
        assert page_of_operator.ask("GET", f"{TRACES}/{quote(name, safe='')}").get_json() == trace
        assert (trace["key"], trace["status"], trace["left_out"]) == (KEY, 488, 0)
        assert [(one["code"], one["gravity"]) for one in trace["verdicts"]] == [("refused", "cause")]
        (entry,) = trace["entries"]
        assert (entry["what"], entry["name"], entry["why"]) == ("decision", "request_rejected", "no codec")


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: key[:5])
def test_a_call_with_an_odd_name_is_not_taken_for_another(page_of_operator: WebPage, key: str) -> None:
    found = page_of_operator.ask("GET", f"{TRACE}?{urlencode({'key': key})}")
    assert found.get_json()["key"] == key
    by_path = page_of_operator.ask("GET", f"{TRACES}/{quote(key, safe='')}")
    assert by_path.status_code == 404 or by_path.get_json()["key"] == key


@pytest.mark.usefixtures("traced")
def test_questions_that_make_no_sense_are_refused(page_of_operator: WebPage) -> None:
    places = ("after=x", "after=x+y", "after=nan+x", "after=inf+x")
    for query in ("failed=maybe", "limit=0", "limit=201", "limit=x", *places):
        assert page_of_operator.ask("GET", f"{TRACES}?{query}").status_code == 400, query
    for path in (f"{TRACES}/nothing", TRACE, f"{TRACE}?key=nothing"):
        assert page_of_operator.ask("GET", path).status_code == 404
    assert page_of_operator.ask("GET", f"{TRACE}?key={'x' * 8001}").status_code == 400


@pytest.mark.usefixtures("traced")
def test_nobody_else_sees_traces(page: WebPage) -> None:
    assert page.ask("GET", TRACES).status_code == 401
    assert page.log_in().status_code == 201
    for path in (TRACES, f"{TRACES}/other", f"{TRACE}?key=other"):
        assert page.ask("GET", path).status_code == 403
