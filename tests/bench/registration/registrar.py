"""The core under load: challenges every REGISTER with digest, believes the gateway where it vouches for a page.

Knows REGISTER only; everything else is as in `callee`. Must not know the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from typing import Final

from tests.bench.callee import FastCallee, fields_from_request, first_field, serve
from tests.bench.registration.page import password_of
from tests.peers.digest import (
    Challenge,
    Credentials,
    challenge_to_text,
    credentials_fit,
    params_from_text,
)

_VOUCHED: Final = 'integrity-protected="auth-done"'
"""What the gateway says of a page whose access token it has checked (TS 24.229 §7.2A.2)."""
_ASSOCIATED: Final = b"P-Associated-URI: <%s>, <tel:+15550123>\r\n"


class Registrar(FastCallee):
    """A nonce is good for the next CSeq of its Call-ID, so nothing has to be remembered."""

    def __init__(self, realm: str) -> None:
        super().__init__()
        self._realm = realm

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Challenge a REGISTER or let it in."""
        if not data.startswith(b"REGISTER "):
            super().datagram_received(data, addr)
            return
        fields = fields_from_request(data)
        call_id = first_field(fields, b"Call-ID")
        cseq = int(first_field(fields, b"CSeq").partition(b" ")[0])
        given = first_field(fields, b"Authorization").decode()
        if _VOUCHED in given or self._fits(given, call_id, cseq):
            aor = first_field(fields, b"To").strip(b"<>")
            self.send_response(200, fields, self.binding(fields) + _ASSOCIATED % aor, b"", addr)
        else:
            challenge = challenge_to_text(self._challenge(call_id, cseq)).encode()
            self.send_response(401, fields, b"WWW-Authenticate: %s\r\n" % challenge, b"", addr)

    def _fits(self, given: str, call_id: bytes, cseq: int) -> bool:
        user = params_from_text(given).get("username", "")
        credentials = Credentials(user, password_of(user.partition("@")[0]))
        return credentials_fit(given, "REGISTER", self._challenge(call_id, cseq - 1), credentials)

    def _challenge(self, call_id: bytes, cseq: int) -> Challenge:
        nonce = hashlib.sha256(b"%s %d" % (call_id, cseq)).hexdigest()[:32]
        return Challenge(self._realm, nonce)


def main() -> None:
    """Run the registrar process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--realm", required=True)
    realm = parser.parse_args().realm
    asyncio.run(serve(0, lambda: Registrar(realm)))


if __name__ == "__main__":
    main()
