"""Signatures of access tokens: which key, which algorithm, and whether it is right (RFC 7515, RFC 7517, RFC 8725).

The keys come from a table that another process fills; nothing here waits for the network.  What the claims allow is
decided in kemi/core/registration/token.py.
"""

from __future__ import annotations

import base64
import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec

from kemi.adapters.log import log_event
from kemi.core.registration.contact import page_at
from kemi.core.registration.records import Grant, Registration
from kemi.core.registration.token import ALGORITHMS, TokenIssuer, TokenRefused, VerifiedToken, token_hash
from kemi.state.table import Table

MAX_TOKEN_LENGTH: Final = 8192
MAX_CACHED: Final = 512
MIN_RSA_BITS: Final = 2048
_KNOWN_HEADER: Final = frozenset({"alg", "kid", "typ", "cty", "x5t", "x5t#S256"})
"""Header parameters that do not change what is signed, or with which key."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class _KeySet:
    text: str
    keys: Mapping[str, jwt.PyJWK]


class KeySets:
    """The issuers' public keys by kid: taken from the table, made anew only when its text has changed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._sets: dict[str, _KeySet] = {}

    def current(self, issuer: str) -> Mapping[str, jwt.PyJWK]:
        """Return an issuer's keys of now, none when there are none; equal objects as long as nothing changed."""
        text = self._table.get(issuer) or ""
        known = self._sets.get(issuer)
        if known is None or known.text != text:
            known = self._sets[issuer] = _KeySet(text, _keys_from_text(issuer, text))
        return known.keys


def _keys_from_text(issuer: str, text: str) -> Mapping[str, jwt.PyJWK]:
    """Return the keys of a JWK set that can check signatures; the others are left out and named in the log."""
    if not text:
        return {}
    try:
        entries = json.loads(text)["keys"]
        return {
            key.key_id: key for entry in entries if (key := _usable(issuer, entry)) is not None and key.key_id
        }
    except (ValueError, KeyError, TypeError):
        log_event(logging.ERROR, "key_set_unreadable", issuer=issuer)
        return {}


def _usable(issuer: str, entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        if entry.get("kty") not in ALGORITHMS.values():
            raise jwt.PyJWTError("no public key type")
        if "d" in entry:
            raise jwt.PyJWTError("a private key in a published set")
        key = jwt.PyJWK(dict(entry))
        if key.key_type == "RSA" and key.key.key_size < MIN_RSA_BITS:
            raise jwt.PyJWTError("RSA key too short")
    except (jwt.PyJWTError, ValueError) as error:
        log_event(
            logging.WARNING,
            "key_not_usable",
            issuer=issuer,
            kid=entry.get("kid", ""),
            kind=type(error).__name__,
        )
        return None
    return key


def _object_from_segment(segment: str) -> dict[str, Any]:
    return _OBJECT.decode(_bytes_from_segment(segment))


def _bytes_from_segment(segment: str) -> bytes:
    """Decode a part of a JWS in compact form (RFC 7515 §2); raise ValueError for anything that is not base64url."""
    return base64.b64decode(segment + "=" * (-len(segment) % 4), b"-_", validate=True)


class TokenVerifier:
    """Checks signatures; a token seen before is not computed again as long as its key is the same."""

    def __init__(self, issuers: Iterable[TokenIssuer], key_sets: KeySets) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._key_sets = key_sets
        self._verified: OrderedDict[str, tuple[jwt.PyJWK, VerifiedToken]] = OrderedDict()

    def verified(self, token: str) -> VerifiedToken:
        """Return what a token with a right signature says; raise TokenRefused."""
        name = token_hash(token)
        known = self._verified.get(name)
        if known is not None:
            key, found = known
            if self._key_sets.current(found.issuer.issuer).get(found.header["kid"]) is key:
                return found
            del self._verified[name]
        key, found = self._verify(token, name)
        self._verified[name] = key, found
        if len(self._verified) > MAX_CACHED:
            self._verified.popitem(last=False)
        return found

    def _verify(self, token: str, name: str) -> tuple[jwt.PyJWK, VerifiedToken]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenRefused("too long")
        signed, _, signature = token.rpartition(".")
        issuer, header, claims = self._claimed(signed)
        key = self._key(issuer, header)
        try:
            is_right = key.Algorithm.verify(signed.encode(), key.key, _bytes_from_segment(signature))
        except (jwt.PyJWTError, ValueError) as error:
            raise TokenRefused(f"signature: {type(error).__name__}") from None
        if not is_right:
            raise TokenRefused("signature: wrong")
        return key, VerifiedToken(issuer, header, claims, name)

    def _claimed(self, signed: str) -> tuple[TokenIssuer, dict[str, Any], dict[str, Any]]:
        """Return issuer, header and claims as the token has them, before anything is proven.

        They are read once: what is proven is what was read.
        """
        try:
            header, claims = map(_object_from_segment, signed.split("."))
            return self._issuers[claims["iss"]], header, claims
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.MsgspecError):
            raise TokenRefused("unreadable, or of an issuer not configured here") from None

    def _key(self, issuer: TokenIssuer, header: Mapping[str, Any]) -> jwt.PyJWK:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in issuer.algorithms:
            raise TokenRefused("alg is not allowed for this issuer")
        if not header.keys() <= _KNOWN_HEADER:
            raise TokenRefused("header with parameters that are not understood")
        if not isinstance(kid, str) or (key := self._key_sets.current(issuer.issuer).get(kid)) is None:
            raise TokenRefused("kid names no key of the issuer")
        if key.key_type != ALGORITHMS[algorithm] or key.algorithm_name != algorithm:
            raise TokenRefused("alg does not fit the key")
        return key


class TokenUse:
    """Which page a token belongs to: the first that used it.  A stolen one is worth nothing elsewhere."""

    def __init__(self, used: Table, revoked: Table) -> None:
        self._used = used
        self._revoked = revoked

    def is_over(self, grant: Grant) -> bool:
        """Whether the web session that a token came from has ended since it was issued."""
        if not grant.session or not self._revoked.has(grant.session):
            return False
        ended_at = self._revoked.get(grant.session)
        return ended_at is not None and grant.is_ended_by(grant.session, float(ended_at))

    def check(self, grant: Grant) -> None:
        """Raise TokenRefused when the web session a token came from has ended since it was issued."""
        if self.is_over(grant):
            raise TokenRefused("its web session has ended")

    def claim(self, issuer: str, token_id: str, page: str) -> None:
        """Take the token for ``page`` (its instance, or its Contact's user); raise TokenRefused if it is another's.

        "" is a page that nobody knows: the token stays free, and one that is somebody's tells it nothing.
        """
        name = f"{issuer} {token_id}"
        with self._used.locked(name):
            holder = self._used.get(name)
            if holder is None and page:
                self._used.set(name, page)
        if holder not in (None, page):
            raise TokenRefused("used by another page")

    def restore(self, registration: Registration) -> None:
        """A registration of before a restart goes on: its token is its page's, as before."""
        grant, page = registration.grant, page_at(registration.sent.contact_value)
        if grant.issuer and page:  # without an issuer: digest, or written by a release that did not tell
            with suppress(TokenRefused):  # somebody was faster
                self.claim(grant.issuer, grant.token_id, page)
