"""A scripted carrier: a core whose INVITEs, and what else it likes, need credentials (RFC 3261 §22)."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from tests.peers.core import ScriptedCore
from tests.peers.digest import (
    CHALLENGES,
    Challenge,
    Credentials,
    challenge_to_text,
    credentials_fit,
    params_from_text,
)
from tests.peers.sip import SipRequest, new_tag, response_to
from tests.peers.udp import Address


class Carrier(ScriptedCore):
    """Asks who sends a request; a nonce is good until `forget` says otherwise, for rising counts."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self.credentials: Credentials | None = None
        """Whose requests are taken; None: nobody is asked."""
        self.algorithm = "MD5"
        self.status = 407
        self.asks: Collection[str] = ("INVITE", "BYE", "UPDATE", "INFO", "PRACK")
        self.challenged: list[str] = []
        """Methods of the requests that were asked, in order."""
        self.stale_once = False
        """Whether the first right answer comes too late."""
        self._valid: Challenge | None = None
        self._old: list[Challenge] = []
        self._count = 0
        self.strict = False
        """Whether an ACK that does not say who sends it as its INVITE did is dropped (RFC 3261 §22.1)."""
        self.dropped: list[SipRequest] = []
        self._said: dict[tuple[str, int], list[str]] = {}
        """Call-ID and number of each INVITE that was taken -> its credentials."""

    def forget(self) -> None:
        """Find the nonce that is out too old from now on."""
        if self._valid is not None:
            self._old.append(self._valid)
        self._valid = None

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Ask, unless nobody need be asked or the right answer is there."""
        key = (request.call_id, request.cseq.number)
        if self.strict and request.method == "ACK" and self._given(request) != self._said.get(key, []):
            self.dropped.append(request)
            return
        if (
            self.credentials is None
            or request.method not in self.asks
            or self._knows(request, self.credentials)
        ):
            if request.method == "INVITE":
                self._said[key] = self._given(request)
            super().request_received(request, source)
            return
        stale = any(
            credentials_fit(value, request.method, one, self.credentials)
            for one in self._old
            for value in self._given(request)
        )
        self._valid, self._count = Challenge("carrier", secrets.token_hex(12), self.algorithm, stale=stale), 0
        self.challenged.append(request.method)
        field, _ = CHALLENGES[self.status]
        headers = [(field, challenge_to_text(self._valid))]
        tag = request.to_tag or new_tag()
        self.send(response_to(request, self.status, to_tag=tag, headers=headers), source)

    def _given(self, request: SipRequest) -> list[str]:
        return list(request.headers.fields(CHALLENGES[self.status][1]))

    def _knows(self, request: SipRequest, credentials: Credentials) -> bool:
        valid = self._valid
        if valid is None:
            return False
        for value in self._given(request):
            count = int(params_from_text(value.partition(" ")[2]).get("nc", "0"), 16)
            if credentials_fit(value, request.method, valid, credentials) and count > self._count:
                self._count = count
                if self.stale_once:
                    self.stale_once = False
                    self.forget()
                    return False
                return True
        return False
