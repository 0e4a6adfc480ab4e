"""`gwctl`: accounts, keys and the end of calls, as an operator types it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
import redis

from kemi.state import keys
from kemi.state.web.accounts import Account
from kemi.state.web.streams import CommandStream
from tests.contract.web.client import NAME, PASSWORD, WebPage
from tests.contract.web.operator import Operator
from tests.contract.web.test_gwctl_views import write_gateway
from tests.contract.web.test_session import commands
from tests.contract.web.test_tokens import kid_of, published
from webapp_api.services import Services

REPOSITORY = Path(__file__).parents[3]


def test_the_module_is_a_program(operator: Operator) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "webapp_api", "accounts", "add", "bob"],
        input="bob's password\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **operator.environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "bob added: bob@ims.example.com sip:bob@ims.example.com\n"


class TestAccounts:
    """accounts add | list | remove | password."""

    def test_an_account_that_was_added_can_log_in(self, operator: Operator, page: WebPage) -> None:
        added = operator("accounts", "add", "Bob", typed="bob's password\n")
        assert (added.returncode, added.stderr) == (0, "")
        assert "bob's password" not in added.stdout
        assert page.log_in("bob", "bob's password").status_code == 201
        session = page.session()
        assert (session["impi"], session["impus"]) == ("bob@ims.example.com", ["sip:bob@ims.example.com"])

    def test_its_identities_can_be_given(self, operator: Operator, page: WebPage) -> None:
        identities = (
            "--impi",
            "b@isim.example.com",
            "--impu",
            "sip:b@ims.example.com",
            "--impu",
            "tel:+15550199",
        )
        operator("accounts", "add", "bob", *identities, typed="bob's password\n")
        page.log_in("bob", "bob's password")
        assert page.session()["impi"] == "b@isim.example.com"
        assert page.session()["impus"] == ["sip:b@ims.example.com", "tel:+15550199"]

    def test_the_role_of_an_operator_is_given_kept_and_taken(
        self, operator: Operator, services: Services
    ) -> None:
        assert operator("accounts", "operator", NAME).stdout == f"{NAME} is an operator\n"
        operator("accounts", "password", NAME, typed="another password\n")
        account = services.accounts.get(NAME)
        assert account is not None
        assert account.operator
        operator("accounts", "operator", NAME, "--no")
        account = services.accounts.get(NAME)
        assert account is not None
        assert not account.operator
        assert operator("accounts", "operator", "nobody").returncode == 1

    def test_they_are_listed_without_their_hashes(self, operator: Operator, page: WebPage) -> None:
        operator("accounts", "add", "bob", typed="bob's password\n")
        listed = operator("accounts", "list").stdout.splitlines()
        assert [line.split() for line in listed] == [
            ["NAME", "IMPI", "IMPUS", "CLASS", "ROLE"],
            ["alice", "alice@ims.example.com", "sip:alice@ims.example.com", "tel:+15550100", "-", "-"],
            ["bob", "bob@ims.example.com", "sip:bob@ims.example.com", "-", "-"],
        ]
        shown = operator.document("users", "show", "bob")
        assert shown == operator.document("users", "list")["users"][1]
        assert "password" not in json.dumps(shown)

    def test_one_that_is_disabled_cannot_log_in_until_it_may_again(
        self, operator: Operator, page: WebPage
    ) -> None:
        page.log_in()
        assert operator("users", "disable", NAME).stdout == f"{NAME} is disabled, 1 sessions ended\n"
        assert page.session() == {"authenticated": False}
        assert page.log_in().status_code == 401
        assert operator.document("users", "disable", NAME, "--no")["user"]["disabled"] is False
        assert page.log_in().status_code == 201

    def test_who_did_it_is_in_the_audit_log(self, operator: Operator, page: WebPage) -> None:
        operator("users", "password", NAME, typed="another password\n")
        operator("users", "list")
        operator("users", "remove", "nobody")
        (change,) = operator.document("audit")["changes"]
        assert change["operator"].startswith("cli:")
        assert (change["action"], change["detail"]) == ("gwctl users password", f"name={NAME}")
        assert "another password" not in json.dumps(change)
        assert operator.document("audit", "--operator", "alice")["changes"] == []
        for bad in ("x", "0-0"):
            assert operator("audit", "--before", bad).returncode == 2

    def test_one_that_somebody_else_makes_meanwhile_stays_as_it_is(
        self, operator: Operator, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        others = Account(name="bob", password_hash="", impi="bob@ims.example.com", impus=["tel:+1"])

        def slow_hash(_password: str) -> str:
            services.accounts.put(others)
            return "hash"

        monkeypatch.setattr("webapp_api.gwctl.users.password_hash", slow_hash)
        done = operator("users", "add", "bob", typed="bob's password\n")
        assert (done.returncode, "there is an account bob already" in done.stderr) == (1, True)
        assert services.accounts.get("bob") == others

    def test_a_class_is_what_a_routing_table_can_name(self, operator: Operator, services: Services) -> None:
        assert operator("users", "class", NAME, "staff").returncode == 0
        for bad in ("a b", "a" * 65, "a\n", "ü"):
            assert operator("users", "class", NAME, bad).returncode == 2
        account = services.accounts.get(NAME)
        assert account is not None
        assert account.user_class == "staff"

    @pytest.mark.conformance("R-67")
    def test_one_that_is_removed_is_logged_out_everywhere(
        self, operator: Operator, page: WebPage, store: redis.Redis
    ) -> None:
        other = WebPage(page.app)
        page.log_in()
        other.log_in()
        removed = operator("accounts", "remove", NAME)
        assert (removed.returncode, removed.stdout) == (0, "alice removed, 2 sessions ended\n")
        assert page.token().status_code == other.token().status_code == 401
        assert [command["type"] for command in commands(store)] == ["logout", "logout"]
        assert page.log_in().status_code == 401

    def test_a_second_try_ends_the_sessions_that_the_first_left(
        self, operator: Operator, page: WebPage, services: Services
    ) -> None:
        page.log_in()
        assert services.accounts.replace(
            NAME, services.accounts.get(NAME), None
        )  # Redis went away after this
        said = operator("users", "remove", NAME).stderr
        assert said == f"Error: there is no account {NAME}; 1 sessions of it ended\n"
        assert page.session() == {"authenticated": False}
        assert operator("users", "remove", NAME).stderr == f"Error: there is no account {NAME}\n"
        (change,) = operator.document("audit")["changes"]
        assert (change["action"], change["detail"]) == ("gwctl users remove", f"name={NAME}")

    def test_a_second_try_ends_the_registrations_that_the_first_left(
        self, operator: Operator, page: WebPage, store: redis.Redis
    ) -> None:
        page.log_in()
        with patch.object(CommandStream, "logout", side_effect=redis.ConnectionError):
            assert operator("users", "remove", NAME).returncode == 3
        said = operator("users", "remove", NAME).stderr
        assert said == f"Error: there is no account {NAME}; 1 sessions of it ended\n"
        assert [one["type"] for one in commands(store)] == ["logout"]

    def test_a_new_person_of_the_same_name_gets_no_session_that_a_removal_left(
        self, operator: Operator, page: WebPage, services: Services, store: redis.Redis
    ) -> None:
        page.log_in()
        assert services.accounts.replace(
            NAME, services.accounts.get(NAME), None
        )  # Redis went away after this
        with patch.object(CommandStream, "logout", side_effect=redis.ConnectionError):
            assert operator("users", "add", NAME, typed="another password\n").returncode == 3
        assert services.accounts.get(NAME) is None
        assert operator("users", "add", NAME, typed="another password\n").returncode == 0
        assert page.session() == {"authenticated": False}
        assert page.token().status_code == 401
        assert [one["type"] for one in commands(store)] == ["logout"]

    def test_another_password_ends_the_sessions_of_the_former(
        self, operator: Operator, page: WebPage
    ) -> None:
        page.log_in()
        assert operator("accounts", "password", NAME, typed="a new password\n").returncode == 0
        assert page.session() == {"authenticated": False}
        assert page.log_in(password=PASSWORD).status_code == 401
        assert page.log_in(password="a new password").status_code == 201

    @pytest.mark.parametrize(
        ("arguments", "typed", "fault"),
        [
            pytest.param(("add", "alice"), "long enough\n", "there is an account alice already", id="twice"),
            pytest.param(
                ("add", "bob"), "short\n", "a password has 8 to 256 characters", id="short password"
            ),
            pytest.param(("add", "bob"), "", "a password has 8 to 256 characters", id="no password"),
            pytest.param(("add", "a b"), "long enough\n", "a login name begins with", id="no login name"),
            pytest.param(
                ("add", "bob", "--impi", "bob\r\n@x"),
                "long enough\n",
                "not user@domain",
                id="header injection",
            ),
            pytest.param(
                ("add", "bob", "--impu", "bob"), "long enough\n", "neither sip:", id="no public identity"
            ),
            pytest.param(("remove", "bob"), "", "there is no account bob", id="remove nobody"),
            pytest.param(
                ("password", "bob"), "long enough\n", "there is no account bob", id="nobody's password"
            ),
        ],
    )
    @pytest.mark.usefixtures("page")
    def test_what_cannot_be_done_is_told_in_one_line(
        self, operator: Operator, arguments: tuple[str, ...], typed: str, fault: str
    ) -> None:
        done = operator("accounts", *arguments, typed=typed)
        assert done.returncode == 1
        assert fault in done.stderr
        assert done.stderr.count("\n") == 1


class TestKeys:
    """keys list | rotate."""

    def test_a_rotation_makes_the_next_key(
        self, operator: Operator, page: WebPage, store: redis.Redis
    ) -> None:
        page.log_in()
        first = kid_of(page.token().get_json()["access_token"])
        rotated = operator("keys", "rotate")
        assert rotated.returncode == 0, rotated.stderr
        _, *listed = operator("keys", "list").stdout.splitlines()
        assert [line.split()[0] for line in listed] == [key["kid"] for key in published(store)["keys"]]
        assert listed[0].split()[:2] == [first, "ES256"]
        assert (listed[0].endswith(" signs"), listed[1].endswith(" waits")) == (True, True)
        assert kid_of(page.token().get_json()["access_token"]) == first
        assert len(store.hkeys(keys.WEB_SIGNING_KEYS)) == 2


@pytest.mark.conformance("X-11")
class TestCalls:
    """An operator ends calls."""

    def test_all_of_an_identity(self, operator: Operator, store: redis.Redis) -> None:
        done = operator("calls", "end", "--impu", "sip:bob@ims.example.com")
        assert (done.returncode, done.stdout) == (1, "no gateway has the calls of sip:bob@ims.example.com\n")
        asked, command = commands(store)
        assert asked["type"] == "list_calls"
        assert command == {
            "type": "end_call",
            "call_id": "",
            "impu": "sip:bob@ims.example.com",
            "by": "operator",
            "at": command["at"],
        }

    def test_one(self, operator: Operator, store: redis.Redis) -> None:
        assert operator("calls", "end", "--call-id", "abc").returncode == 1
        assert [(one["call_id"], one["impu"]) for one in commands(store) if one["type"] == "end_call"] == [
            ("abc", "")
        ]

    def test_in_a_redis_that_is_full(self, operator: Operator, store: redis.Redis) -> None:
        store.config_set("maxmemory", 1)
        try:
            done = operator("calls", "end", "--call-id", "abc")
            assert (done.returncode, done.stdout) == (0, "every node ends call abc\n")
            assert "how many is not known: " in done.stderr
            assert "done, but not in the audit log: " in done.stderr
            assert operator.document("calls", "end", "--call-id", "abc")["calls"] is None
        finally:
            store.config_set("maxmemory", 0)
        assert [one["type"] for one in commands(store)] == ["end_call", "end_call"]

    def test_none(self, operator: Operator, store: redis.Redis) -> None:
        done = operator("calls", "end")
        assert (done.returncode, commands(store)) == (2, [])
        assert "say which" in done.stderr


class TestOddWords:
    """What nobody means is refused in words, and nothing is done."""

    def test_a_ban_for_no_time(self, operator: Operator, store: redis.Redis) -> None:
        assert operator("bans", "add", "192.0.2.7", "--for", "nan").returncode == 2
        assert store.hlen(keys.BANS) == 0

    def test_an_argument_that_is_no_utf8(self, operator: Operator) -> None:
        done = operator("calls", "end", "--call-id", "\udcff")
        assert (done.returncode, "not UTF-8" in done.stderr) == (2, True)

    def test_a_password_that_is_no_utf8(self, operator: Operator) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "webapp_api", "users", "add", "bob"],
            input=b"\xff" * 9 + b"\n",
            capture_output=True,
            check=False,
            cwd=REPOSITORY,
            env={**os.environ, **operator.environment},
        )
        assert (done.returncode, done.stderr) == (1, b"Error: the password is not UTF-8\n")

    @pytest.mark.parametrize("command", [["audit"], ["events", "--no-follow"]])
    def test_since_before_the_epoch(self, operator: Operator, command: list[str]) -> None:
        assert operator(*command, "--since", "99999999999999").returncode == 0

    def test_settings_in_a_folder_that_is_closed(
        self, operator: Operator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def closed(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "is_file", closed)
        monkeypatch.setattr(Path, "read_text", closed)
        done = operator("users", "list")
        assert done.returncode == 1
        assert f"{operator.environment['WEBAPP_SETTINGS']}: Permission denied" in done.stderr


def test_a_redis_that_is_away_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "webapp.toml"
    file.write_text(
        'public_origin = "https://gw.example.com"\ndomain = "ims.example.com"\n'
        'redis_url = "redis://127.0.0.1:1/0"\nkey_secret = "0123456789abcdef0123456789abcdef"\n'
    )
    done = Operator(file)("accounts", "list")
    assert done.returncode == 3
    assert done.stderr.startswith("Error: Redis cannot be used")
    told = Operator(file).document("users", "list", returncode=3)
    assert told["error"].startswith("Redis cannot be used")
    assert told["exit_code"] == 3


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param('public_origin = "x"', "domain: missing", id="wrong settings"),
        pytest.param(
            'public_origin = "https://gw.example.com"\ndomain = "ims.example.com"',
            "key_secret is not set",
            id="no web login",
        ),
    ],
)
def test_settings_that_do_not_do_are_told(tmp_path: Path, content: str, fault: str) -> None:
    file = tmp_path / "webapp.toml"
    file.write_text(content)
    done = Operator(file)("accounts", "list")
    assert done.returncode == 1
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("another_runs", [False, True])
def test_relay_nodes_are_drained_for_all_gateways(
    operator: Operator, store: redis.Redis, another_runs: bool
) -> None:
    write_gateway(store, "gw1", time.time() - 60, node="192.0.2.1:2223")  # does not run at the moment
    if another_runs:
        write_gateway(store, "gw2", time.time(), node="192.0.2.2:2223")
    assert operator("nodes", "drain", "192.0.2.1:2223").stdout == "192.0.2.1:2223 gets no new calls\n"
    assert store.smembers(keys.DRAINED) == {"192.0.2.1:2223"}
    assert operator.document("nodes", "undrain", "192.0.2.1:2223") == {
        "node": "192.0.2.1:2223",
        "drained": False,
    }
    assert store.smembers(keys.DRAINED) == set()
    if not another_runs:
        assert operator("nodes", "list").stdout == operator("nodes").stdout == "no gateway tells of a node\n"
        assert operator.document("nodes") == {"nodes": []}


@pytest.mark.parametrize("silent_s", [0, 60])
def test_a_node_that_no_gateway_has_is_not_drained(
    operator: Operator, store: redis.Redis, silent_s: int
) -> None:
    untold = operator.document("nodes", "drain", "192.0.2.1:2223", returncode=1)
    assert untold["error"] == "no gateway has the node 192.0.2.1:2223; none has told of any"
    write_gateway(store, "gw1", time.time() - silent_s, node="192.0.2.1:2223")
    refused = operator.document("nodes", "drain", "192.0.2.1:2233", returncode=1)
    assert refused["error"] == "no gateway has the node 192.0.2.1:2233; they have 192.0.2.1:2223"
    assert store.smembers(keys.DRAINED) == set()
    store.sadd(keys.DRAINED, "192.0.2.9:2223")  # has been taken out of the gateways' configuration
    assert operator("nodes", "undrain", "192.0.2.9:2223").returncode == 0
    assert store.smembers(keys.DRAINED) == set()
