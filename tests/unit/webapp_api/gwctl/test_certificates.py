"""What the doctor says of certificates: files with planted faults, and a server that shows them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kemi.settings import settings_from_text
from tests.unit.webapp_api.check.site import good_files
from tests.unit.webapp_api.gwctl.certificates import issued, new_key, pem
from webapp_api.gwctl.machine.certificates import certificates
from webapp_api.gwctl.machine.diagnosis import Diagnosis
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.run import examine
from webapp_api.settings import Settings

NAME = "gw.example.com"
DAY = timedelta(days=1)
ROOT_KEY, MIDDLE_KEY, KEY, OTHER_KEY = (new_key() for _ in range(4))
ROOT = issued("root", ROOT_KEY, is_authority=True)
MIDDLE = issued("middle", MIDDLE_KEY, (ROOT, ROOT_KEY), is_authority=True)
BY = (MIDDLE, MIDDLE_KEY)
GOOD = issued(NAME, KEY, BY, names=(NAME,))


def found_of(host: Host) -> list[Diagnosis]:
    async def collected() -> list[Diagnosis]:
        return [one async for one in certificates(host)]

    return asyncio.run(collected())


def found_in(folder: Path, content: bytes | None, *, port: int = 1) -> dict[str, tuple[str, str]]:
    """Let the doctor look at a file; returns level and reason by what was looked at."""
    file = folder / "site.pem"
    if content is not None:
        file.write_bytes(content)
    host = Host(
        folder,
        web=Settings(public_origin=f"https://{NAME}", domain="example.com"),
        haproxy=f"    bind 127.0.0.1:{port} ssl crt {file} alpn http/1.1\n",
    )
    return {
        one.subject.removeprefix(str(file)).lstrip(", ") or "file": (one.level.value, one.reason)
        for one in found_of(host)
        if one.subject.startswith(str(file)) or port != 1
    }


def test_a_good_one(tmp_path: Path) -> None:
    found = found_in(tmp_path, pem(KEY, GOOD, MIDDLE))
    assert {what: level for what, (level, _) in found.items()} == {
        "dates": "ok", "names": "ok", "key": "ok",
        "chain": "warning",  # this machine does not know the root
    }  # fmt: skip
    assert "issued by CN=middle" in found["chain"][1]


def test_one_for_all_names_of_a_domain(tmp_path: Path) -> None:
    wild = issued("wild", KEY, BY, names=("*.example.com",))
    assert found_in(tmp_path, pem(KEY, wild, MIDDLE))["names"] == ("ok", f"is for {NAME}")
    wild = issued("wild", KEY, BY, names=("*.com",))
    assert found_in(tmp_path, pem(KEY, wild, MIDDLE))["names"][0] == "error"


@pytest.mark.parametrize(
    ("content", "what", "level", "word"),
    [
        pytest.param(
            pem(KEY, issued(NAME, KEY, BY, names=(NAME,), ends=-DAY), MIDDLE),
            "dates",
            "error",
            "expired",
            id="expired",
        ),
        pytest.param(
            pem(KEY, issued(NAME, KEY, BY, names=(NAME,), begins=DAY), MIDDLE),
            "dates",
            "error",
            "from",
            id="too early",
        ),
        pytest.param(
            pem(KEY, issued(NAME, KEY, BY, names=(NAME,), ends=5 * DAY), MIDDLE),
            "dates",
            "warning",
            "until",
            id="soon",
        ),
        pytest.param(
            pem(KEY, issued(NAME, KEY, BY, names=("other.example.com",)), MIDDLE),
            *("names", "error", "is for other.example.com"),
            id="wrong name",
        ),
        pytest.param(
            pem(KEY, issued(NAME, KEY, BY), MIDDLE),
            "names",
            "error",
            "no subjectAltName",
            id="common name only",
        ),
        pytest.param(pem(OTHER_KEY, GOOD, MIDDLE), "key", "error", "another one's", id="wrong key"),
        pytest.param(pem(None, GOOD, MIDDLE), "key", "error", "cannot be read", id="no key"),
        pytest.param(pem(KEY, GOOD, ROOT), "chain", "error", "did not issue", id="chain with a gap"),
        pytest.param(pem(KEY, GOOD), "chain", "warning", "not trusted here", id="no chain"),
        pytest.param(
            pem(KEY, issued(NAME, KEY, names=(NAME,))), "chain", "warning", "by itself", id="signed by itself"
        ),
        pytest.param(b"nothing", "file", "error", "no certificate", id="no certificate"),
        pytest.param(None, "file", "error", "No such file", id="no file"),
    ],
)
def test_a_planted_fault_is_named(
    tmp_path: Path, content: bytes | None, what: str, level: str, word: str
) -> None:
    found = found_in(tmp_path, content)
    assert found[what][0] == level
    assert word in found[what][1]
    others = {one: told for one, told in found.items() if one not in (what, "chain")}
    assert all(told[0] == "ok" for told in others.values()), others


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(pem(KEY, GOOD), "may be missing", id="no chain"),
        pytest.param(pem(KEY, GOOD, MIDDLE), "the chain is whole", id="a CA without key usage"),
        pytest.param(pem(KEY, GOOD, MIDDLE, ROOT), "the chain is whole", id="the same, itself in the file"),
    ],
)
def test_why_one_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, word: str
) -> None:
    """The root is known here; but the test's authorities lack what RFC 5280 wants of them."""
    monkeypatch.setattr("webapp_api.gwctl.machine.certificates._roots", lambda: [ROOT])
    file = tmp_path / "site.pem"
    file.write_bytes(content)
    web = Settings(public_origin=f"https://{NAME}", domain="example.com")
    found = found_of(Host(tmp_path, web=web, haproxy=f"    bind 127.0.0.1:1 ssl crt {file}\n"))
    (chain,) = (one for one in found if one.subject.endswith(", chain"))
    assert chain.level == "warning"
    assert word in chain.suggestion


