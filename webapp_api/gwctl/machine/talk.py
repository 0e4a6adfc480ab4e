"""Asks one question of a socket: SIP, HTTP, TLS.  All raise OSError or TimeoutError."""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_S: Final = 2.0
HTTP_TIMEOUT_S: Final = 4.0
"""HAProxy tries a backend for three seconds before it says 503."""
_AGAIN_S: Final = 0.5
"""T1 of RFC 3261: when a datagram is sent again."""
_MOST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, header fields by small names, and the certificate of the server."""

    status: int
    fields: dict[str, str]
    certificate: bytes = b""
    """DER."""


async def reach(address: str, port: int) -> None:
    """Open a TCP connection and close it."""
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(address, port)
        writer.close()


async def options_by_udp(address: str, port: int, uri: str) -> str:
    """Send OPTIONS and return the answer's status line."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(answer), remote_addr=(address, port)
    )
    try:
        host, own_port, *_ = transport.get_extra_info("sockname")
        request = _options(uri, "UDP", host, own_port)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                transport.sendto(request)
                try:
                    return await asyncio.wait_for(asyncio.shield(answer), _AGAIN_S)
                except TimeoutError:
                    continue
    finally:
        transport.close()


async def options_by_tcp(address: str, port: int, uri: str) -> str:
    """The same on a connection."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            host, own_port, *_ = writer.get_extra_info("sockname")
            writer.write(_options(uri, "TCP", host, own_port))
            line = (await reader.readline()).decode("latin-1").strip()
        finally:
            writer.close()
    if not line.startswith("SIP/2.0 "):
        raise ConnectionError("closed without an answer" if not line else "no SIP answer")
    return line.removeprefix("SIP/2.0 ")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[str]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:
        line = data.partition(b"\r\n")[0].decode("latin-1")
        if line.startswith("SIP/2.0 ") and not line.startswith("SIP/2.0 1") and not self._answer.done():
            self._answer.set_result(line.removeprefix("SIP/2.0 "))

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _options(uri: str, transport: str, host: str, port: int) -> bytes:
    name = secrets.token_hex(8)
    shown = f"[{host}]" if ":" in host else host
    lines = [
        f"OPTIONS {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} {shown}:{port};branch=z9hG4bK{name};rport",
        "Max-Forwards: 5",
        f"From: <sip:doctor@{shown}>;tag={name}",
        f"To: <{uri}>",
        f"Call-ID: {name}@{shown}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def http_get(
    address: str, port: int, path: str, host: str, *, tls: bool = False, websocket_of: str = ""
) -> HttpAnswer:
    """Ask by GET; ``websocket_of``: as a page of this origin opens a WebSocket for SIP.

    The certificate is told and not judged.
    """
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    if websocket_of:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: sip", f"Origin: {websocket_of}"]
    else:
        lines.append("Connection: close")
    context = _believing() if tls else None
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    async with asyncio.timeout(HTTP_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(
            address, port, ssl=context, server_hostname=name.strip("[]") if tls else None, limit=_MOST
        )
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode())
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise ConnectionError("closed without an HTTP answer") from error
            secured = writer.get_extra_info("ssl_object")
            certificate = secured.getpeercert(binary_form=True) if secured else b""
        finally:
            writer.close()
    first, *rest = head.split("\r\n")
    if not first.startswith("HTTP/1.") or not first[9:12].isdigit():
        raise ConnectionError("no HTTP answer")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest) if value
    }
    return HttpAnswer(int(first[9:12]), fields, certificate or b"")


async def certificate_of(address: str, port: int, certificate: str, key: str) -> bytes:
    """Return the certificate (DER) that a server shows to a client with one of its own (PEM files).

    With TLS 1.3 it is here before the server has judged ours.
    """
    context = _believing()
    with suppress(OSError):  # without one the server shows its own all the same
        context.load_cert_chain(certificate, key, password="")  # never ask for one
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(address, port, ssl=context)
        try:
            return writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        finally:
            writer.close()


def _believing() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # judged elsewhere, by what it says
    return context


def reason_of(error: BaseException) -> str:
    """Say why somebody cannot be asked."""
    if isinstance(error, TimeoutError) and not getattr(error, "strerror", None):
        return "no answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
