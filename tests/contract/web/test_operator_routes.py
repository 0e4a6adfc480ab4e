"""The routing table on the web and by command: taken whole or not at all, and explained."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
import redis

from kemi.core.routing.table import Route, Target
from kemi.state import keys
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.routes import RoutesStore
from tests.contract.web.client import NAME, WebPage
from tests.contract.web.operator import Operator
from webapp_api.gwctl.routes import NOT_LOOKED_AT

ROUTES = "/api/operator/routes"
TABLE: dict[str, Any] = {
    "routes": [
        {"id": "germany", "number": "+49*", "to": "trunk", "name": "carrier"},
        {"id": "berlin", "number": "+4930*", "to": "core"},
        {
            "id": "night",
            "number": "+4930*",
            "to": "refuse",
            "status": 403,
            "hours": {"days": ["sun"], "end": "06:00"},
        },
    ],
    "plans": {"home.example": {"country": "DE"}},
    "trunk_groups": {"carrier": ["one", "two"]},
    "permissions": {"*": {"calls": 2}, "guest": {"classes": ["free"]}},
}


BOB = Account(
    name="bob",
    password_hash="",
    impi="bob@home.example",
    impus=["sip:bob@home.example", "tel:+49301234567", "sip:600@home.example"],
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a good table."""
    path = tmp_path / "routes.json"
    path.write_text(json.dumps(TABLE))
    return path


def class_in(page: WebPage) -> object:
    """Return the claim in the page's token."""
    token = page.token().get_json()["access_token"]
    return jwt.decode(token, options={"verify_signature": False}).get("user_class")