@contextmanager
def shown(folder: Path, content: bytes, *, asks_clients: bool = False) -> Iterator[int]:
    """A server that shows a certificate; yields its port."""
    file = folder / "shown.pem"
    file.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_shown_is_compared_with_the_file(tmp_path: Path) -> None:
    renewed = issued(NAME, KEY, BY, names=(NAME,))
    old = issued(NAME, KEY, BY, names=(NAME,), ends=-DAY)
    for content, level, word in (
        (pem(KEY, GOOD, MIDDLE), "ok", "the one in the file"),
        (pem(KEY, renewed, MIDDLE), "error", "another certificate than in the file"),
    ):
        with shown(tmp_path, content) as port:
            found = found_in(tmp_path, pem(KEY, GOOD, MIDDLE), port=port)
        assert found[f"HAProxy 127.0.0.1:{port}, what it shows"][0] == level
        assert word in found[f"HAProxy 127.0.0.1:{port}, what it shows"][1]
    with shown(tmp_path, pem(KEY, old, MIDDLE)) as port:
        found = found_in(tmp_path, pem(KEY, old, MIDDLE), port=port)
        assert found[f"HAProxy 127.0.0.1:{port}, what it shows"] == ("error", "an expired certificate")


def test_certificates_of_both_kinds_of_keys_are_in_two_files(tmp_path: Path) -> None:
    old = issued(NAME, OTHER_KEY, BY, names=(NAME,), ends=-DAY)
    (tmp_path / "site.pem.rsa").write_bytes(pem(KEY, GOOD, MIDDLE))
    (tmp_path / "site.pem.ecdsa").write_bytes(pem(OTHER_KEY, old, MIDDLE))
    with shown(tmp_path, pem(KEY, GOOD, MIDDLE)) as port:
        found = {what: level for what, (level, _) in found_in(tmp_path, None, port=port).items()}
    assert {what: level for what, level in found.items() if level != "ok"} == {
        ".rsa, chain": "warning",
        ".ecdsa, dates": "error",
        ".ecdsa, chain": "warning",
    }
    assert {".rsa, dates", ".rsa, names", ".rsa, key", ".ecdsa, names", ".ecdsa, key"} <= set(found)


