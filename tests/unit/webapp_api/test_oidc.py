"""What the provider says is not believed before it is checked."""

from __future__ import annotations

import hmac
import io
import json
import socket
import threading
import time
from contextlib import suppress
from typing import Any, ClassVar
from unittest.mock import Mock

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode
from werkzeug.exceptions import BadGateway

from webapp_api.login_settings import OidcSettings
from webapp_api.oidc import provider
from webapp_api.oidc.claims import checked_id_token, name_in
from webapp_api.oidc.keys import ProviderKeys, public_signing_keys

SETTINGS = OidcSettings(issuer="https://id.example.com", client_id="gateway", client_secret="secret")
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NONCE = "the nonce of this login"


class Keys:
    """The provider's keys, known already."""

    KNOWN: ClassVar[dict[str, Any]] = {
        "ec": ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True),
        "rsa": RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True),
    }

    def find(self, kid: str) -> dict[str, Any] | None:
        return self.KNOWN.get(kid)


def claims(**changes: object) -> dict[str, object]:
    """Good claims, some of them changed; None takes one away."""
    now = int(time.time())
    good = {
        "iss": SETTINGS.issuer,
        "aud": "gateway",
        "sub": "carol",
        "nonce": NONCE,
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def check(token: str) -> Any:
    """Check a token as a login does."""
    return checked_id_token(token, NONCE, SETTINGS, Keys())  # type: ignore[arg-type]


def signed(key: Any = KEY, algorithm: str = "ES256", kid: str = "ec", **changes: object) -> str:
    """An ID token."""
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid})


@pytest.mark.conformance("X-13")
class TestIdToken:
    """OpenID Connect Core 1.0 §3.1.3.7."""

    def test_a_proper_one_is_taken(self) -> None:
        assert check(signed())["sub"] == "carol"
        assert check(signed(RSA_KEY, "RS256", "rsa"))["sub"] == "carol"
        assert check(signed(aud=["gateway", "other"], azp="gateway"))["sub"] == "carol"
        assert check(signed(exp=int(time.time()) - 30))["sub"] == "carol", "clocks may differ by a minute"

    @pytest.mark.conformance("X-12")
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"iss": "https://evil.example"}, id="another issuer"),
            pytest.param({"iss": None}, id="no issuer"),
            pytest.param({"aud": "other"}, id="another audience"),
            pytest.param({"aud": ["gateway", "other"]}, id="two audiences and no authorized party"),
            pytest.param({"aud": ["gateway", "other"], "azp": "other"}, id="another authorized party"),
            pytest.param({"nonce": "of another login"}, id="another nonce"),
            pytest.param({"nonce": None}, id="no nonce"),
            pytest.param({"nonce": 7}, id="a number for a nonce"),
            pytest.param({"exp": 1}, id="run out"),
            pytest.param({"exp": None}, id="never runs out"),
            pytest.param({"iat": 9_999_999_999}, id="from the future"),
            pytest.param({"sub": None}, id="nobody's"),
            pytest.param({"key": OTHER_KEY}, id="another key"),
            pytest.param({"kid": "unknown"}, id="unknown key"),
        ],
    )
    def test_a_wrong_one_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(BadGateway):
            check(signed(**changes))

    @pytest.mark.conformance("X-12")
    def test_no_signature_is_no_signature(self) -> None:
        with pytest.raises(BadGateway):
            check(jwt.encode(claims(), "", algorithm="none", headers={"kid": "ec"}))

    @pytest.mark.conformance("X-12")
    @pytest.mark.parametrize("kid", ["ec", "rsa"])
    def test_a_public_key_is_no_shared_secret(self, kid: str) -> None:
        """HS256 with the public key as its secret (RFC 8725 §2.1)."""
        public = (RSA_KEY if kid == "rsa" else KEY).public_key()
        secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        # By hand: the library does not sign with such a secret.
        parts = [{"alg": "HS256", "kid": kid}, claims()]
        text = b".".join(base64url_encode(json.dumps(part).encode()) for part in parts)
        signature = base64url_encode(hmac.digest(secret, text, "sha256"))
        with pytest.raises(BadGateway):
            check((text + b"." + signature).decode())

    @pytest.mark.conformance("X-12")
    def test_an_algorithm_that_does_not_fit_the_key_is_refused(self) -> None:
        with pytest.raises(BadGateway):
            check(signed(RSA_KEY, "RS256", "ec"))

    @pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJFUzI1NiJ9..", "é.é.é"])
    def test_what_is_no_token_is_refused(self, token: str) -> None:
        with pytest.raises(BadGateway):
            check(token)

    @pytest.mark.parametrize("sub", ["", "a" * 129, "a\r\nb"])
    def test_a_name_that_cannot_be_used_is_refused(self, sub: str) -> None:
        with pytest.raises(BadGateway):
            name_in({"sub": sub})