class TestWeb:
    def test_without_a_table_there_is_version_0(self, page_of_operator: WebPage) -> None:
        assert page_of_operator.ask("GET", ROUTES).get_json()["version"] == 0
        assert page_of_operator.ask("GET", ROUTES + "/explain?number=115").status_code == 404

    def test_a_table_is_replaced_as_a_whole(self, page_of_operator: WebPage) -> None:
        page = page_of_operator
        first = page.ask("PUT", ROUTES, json=TABLE).get_json()["version"]
        smaller = {**TABLE, "routes": TABLE["routes"][:1]}
        put = page.ask("PUT", ROUTES, json=smaller).get_json()
        got = page.ask("GET", ROUTES).get_json()
        assert put == got
        assert got["version"] > first
        assert [row["id"] for row in got["table"]["routes"]] == ["germany"]

    @pytest.mark.parametrize(
        ("bad", "names"),
        [
            ({"routes": [{"id": "a", "number": "+49*", "to": "trunk", "name": "gone"}]}, "no trunk 'gone'"),
            ({"routes": [{"id": "a", "number": "+49*", "to": "core", "prio": 1}]}, "prio: unknown"),
            (
                {"routes": [{"id": "a", "number": "+49*", "to": "core", "hours": {"tz": "UTC"}}]},
                "hours.tz: unknown",
            ),
            ({"routes": [{"id": "a", "number": "+49*", "to": "moon"}]}, "$.routes[0].to"),
            ({"routes": [{"id": "a", "number": "+49*"}]}, "missing required field"),
            ({"plans": {"home.example": {"country": "Germany"}}}, "no ISO 3166 code"),
            ({"plans": {"home.example": {"land": "DE"}}}, "land: unknown"),
            ({"trunk_groups": {"carrier": []}}, "trunk group 'carrier'"),
            ({"conferences": {"weekly": "weekly"}}, "conference 'weekly'"),
            ({"rows": []}, "unknown field"),
            ({"permissions": {"guest": {"classes": ["cheap"]}}}, "cheap"),
            ({"permissions": {"guest": {"call": 1}}}, "call: unknown"),
        ],
    )
    def test_a_bad_table_is_named_and_the_old_one_stays(
        self, page_of_operator: WebPage, bad: dict[str, Any], names: str
    ) -> None:
        version = page_of_operator.ask("PUT", ROUTES, json=TABLE).get_json()["version"]
        refused = page_of_operator.ask("PUT", ROUTES, json=bad)
        assert refused.status_code == 422
        assert names in refused.get_json()["detail"]
        assert page_of_operator.ask("GET", ROUTES).get_json()["version"] == version

    def test_it_says_which_row_wins_and_why(self, page_of_operator: WebPage) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        told = page_of_operator.ask(
            "GET", ROUTES + "/explain?number=030%201234567&realm=Home.Example"
        ).get_json()
        assert told["number"] == "+49301234567"
        assert {row["id"]: row["why"] for row in told["rows"]}["germany"] == "berlin is nearer to the number"
        assert told["rows"][0] == {"id": "berlin", "why": "wins"}

    def test_it_says_what_a_number_costs_and_who_may_call_it(self, page_of_operator: WebPage) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        told = [
            page_of_operator.ask(
                "GET", f"{ROUTES}/explain?number={number}&realm=home.example&class={name}"
            ).get_json()
            for number, name in (("0301234567", ""), ("0301234567", "guest"), ("09001234567", ""))
        ]
        assert [(one["cost"], one["denied"], one["limits"]) for one in told] == [
            ("national", "", "2 calls at once"),
            ("national", "you may not call national numbers", ""),
            ("premium", "you may not call premium numbers", "2 calls at once"),  # by a trunk
        ]

    def test_it_says_whose_number_it_is(self, page_of_operator: WebPage, store: redis.Redis) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        AccountStore(store).put(BOB)
        said = [
            page_of_operator.ask("GET", f"{ROUTES}/explain?number={number}&realm=home.example").get_json()
            for number in ("0301234567", "0301234568", "sip:bob@home.example", "sip:bob@other.example")
        ]
        assert [one["user"] for one in said] == ["bob", "", "bob", ""]

    def test_an_emergency_number_is_no_matter_of_rows(self, page_of_operator: WebPage) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        told = page_of_operator.ask("GET", ROUTES + "/explain?number=110&realm=home.example").get_json()
        assert (told["emergency"], told["rows"]) == (True, [])

    def test_a_number_that_cannot_be_called_says_why(self, page_of_operator: WebPage) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        told = page_of_operator.ask("GET", ROUTES + "/explain?number=%2B4930&realm=home.example")
        assert told.status_code == 404
        assert "484" in told.get_json()["detail"]

    def test_a_service_code_is_called_by_a_row_for_such_codes_alone(self, page_of_operator: WebPage) -> None:
        explain = ROUTES + "/explain?realm=home.example&number=*21*0301234567%23"
        everything = {"id": "all", "number": "*", "to": "core"}
        page_of_operator.ask("PUT", ROUTES, json={**TABLE, "routes": [everything]})
        assert "no such service code" in page_of_operator.ask("GET", explain).get_json()["detail"]
        divert = {"id": "divert", "number": "*21*", "to": "core"}
        page_of_operator.ask("PUT", ROUTES, json={**TABLE, "routes": [everything, divert]})
        told = page_of_operator.ask("GET", explain).get_json()
        assert (told["number"], told["rows"][0]["id"], told["denied"]) == ("*21*0301234567#", "divert", "")
        assert told["cost"] == "national"
        assert "national" in page_of_operator.ask("GET", explain + "&class=guest").get_json()["denied"]

    def test_a_short_number_of_a_user_is_told_without_a_plan(
        self, page_of_operator: WebPage, store: redis.Redis
    ) -> None:
        page_of_operator.ask("PUT", ROUTES, json=TABLE)
        AccountStore(store).put(BOB)
        told = page_of_operator.ask("GET", ROUTES + "/explain?number=sip:600@home.example&realm=home.example")
        assert "Without an IMS core it is bob's" in told.get_json()["detail"]

    def test_whose_number_it_is_is_told_without_a_table(
        self, page_of_operator: WebPage, store: redis.Redis
    ) -> None:
        AccountStore(store).put(BOB)
        told = [
            page_of_operator.ask("GET", f"{ROUTES}/explain?number={number}&realm=home.example")
            for number in ("sip:600@home.example", "sip:601@home.example")
        ]
        there_is_none = "There is no table: every call goes to the core, or without one to users alone."
        assert [(one.status_code, one.get_json()["detail"]) for one in told] == [
            (404, f"{there_is_none} Without an IMS core it is bob's, whose pages are called, by no trunk."),
            (404, there_is_none),
        ]

    @pytest.mark.parametrize("method", ["GET", "PUT"])
    def test_nobody_else_may(self, page: WebPage, store: redis.Redis, method: str) -> None:
        body = TABLE if method == "PUT" else None
        assert page.ask(method, ROUTES, json=body).status_code == 401
        page.log_in()
        assert page.ask(method, ROUTES, json=body).status_code == 403
        assert store.get(keys.ROUTING_VERSION) is None