def test_without_a_web_service_here_the_gateway_says_where_pages_are(tmp_path: Path) -> None:
    """As on the signalling nodes of a site that has web nodes of their own."""
    text = good_files()["gateway.toml"]
    text = text.replace(
        'origins = ["https://gw.example"]', f'origins = ["https://app.example", "https://{NAME}"]'
    )
    file = tmp_path / "site.pem"
    for names, level in (((NAME,), "ok"), (("other.example.com",), "error")):
        content = pem(KEY, issued(NAME, KEY, BY, names=names), MIDDLE)
        file.write_bytes(content)
        with shown(tmp_path, pem(KEY, GOOD, MIDDLE)) as port:
            host = Host(
                tmp_path,
                gateway=settings_from_text(text),
                haproxy=f"    bind 127.0.0.1:{port} ssl crt {file} alpn http/1.1\n",
            )
            found = {one.subject: one.level.value for one in found_of(host)}
            behind = {one.subject: one.level.value for one in examine(host, ("ports",))}
        assert found[f"{file}, names"] == level
        assert found[f"{file}, chain"] == "warning"
        assert found[f"HAProxy 127.0.0.1:{port}, what it shows"] == "error"
        assert behind[f"HAProxy 127.0.0.1:{port}, web service behind it"] == "ok"
        assert behind[f"HAProxy 127.0.0.1:{port}, SIP behind it"] == "error"  # a page, and no WebSocket


def test_certificates_of_trunks_are_looked_at(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(pem(None, issued(NAME, KEY, BY, ends=-DAY)))
    key.write_bytes(pem(OTHER_KEY))
    host = Host(tmp_path, tls=f"[server:default]\nprivate_key = {key}\ncertificate = {certificate}\n")
    found = found_of(host)
    assert [one.level.value for one in found] == ["error", "error", "ok"]
    assert "expired" in found[0].reason
    assert "another one's" in found[1].reason


def test_what_kamailio_shows_trunks_is_compared_with_the_file(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(pem(None, GOOD, MIDDLE))
    key.write_bytes(pem(KEY))
    tls = f"[server:default]\nprivate_key = {key}\ncertificate = {certificate}\n"
    settings = settings_from_text(good_files()["gateway.toml"])
    other = issued(NAME, KEY, BY, names=(NAME,))
    for content, level, word in (
        (pem(KEY, GOOD), "ok", "the one in the file"),
        (pem(KEY, other), "error", "another certificate than in the file"),
    ):
        with shown(tmp_path, content, asks_clients=True) as port:
            sip = replace(settings.sip, address="127.0.0.1", tls_port=port)
            found = found_of(Host(tmp_path, gateway=replace(settings, sip=sip), tls=tls))
        (told,) = (one for one in found if one.subject == f"Kamailio 127.0.0.1:{port}, what it shows")
        assert (told.level, word in told.reason) == (level, True), told
    assert "restart Kamailio" in told.suggestion


@pytest.mark.parametrize(
    ("ends", "level"),
    [
        ((9 * DAY, 99 * DAY), "warning"),
        ((-DAY, 99 * DAY), "warning"),
        ((99 * DAY,), "ok"),
        ((-DAY,), "error"),
    ],
)
def test_authorities_of_trunks_end_too(tmp_path: Path, ends: tuple[timedelta, ...], level: str) -> None:
    certificate, authorities = tmp_path / "tls.pem", tmp_path / "ca.pem"
    certificate.write_bytes(pem(KEY, GOOD, MIDDLE))
    authorities.write_bytes(
        pem(None, *(issued("carrier", ROOT_KEY, ends=end, is_authority=True) for end in ends))
    )
    tls = f"private_key = {certificate}\ncertificate = {certificate}\nca_list = {authorities}\n"
    found = {one.subject: one.level.value for one in found_of(Host(tmp_path, tls=tls))}
    assert found[f"{authorities}, dates"] == level
