"""The search for secrets finds them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import log_secrets
from tests.lab.parts.web_api import web_password
from tests.peers.access_token import Issuer
from tests.sipp.challenge.play import PASSWORD as TRUNK_PASSWORD

TOKEN = Issuer().token("alice")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param(f"Authorization: Bearer {TOKEN}", "an access token", id="token"),
        pytest.param(f"prefix{TOKEN}", "an access token", id="token after text"),
        pytest.param('bearer access_token="abcdefghijklmnopqrstuvwxyz"', "a Bearer credential", id="opaque"),
        pytest.param(f'response="{"0a" * 16}"', "a digest response", id="MD5"),
        pytest.param(f"RESPONSE={'0a' * 32}", "a digest response", id="SHA-256"),
        pytest.param("password is secret-alice.", "a password", id="password"),
        pytest.param(f'"password": "{web_password("alice")}"', "a password", id="password of a web account"),
        pytest.param(f"password={TRUNK_PASSWORD}", "a password", id="password of a trunk"),
        pytest.param("pressed A5B90C*D71346802 there", "a password", id="PIN"),
        pytest.param("Signal= 5", "a key by INFO", id="INFO"),
        pytest.param("d7:call-id1:a4:code1:57:command9:play DTMFe", "a key by ng", id="ng"),
    ],
)
def test_a_secret_is_found(line: str, what: str) -> None:
    found = list(log_secrets.leaks_in_text(f"harmless\n{line}\nharmless"))
    assert any(leak.startswith(what) for leak in found)


@pytest.mark.parametrize(
    "line",
    [
        'event=token_refused call_id=abc method=REGISTER detail="expired"',
        'WWW-Authenticate: Bearer realm="ims.test", scope="sip", authz_server="https://issuer.test/authorize"',
        'Authorization: Digest username="alice@ims.test", nonce="", response=""',
    ],
)
def test_nothing_else_is(line: str) -> None:
    assert list(log_secrets.leaks_in_text(line)) == []


def test_all_files_of_a_folder_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_secrets, "found", [])
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "kamailio.log").write_bytes(b"\xff " + TOKEN.encode())
    log_secrets.search(tmp_path)
    assert [leak.partition(":")[0] for leak in log_secrets.found][:1] == ["kamailio.log"]


def test_an_ice_password_in_a_trace() -> None:
    assert list(log_secrets.leaks_in_trace("a=ice-ufrag:8mon\r\na=ice-pwd:***\r\n")) == []
    (found,) = log_secrets.leaks_in_trace("a=ice-pwd:abcdefghijklmnopqrstuv\r\n")
    assert found.startswith("an ICE password")