class TestCommands:
    def test_an_empty_table_is_none(self, operator: Operator, file: Path, tmp_path: Path) -> None:
        assert operator("routes", "load", str(file)).stdout.endswith(" counts\n")
        empty = tmp_path / "empty.json"
        empty.write_text('{"routes": []}')
        assert (
            " is empty, and there is no table: every call " in operator("routes", "load", str(empty)).stdout
        )
        assert operator("routes", "load", str(empty)).stdout.endswith(" is empty, as it was\n")

    def test_a_table_is_loaded_shown_and_explained(
        self, operator: Operator, file: Path, tmp_path: Path, store: redis.Redis
    ) -> None:
        assert (
            operator("routes", "load", str(file)).stdout == f"version {RoutesStore(store).version()} counts\n"
        )
        assert operator("routes", "load", str(file)).stdout.endswith("counts already\n")
        shown = tmp_path / "shown.json"
        shown.write_text(operator("routes", "show").stdout)
        assert operator("routes", "check", str(shown)).stdout == "a good table\n"
        told = operator(
            "routes", "explain", "030 1234567", "--realm", "HOME.example", "--at", "2026-11-26T12:00+01:00"
        )
        assert told.stdout.splitlines() == [
            f"version {RoutesStore(store).version()}: 030 1234567 in home.example is +49301234567",
            "rates: national, allowed by the table; at most 2 calls at once",
            NOT_LOOKED_AT,
            "berlin: +4930* -> core: wins",
            "night: +4930* -> refuse 403: not at this time",
            "germany: +49* -> trunk carrier: berlin is nearer to the number",
        ]

    @pytest.mark.parametrize(
        ("number", "row", "whether"),
        [
            ("+870123456789", {"to": "core"}, "satellite, allowed by the table"),
            ("sip:bob@other.example", {"to": "core"}, "internal, allowed by the table"),
            ("+493012345678", {"to": "refuse", "status": 403}, "national, refused by the table"),
            ("+493012345678", {"to": "core", "hours": {"days": ["sun"]}}, "national, refused by the table"),
        ],
    )
    def test_what_the_gateways_refuse_by_their_settings_is_not_said_to_be_allowed(
        self, operator: Operator, file: Path, number: str, row: dict[str, Any], whether: str
    ) -> None:
        plans = {"home.example": {"country": "DE"}}
        file.write_text(json.dumps({"plans": plans, "routes": [{"id": "all", "number": "*", **row}]}))
        operator("routes", "load", str(file))
        at = ("--realm", "home.example", "--at", "2026-11-26T12:00")
        told = operator("routes", "explain", number, *at).stdout.splitlines()
        assert told[1:3] == [f"rates: {whether}", NOT_LOOKED_AT]

    @pytest.mark.parametrize(
        ("user", "means", "whether"),
        [
            ("0301234567", "sip:0301234567@other.example", "national, allowed by the table"),
            ("0900123456", "+49900123456", "premium, refused by the table"),
            (
                "0301234567;phone-context=x",
                "sip:0301234567;phone-context=x@other.example",
                "national, allowed by the table",
            ),
            (
                "123456789;phone-context=+979",
                "sip:123456789;phone-context=+979@other.example",
                "premium, denied: you may not call premium numbers",
            ),
            ("1000", "1000", "internal, refused by the table"),
            ("*21*0301234567%23", "*21*0301234567#", "internal, refused by the table"),
        ],
    )
    def test_digits_at_another_domain_are_told_to_be_its_user_or_why_they_are_refused(
        self, operator: Operator, file: Path, user: str, means: str, whether: str
    ) -> None:
        rows = [
            {"id": "all", "number": "*", "to": "core"},
            *(
                {"id": name, "number": number, "to": "refuse", "status": 403}
                for name, number in (("premium", "+49900*"), ("inside", "1XXX"), ("codes", "*21*"))
            ),
        ]
        plans = {"home.example": {"country": "DE", "extension_digits": 4}}
        permissions = {"*": {"classes": ["national", "internal"]}}
        file.write_text(json.dumps({"plans": plans, "permissions": permissions, "routes": rows}))
        operator("routes", "load", str(file))
        uri = f"sip:{user}@other.example"
        told = operator("routes", "explain", uri, "--realm", "home.example").stdout.splitlines()
        assert told[0].endswith(f"{uri} in home.example is {means}")
        assert told[1] == f"rates: {whether}"

    def test_a_code_at_another_domain_has_to_have_a_row(self, operator: Operator, file: Path) -> None:
        file.write_text(json.dumps({"routes": [{"id": "all", "number": "*", "to": "core"}]}))
        operator("routes", "load", str(file))
        told = operator("routes", "explain", "sip:*21*0301234567%23@other.example", "--realm", "home.example")
        assert "gets 404: there is no such service code" in told.stderr

    @pytest.mark.parametrize(
        ("number", "why"),
        [
            ("0301234567", ""),
            ("sip:bob@home.example", "Error: no row fits: 404\n"),
            ("sip:600@home.example", "Error: sip:600@home.example gets 484: digits are missing\n"),
        ],
    )
    def test_whose_number_it_is_counts_without_a_core(
        self, operator: Operator, file: Path, store: redis.Redis, number: str, why: str
    ) -> None:
        operator("routes", "load", str(file))
        AccountStore(store).put(BOB)
        told = operator("routes", "explain", number, "--realm", "home.example")
        last = (
            "without an IMS core: to the pages of bob, by no trunk; "
            "rows that refuse, limits and denied numbers count, rates do not\n"
        )
        assert (told.stderr if why else told.stdout).endswith(why + last)

    @pytest.mark.parametrize(
        ("number", "whose"),
        [
            ("sip:carol@home.example", ""),
            ("112", ""),  # an emergency call, whoever has the number
            ("+49301234567", "without an IMS core: to the pages of bob, by no trunk; "),
        ],
    )
    def test_without_a_table_all_goes_to_the_core_or_to_users_alone(
        self, operator: Operator, store: redis.Redis, number: str, whose: str
    ) -> None:
        AccountStore(store).put(msgspec.structs.replace(BOB, impus=[*BOB.impus, "sip:112@home.example"]))
        told = operator("routes", "explain", number, "--realm", "home.example")
        assert told.stderr == (
            "Error: there is no table: every call goes to the core, or without one to users alone\n"
            + (whose and f"{whose}rows that refuse, limits and denied numbers count, rates do not\n")
        )

    def test_what_is_shown_without_a_table_is_none_when_it_is_loaded_again(
        self, operator: Operator, page_of_operator: WebPage, file: Path, tmp_path: Path
    ) -> None:
        before = tmp_path / "before.json"
        before.write_text(operator("routes", "show").stdout)
        assert operator("routes", "load", str(file)).returncode == 0
        assert operator("routes", "load", str(before)).returncode == 0
        assert "there is no table" in operator("routes", "explain", "+4930", "--realm", "home.example").stderr
        told = page_of_operator.ask("GET", ROUTES + "/explain?number=%2B4930&realm=home.example")
        assert told.get_json()["detail"].startswith("There is no table")

    def test_what_was_shown_can_be_loaded_again_whatever_characters_it_has(
        self, operator: Operator, tmp_path: Path, store: redis.Redis
    ) -> None:
        reason = "no\u00a0calls, \u00fcber \U0001fae8 \u3000 \u00ad \u009b2J"
        row = {"id": "a", "number": "+49900*", "to": "refuse", "status": 403, "reason": reason}
        file, shown = tmp_path / "table.json", tmp_path / "shown.json"
        file.write_text(json.dumps({"routes": [row]}))
        assert operator("routes", "load", str(file)).returncode == 0
        for options in ((), ("--json",)):
            shown.write_text(operator("routes", "show", *options).stdout)
            assert "\u009b" not in shown.read_text()
            assert operator("routes", "load", str(shown)).stdout.endswith("counts already\n")
        assert RoutesStore(store).get()[1].routes[0].reason == reason

    def test_of_two_tables_at_the_same_moment_one_is_told(
        self, operator: Operator, file: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def late(_store: RoutesStore) -> int:
            store.incr(keys.ROUTING_VERSION)  # at last within the transaction
            return 0

        monkeypatch.setattr(RoutesStore, "version", late)
        done = operator("routes", "load", str(file))
        assert (done.returncode, done.stdout) == (1, "")
        assert "somebody else has replaced the table meanwhile" in done.stderr

    def test_a_time_without_offset_is_utc(
        self, operator: Operator, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operator("routes", "load", str(file))
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            told = operator(
                "routes", "explain", "+49301234567", "--realm", "home.example", "--at", "2026-11-29T05:59"
            )
        time.tzset()
        assert "night: +4930* -> refuse 403: is tried" in told.stdout

    def test_an_account_has_a_class_from_its_next_login_on_and_guests_have_theirs(
        self, operator: Operator, page: WebPage
    ) -> None:
        assert operator("accounts", "class", NAME, "staff").stdout == f"{NAME} is of the class staff\n"
        page.log_in()
        assert class_in(page) == "staff"
        assert operator("accounts", "class", NAME).stdout == f"{NAME} is of no class\n"
        page.log_out()
        page.log_in()
        assert class_in(page) is None
        page.log_out()
        page.lease()
        assert class_in(page) == "guest"

    def test_an_emergency_number_is_said_to_be_one(self, operator: Operator, file: Path) -> None:
        operator("routes", "load", str(file))
        assert "is for emergencies" in operator("routes", "explain", "110", "--realm", "home.example").stdout

    def test_a_bad_file_is_refused_row_by_row(
        self, operator: Operator, file: Path, store: redis.Redis
    ) -> None:
        operator("routes", "load", str(file))
        version = RoutesStore(store).version()
        file.write_text(
            json.dumps(
                {
                    "routes": [
                        {"id": "a", "number": "x", "to": "core"},
                        {"id": "b c", "number": "*", "to": "core"},
                    ]
                }
            )
        )
        done = operator("routes", "load", str(file))
        assert done.returncode == 1
        assert "the old table stays" in done.stderr
        assert "row 'a'" in done.stderr
        assert "row 'b c'" in done.stderr
        assert RoutesStore(store).version() == version

    def test_a_large_table_is_kept_in_portions(self, store: redis.Redis) -> None:
        rows = [Route(f"r{number}", f"+{number}*", Target.CORE) for number in range(1, 1502)]
        version = RoutesStore(store).put(RoutingDocument(routes=rows))
        assert store.llen(keys.routing_rows(version)) == 4
        assert RoutesStore(store).get()[1].routes == rows
