"""What docs/operators.md says of an authority of one's own: who is refused by Debian 13, and what tells it before."""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

OPERATORS = Path("docs/operators.md").read_text(encoding="utf-8")
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def documented(begin: str) -> list[str]:
    """Return the words of a command of the page."""
    (command,) = re.findall(rf"`({begin}[^`]+)`", OPERATORS)
    return shlex.split(command.removesuffix(" </dev/null"))


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make_certificates(folder: Path, *of_the_authority: str) -> None:
    """Write an authority, ca.pem, and a certificate of it for localhost, leaf.pem, with their keys."""
    openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Own")
    openssl(folder, "req", "-new", *NEW_KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
    (folder / "leaf.ext").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "leaf.ext")
    openssl(folder, "x509", "-req", "-in", "leaf.csr", "-out", "leaf.pem", *signed)
    if of_the_authority:  # afterwards: what it signed before stays good
        openssl(
            folder,
            *("req", "-x509", "-key", "ca.key", "-out", "ca.pem", "-subj", "/CN=Own"),
            *of_the_authority,
        )


def is_taken_by_debian_13(folder: Path) -> bool:
    """Connect as Python 3.13 does by itself."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    out, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(back, out, server_hostname="localhost")
    there = server.wrap_bio(out, back, server_side=True)
    for _ in range(2):
        for end in (here, there):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def is_taken_by_the_documented_command(folder: Path) -> bool:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")

        def answer() -> None:
            with suppress(OSError):  # what it is when it is refused
                server.wrap_socket(listening.accept()[0], server_side=True).recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        command = documented("openssl s_client")
        command[command.index("HOST:PORT")] = f"localhost:{listening.getsockname()[1]}"
        asked = subprocess.run(
            command,
            env={"PATH": "/usr/bin", "SSL_CERT_FILE": str(folder / "ca.pem")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        thread.join(20)
    return asked.returncode == 0


@pytest.mark.parametrize("with_usage", [False, True], ids=["as openssl makes it", "as the page says"])
def test_the_page_says_whom_debian_13_refuses(tmp_path: Path, with_usage: bool) -> None:
    usage = documented("-addext")
    make_certificates(tmp_path, *(usage if with_usage else ()))
    assert is_taken_by_debian_13(tmp_path) is with_usage
    assert is_taken_by_the_documented_command(tmp_path) is with_usage
