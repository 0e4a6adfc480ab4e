"""What an operator is told of mistakes in the configuration."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kemi import settings as gateway
from tests.unit.webapp_api.check.mistakes import MISTAKES, Mistake
from tests.unit.webapp_api.check.site import good_files
from webapp_api.check import programs
from webapp_api.check.finding import Finding
from webapp_api.check.programs import haproxy_findings, kamailio_findings
from webapp_api.check.run import check_folder
from webapp_api.gwctl.main import main

RIGHT_OF_A_HUNDRED = 95
NEARBY = 4
"""Lines: where a key is missing, or several make sense together only, its table is blamed."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def planted(folder: Path, mistake: Mistake) -> tuple[dict[str, str], list[Finding]]:
    files = good_files()
    assert mistake.old in files[mistake.file], mistake
    files[mistake.file] = files[mistake.file].replace(mistake.old, mistake.new, 1)
    write(folder, files)
    return files, check_folder(folder, programs=False)[1]


def first_change(before: str, after: str) -> int:
    pairs = itertools.zip_longest(before.splitlines(), after.splitlines())
    return next(number for number, (old, new) in enumerate(pairs, 1) if old != new)


def is_named_rightly(mistake: Mistake, found: list[Finding], files: dict[str, str]) -> bool:
    """Whether file and key are blamed with the reason, and the line where the mistake can be seen there."""
    file = mistake.blamed or mistake.file
    for one in found:
        fits = one.file == file and one.key == mistake.key
        if fits and mistake.word in f"{one.reason} {one.suggestion}":
            changed = first_change(good_files()[mistake.file], files[mistake.file])
            nearby = abs(one.line - changed) <= NEARBY
            return nearby or bool(mistake.blamed) or "missing" in one.reason or not mistake.new
    return False


def test_a_right_configuration_has_nothing_wrong(tmp_path: Path) -> None:
    write(tmp_path, good_files())
    files, findings = check_folder(tmp_path, programs=False)
    assert set(files) == set(good_files())
    assert findings == []


def test_a_hundred_mistakes_are_named_by_file_line_key_and_reason(tmp_path: Path) -> None:
    wrong = []
    for number, mistake in enumerate(MISTAKES):
        folder = tmp_path / str(number)
        folder.mkdir()
        files, found = planted(folder, mistake)
        if not is_named_rightly(mistake, found, files):
            wrong.append((mistake, [one.to_text() for one in found]))
    assert len(MISTAKES) >= 100
    assert (len(MISTAKES) - len(wrong)) * 100 >= RIGHT_OF_A_HUNDRED * len(MISTAKES), wrong
    # those that are not are known
    assert [mistake for mistake, _ in wrong] == []


@pytest.mark.parametrize(("server", "level"), [("192.0.2.1:3478", "error"), ("stun.example:3478", "warning")])
def test_a_stun_server_elsewhere_may_be_right(tmp_path: Path, server: str, level: str) -> None:
    files = good_files()
    files["webapp_api.toml"] = files["webapp_api.toml"].replace("192.0.2.1:5060", server)
    write(tmp_path, files)
    (found,) = check_folder(tmp_path, programs=False)[1]
    assert (found.key, found.level) == ("stun_servers", level)


TWO = "server web_api 198.51.100.11:8000 maxconn 20000\n    server web_api_2 198.51.100.12:8000"
WS_AT_8000 = {"gateway.toml": ("ws_port = 8080", "ws_port = 8000")}
LOOPBACK = 'address = "127.0.0.1"'
HERE_AND_THERE = "server web_api 127.0.0.1:8000 maxconn 20000\n    server web_api_2 198.51.100.12:8000"