def _answer(document: dict[str, Any]) -> requests.Response:
    answer = requests.Response()
    answer.status_code = 200
    answer.raw = io.BytesIO(json.dumps(document).encode())
    return answer


class TestDocuments:
    """Metadata and keys, as they are fetched."""

    @pytest.mark.parametrize("ends", [True, False], ids=["breaks off", "stalls"])
    def test_a_provider_that_does_not_send_all_of_it_is_away(
        self, monkeypatch: pytest.MonkeyPatch, ends: bool
    ) -> None:
        monkeypatch.setattr(provider, "DEADLINE_S", 0.2)
        done = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                with listener.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                    done.wait(0 if ends else 5)

            thread = threading.Thread(target=answer)
            thread.start()
            issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
            settings = OidcSettings(issuer=issuer, client_id="gateway", client_secret="secret")
            try:
                with pytest.raises(BadGateway):
                    provider.Provider(settings, "https://gw.example.com/callback").metadata()
            finally:
                done.set()
                thread.join()

    @pytest.mark.parametrize(("takes_s", "rests"), [(provider.QUICK_S, True), (0.1, False)])
    def test_one_that_lets_us_wait_is_left_alone_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch, takes_s: float, rests: bool
    ) -> None:
        now = [0.0]

        def wait(*_: object, **__: object) -> None:
            now[0] += takes_s
            raise requests.ConnectTimeout

        asked = Mock(side_effect=wait)
        monkeypatch.setattr(requests.Session, "send", asked)
        settings = OidcSettings(issuer="https://idp.example", client_id="gateway")
        one = provider.Provider(settings, "https://gw.example.com/callback", lambda: now[0])
        for later_s, times in (
            (0.0, 1),
            (provider.REST_S - 0.1, 1 if rests else 2),
            (0.1, 2 if rests else 3),
        ):
            now[0] += later_s
            with pytest.raises(BadGateway):
                one.metadata()
            assert asked.call_count == times

    @pytest.mark.parametrize(
        ("begins", "times", "more"),
        [
            pytest.param(b"{", 30, b" ", id="comes a byte at a time"),
            pytest.param(b"", 400, b" " * 10_000, id="is far too long"),
        ],
    )
    @pytest.mark.parametrize("asks", ["metadata", "tokens"])
    def test_an_answer_is_read_only_so_far(
        self, monkeypatch: pytest.MonkeyPatch, begins: bytes, times: int, more: bytes, asks: str
    ) -> None:
        monkeypatch.setattr(provider, "DEADLINE_S", 0.3)
        sent = [0]
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                with listener.accept()[0] as connection, suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + begins)
                    for _ in range(times):
                        time.sleep(0.1 if len(more) == 1 else 0)
                        connection.sendall(more)
                        sent[0] += 1

            thread = threading.Thread(target=answer)
            thread.start()
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            settings = OidcSettings(issuer=endpoint, client_id="gateway", client_secret="secret")
            one = provider.Provider(settings, "https://gw.example.com/callback")
            with pytest.raises(BadGateway):
                if asks == "metadata":
                    one.metadata()
                else:
                    found = provider.Metadata(endpoint, endpoint, endpoint, endpoint)
                    monkeypatch.setattr(one, "metadata", lambda: found)
                    one.redeem("code", "verifier")
            thread.join()
        assert sent[0] < times, "the connection was closed"

    @pytest.mark.parametrize("odd", ["https://[", "http://id.example.com/keys"])
    def test_metadata_with_an_endpoint_that_cannot_be_used(
        self, monkeypatch: pytest.MonkeyPatch, odd: str
    ) -> None:
        url = f"{SETTINGS.issuer}/x"
        document = {
            "issuer": SETTINGS.issuer,
            "authorization_endpoint": url,
            "token_endpoint": url,
            "jwks_uri": odd,
        }
        monkeypatch.setattr(requests.Session, "send", Mock(return_value=_answer(document)))
        with pytest.raises(BadGateway):
            provider.Provider(SETTINGS, "https://gw.example.com/callback").metadata()

    @pytest.mark.parametrize("odd", ['{"a": 1}', "[]", "[1]", "1e999", "NaN", '"abc"'])
    def test_a_token_answer_that_nobody_can_compute_with(
        self, monkeypatch: pytest.MonkeyPatch, odd: str
    ) -> None:
        url = f"{SETTINGS.issuer}/x"
        one = provider.Provider(SETTINGS, "https://gw.example.com/callback")
        found = provider.Metadata(SETTINGS.issuer, url, url, url)
        monkeypatch.setattr(one, "metadata", lambda: found)
        answer = _answer({"access_token": "a", "token_type": "Bearer", "expires_in": json.loads(odd)})
        monkeypatch.setattr(requests.Session, "send", Mock(return_value=answer))
        with suppress(BadGateway):
            one.redeem("code", "verifier")

    @pytest.mark.parametrize(
        "odd", [{"expires_in": "3599"}, {"expires_in": 3599.5}, {"refresh_token": None, "id_token": None}]
    )
    def test_what_nobody_needs_of_a_token_answer_may_be_odd(
        self, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
    ) -> None:
        endpoint = f"{SETTINGS.issuer}/x"
        one = provider.Provider(SETTINGS, "https://gw.example.com/callback")
        found = provider.Metadata(SETTINGS.issuer, endpoint, endpoint, endpoint)
        monkeypatch.setattr(one, "metadata", lambda: found)
        answer = _answer({"access_token": "a", "token_type": "Bearer", **odd})
        monkeypatch.setattr(requests.Session, "send", Mock(return_value=answer))
        assert one.redeem("code", "verifier").access_token == "a"


