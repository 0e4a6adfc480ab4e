"""A SIP endpoint that registers with digest or AKA, straight at the I-CSCF or through the access P-CSCF."""

import base64
import hashlib
import secrets

from tests.lab.ims import milenage
from tests.lab.subscribers import REALM, Scheme, Subscriber
from tests.peers.digest import Challenge, challenge_from_text
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.udp import Address, UdpPeer

# ims_auth of Kamailio 5.6 sends a challenge before it has stored the vector: a fast client can be challenged again.
MAX_ROUNDS = 3


class Endpoint(UdpPeer):
    """One registering user on one UDP socket."""

    def __init__(self, subscriber: Subscriber) -> None:
        super().__init__(subscriber.name)
        self.subscriber = subscriber
        self._call_id = secrets.token_hex(8)
        self._tag = new_tag()
        self._cseq = 0

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Accept whatever the core sends."""
        if request.method != "ACK":
            self.send(response_to(request, 200, to_tag=self._tag), source)

    async def register(
        self, registrar: Address, *, expires_s: int = 60, password: bytes | None = None
    ) -> list[SipResponse]:
        """Register and answer challenges; return every final response in order."""
        credentials = self.empty_credentials()
        answers: list[SipResponse] = []
        for _ in range(1 + MAX_ROUNDS):
            answers.append(await self.ask(self._register(credentials, expires_s), registrar))
            if answers[-1].status != 401:
                break
            challenge = challenge_from_text(answers[-1].headers.fields("WWW-Authenticate")[0])
            secret = self.secret(challenge) if password is None else password
            credentials = self.credentials(challenge, secret)
        return answers

    async def register_once(
        self, registrar: Address, credentials: str, *, expires_s: int = 60
    ) -> SipResponse:
        """Send one REGISTER with these credentials."""
        return await self.ask(self._register(credentials, expires_s), registrar)

    def trusted_credentials(self) -> str:
        """Return the credentials of a user that the P-CSCF itself has authenticated."""
        return self.empty_credentials() + ',integrity-protected="auth-done"'

    def empty_credentials(self) -> str:
        """Return what a first REGISTER says: who asks, and no answer yet."""
        return (
            f'Digest username="{self.subscriber.impi}",realm="{REALM}",nonce="",uri="sip:{REALM}",response=""'
        )

    def secret(self, challenge: Challenge) -> bytes:
        """Return the password, or what the ISIM computes from the challenge."""
        if self.subscriber.scheme is not Scheme.AKA:
            return self.subscriber.password.encode()
        keys, rand, token = self.isim(challenge)
        assert milenage.sqn_from_autn(keys, rand, token) is not None, "the network could not prove itself"
        return milenage.f2_to_f5(keys, rand).res

    def isim(self, challenge: Challenge) -> tuple[milenage.Keys, bytes, bytes]:
        """Return keys, RAND and AUTN of an AKA challenge (RFC 3310 §3.2)."""
        nonce = base64.b64decode(challenge.nonce)
        keys = milenage.Keys(bytes.fromhex(self.subscriber.k), bytes.fromhex(self.subscriber.opc))
        return keys, nonce[:16], nonce[16:32]

    def credentials(self, challenge: Challenge, password: bytes, more: str = "") -> str:
        """Answer a challenge (RFC 2617 §3.2.2; with RES as password: RFC 3310 §3.3)."""
        uri, cnonce, count = f"sip:{REALM}", secrets.token_hex(8), "00000001"
        secret = _md5(f"{self.subscriber.impi}:{challenge.realm}:".encode() + password)
        what = _md5(f"REGISTER:{uri}".encode())
        middle = f"{challenge.nonce}:{count}:{cnonce}:auth" if challenge.qop else challenge.nonce
        quality = f',qop=auth,nc={count},cnonce="{cnonce}"' if challenge.qop else ""
        return (
            f'Digest username="{self.subscriber.impi}",realm="{challenge.realm}",nonce="{challenge.nonce}",'
            f'uri="{uri}",response="{_md5(f"{secret}:{middle}:{what}".encode())}",'
            f"algorithm={challenge.algorithm}{quality}{more}"
        )

    def _register(self, credentials: str, expires_s: int) -> SipRequest:
        self._cseq += 1
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self.subscriber.impu}>;tag={self._tag}"),
            ("To", f"<{self.subscriber.impu}>"),
            ("Call-ID", self._call_id),
            ("CSeq", str(CSeq(self._cseq, "REGISTER"))),
            ("Contact", f"<sip:{self.subscriber.name}@{self.host_port}>"),
            ("Expires", str(expires_s)),
            ("Supported", "path"),
            ("Authorization", credentials),
            ("P-Visited-Network-ID", f'"{REALM}"'),
        ]
        return SipRequest("REGISTER", f"sip:{REALM}", headers=Headers(fields))


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