@pytest.mark.parametrize(
    ("servers", "listens", "wrong"),
    [
        (TWO, "198.51.100.11:8000", ""),
        (TWO, "198.51.100.12:8000", ""),
        (TWO, "0.0.0.0:8000", ""),
        (TWO, "198.51.100.13:8000", ""),  # this machine's is asked by others
        (TWO, "198.51.100.12:8001", "server web_api_2: 198.51.100.12:8000, but it listens at 198.51.100.12:8001"),
        (TWO, "127.0.0.1:8000", "server web_api: 198.51.100.11:8000, but it listens at 127.0.0.1:8000"),
        (HERE_AND_THERE, "0.0.0.0:8000", ""),
        (HERE_AND_THERE, ":::8000", ""),
        (HERE_AND_THERE, "198.51.100.11:8000", "server web_api: 127.0.0.1:8000, but it listens at 198.51.100.11"),
        ("server web_api localhost:8000", "127.0.0.1:8000", ""),
    ],
)  # fmt: skip
def test_web_services_of_several_machines(tmp_path: Path, servers: str, listens: str, wrong: str) -> None:
    """Each machine is signalling and web node at once; a file is wrong only where its own web service is missed."""
    files = good_files()
    address, _, port = listens.rpartition(":")
    files["haproxy.cfg"] = files["haproxy.cfg"].replace("server web_api 127.0.0.1:8000", servers)
    files["webapp_api.toml"] = (
        files["webapp_api.toml"]
        .replace('listen_address = "127.0.0.1"', f'listen_address = "{address}"')
        .replace("listen_port = 8000", f"listen_port = {port}")
    )
    assert servers in files["haproxy.cfg"]
    assert f'"{address}"' in files["webapp_api.toml"]
    write(tmp_path, files)
    found = [one.reason for one in check_folder(tmp_path, programs=False)[1]]
    assert [one[: len(wrong)] for one in found] == ([wrong] if wrong else [])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (WS_AT_8000, "listen_port"),
        ({**WS_AT_8000, "webapp_api.toml": (LOOPBACK, 'address = "192.0.2.1"')}, ""),
        ({**WS_AT_8000, "webapp_api.toml": (LOOPBACK, 'address = "0.0.0.0"')}, "listen_port"),
        ({"rtpengine.conf": ("port-min = 30000", "port-min = 6000")}, ""),  # has loopback ports in it
        ({"rtpengine.conf": ("port-min = 30000", "port-min = 5000")}, "port-min"),
    ],
)  # fmt: skip
def test_two_programs_may_have_one_port_at_two_addresses(
    tmp_path: Path, changes: dict[str, tuple[str, str]], key: str
) -> None:
    files = good_files()
    for name, (old, new) in changes.items():
        assert old in files[name]
        files[name] = files[name].replace(old, new)
    if "gateway.toml" in changes:
        files["haproxy.cfg"] = ""
    write(tmp_path, files)
    assert [one.key for one in check_folder(tmp_path, programs=False)[1]] == ([key] if key else [])


def test_an_issuer_whose_keys_nobody_fetches_is_a_warning(tmp_path: Path) -> None:
    files = good_files()
    files["gateway.toml"] += (
        '\n[[tokens.issuers]]\nissuer = "https://app.example"\naudience = "sip:ims.example"\n'
        'authz_server = "https://app.example/login"\n'
    )
    write(tmp_path, files)
    found = check_folder(tmp_path, programs=False)[1]
    assert [(one.file, one.level, one.key) for one in found] == [
        ("gateway.toml", "warning", "tokens.issuers[1].issuer")
    ]
    assert "webapp_api_token_services" in found[0].suggestion
    files["webapp_api.toml"] = files["webapp_api.toml"].replace(
        "token_services = [\n",
        'token_services = [{ issuer = "https://app.example", jwks_uri = "https://app.example/keys" }\n',
    )
    write(tmp_path, files)
    assert check_folder(tmp_path, programs=False)[1] == []