class TestKeySet:
    """What is shown to the gateway."""

    EC: ClassVar[dict[str, Any]] = {"kty": "EC", "kid": "1", "crv": "P-256", "x": "x", "y": "y"}

    @pytest.mark.conformance("X-12")
    def test_private_parts_and_certificates_stay_away(self) -> None:
        shown = public_signing_keys({"keys": [{**self.EC, "d": "secret", "x5u": "http://evil.example"}]})
        assert shown == {"keys": [self.EC]}

    @pytest.mark.conformance("X-12")
    @pytest.mark.parametrize(
        "jwk",
        [
            pytest.param({"kty": "oct", "k": "secret"}, id="a shared secret"),
            pytest.param({**EC, "use": "enc"}, id="for encryption"),
            pytest.param({"kty": "EC", "crv": "P-256"}, id="half a key"),
            pytest.param({"kty": ["EC"]}, id="a list for a kind"),
            pytest.param("key", id="a text"),
        ],
    )
    def test_other_keys_are_left_out(self, jwk: object) -> None:
        assert public_signing_keys({"keys": [jwk, self.EC]}) == {"keys": [self.EC]}

    @pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {"kty": "EC"}}])
    def test_no_list_is_an_empty_set(self, document: dict[str, Any]) -> None:
        assert public_signing_keys(document) == {"keys": []}


@pytest.mark.parametrize(
    ("token", "can_check"),
    [
        pytest.param(jwt.encode({"exp": 1}, KEY, algorithm="ES256"), True, id="signed, without kid"),
        pytest.param(
            jwt.encode({"exp": 1}, KEY, algorithm="ES256", headers={"kid": "x"}), False, id="other key"
        ),
        pytest.param("eyJhbGciOiJkaXIifQ..aXY.dGV4dA.dGFn", False, id="encrypted"),
        pytest.param(
            jwt.PyJWS().encode(b"no claims", KEY, algorithm="ES256"), False, id="signed, but no claims"
        ),
        pytest.param("opaque", False, id="opaque"),
    ],
)
def test_tokens_that_the_gateway_can_check(token: str, can_check: bool) -> None:
    """The provider has one key, which then needs no name (OpenID Connect Core 1.0 §10.1)."""
    store = Mock(get=lambda _issuer: {"keys": [Keys.KNOWN["ec"]]})
    early = Mock(begin=lambda: True)
    provider_ = Mock(key_set=lambda: {"keys": [Keys.KNOWN["ec"]]})
    assert ProviderKeys(provider_, store, early).has_key_of(token) is can_check