def test_who_is_believed_to_be_the_core_is_no_question_without_one(tmp_path: Path) -> None:
    text = good_files()["gateway.toml"].replace('core_networks = ["192.0.2.0/24"]', "core_networks = []")
    write(tmp_path, {"gateway.toml": text})
    assert [one.key for one in check_folder(tmp_path, programs=False)[1]] == ["sip.core_networks"]
    text = text.replace('schemes = ["digest", "bearer"]', 'schemes = ["bearer"]')
    text = re.sub(r"icscf_uris = .*", 'icscf_uris = ["sip:127.0.0.1:5070"]', text)
    write(tmp_path, {"gateway.toml": f'{text}\n[home]\naddress = "127.0.0.1"\nport = 5070\n'})
    assert check_folder(tmp_path, programs=False)[1] == []


def test_the_gateway_itself_refuses_a_key_that_nobody_reads() -> None:
    text = good_files()["gateway.toml"].replace("prack_s =", "prak_s =")
    with pytest.raises(gateway.SettingsError, match=r"timers\.prak_s: unknown, perhaps prack_s"):
        gateway.settings_from_text(text)


def test_the_command_says_where_and_what_to_change(tmp_path: Path) -> None:
    files = good_files()
    files["gateway.toml"] = files["gateway.toml"].replace("prack_s = 32", "prack_s = 0")
    write(tmp_path, files)
    line = next(
        number for number, text in enumerate(files["gateway.toml"].splitlines(), 1) if "prack_s" in text
    )
    done = CliRunner().invoke(main, ["check", "--no-programs", str(tmp_path)])
    assert done.exit_code == 1
    assert f"gateway.toml:{line}: error: timers.prack_s: must be positive" in done.output
    assert "in the inventory: gateway_prack_timeout_s" in done.output
    told = json.loads(CliRunner().invoke(main, ["check", "--json", "--no-programs", str(tmp_path)]).output)
    assert (told["errors"], told["findings"][0]["line"]) == (1, line)


def test_a_folder_without_our_files_is_said_to_be_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["check", str(tmp_path)])
    assert done.exit_code == 1
    assert "has none of gateway.toml" in done.output


def test_a_byte_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, good_files())
    for name in ("gateway.toml", "haproxy.cfg"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"# M\xfcller\n")
    line = (tmp_path / "gateway.toml").read_bytes().count(b"\n")
    found = check_folder(tmp_path, programs=False)[1]
    assert [(one.file, one.level, one.reason) for one in found] == [
        ("gateway.toml", "error", "byte 0xfc is not UTF-8"),
        ("haproxy.cfg", "warning", "byte 0xfc is not UTF-8"),
    ]
    assert found[0].line == line


@pytest.mark.parametrize(("program", "ask"), [("haproxy", haproxy_findings), ("kamailio", kamailio_findings)])
def test_a_program_that_does_not_come_to_an_end_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, ask: Callable[[Path], Iterator[Finding]]
) -> None:
    slow = tmp_path / program
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(programs, "_TIMEOUT_S", 0.2)
    (found,) = ask(tmp_path / "some.cfg")
    assert (found.file, found.level) == ("some.cfg", "error")
    assert "has not checked it within 0.2 s" in found.reason


@pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="needs HAProxy")
def test_haproxy_is_asked(tmp_path: Path) -> None:
    text = good_files()["haproxy.cfg"].replace("timeout client 10s", "timeout klient 10s")
    (tmp_path / "haproxy.cfg").write_text(text)
    line = next(number for number, written in enumerate(text.splitlines(), 1) if "klient" in written)
    found = list(haproxy_findings(tmp_path / "haproxy.cfg"))
    assert any(one.line == line and "klient" in one.reason for one in found), found


@pytest.mark.skipif(shutil.which("kamailio", path="/usr/sbin:/usr/bin") is None, reason="needs Kamailio")
def test_kamailio_is_asked(tmp_path: Path) -> None:
    (tmp_path / "site.cfg").write_text("#!KAMAILIO\ndebug=2\nlisten=udp:127.0.0.1:5999\nchildrn=2\n")
    found = list(kamailio_findings(tmp_path / "site.cfg"))
    assert found[0].line == 4, found
