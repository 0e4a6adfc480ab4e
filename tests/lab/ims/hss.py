"""The Cx side of an HSS (TS 29.228, TS 29.229): what it answers to UAR, MAR, SAR and LIR.

Pure logic over the subscriber table; randomness is passed in and sockets live in `hss_server`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final
from xml.sax.saxutils import escape

from tests.lab.ims import milenage
from tests.lab.ims.diameter import (
    VENDOR_3GPP,
    Avp,
    AvpKind,
    Command,
    Message,
    avp,
    avps_from_bytes,
)
from tests.lab.subscribers import Scheme, Subscriber

SQN_STEP: Final = 32  # the low five bits are the index of TS 33.102 annex C


class Result(IntEnum):
    """Diameter result codes the lab uses; those of Cx travel as Experimental-Result."""

    SUCCESS = 2001


class CxResult(IntEnum):
    """Experimental result codes of Cx (TS 29.229 §6.2)."""

    FIRST_REGISTRATION = 2001
    SUBSEQUENT_REGISTRATION = 2002
    USER_UNKNOWN = 5001
    IDENTITIES_DONT_MATCH = 5002
    IDENTITY_NOT_REGISTERED = 5003


class ServerAssignment(IntEnum):
    """Server-Assignment-Type (TS 29.229 §6.3.15); everything above means that the S-CSCF lets go."""

    NO_ASSIGNMENT = 0
    REGISTRATION = 1
    RE_REGISTRATION = 2
    UNREGISTERED_USER = 3


DEREGISTRATION_TYPE: Final = 1  # User-Authorization-Type


class CxRefusal(Exception):
    """The HSS refuses with this experimental result code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Cx result {code}")
        self.code = code


def experimental_result(code: int) -> Avp:
    """Build the Experimental-Result AVP of 3GPP."""
    return avp(
        AvpKind.EXPERIMENTAL_RESULT,
        [avp(AvpKind.VENDOR_ID, VENDOR_3GPP), avp(AvpKind.EXPERIMENTAL_RESULT_CODE, code)],
    )


@dataclass(slots=True)
class Subscription:
    """A subscriber and what the HSS remembers of it."""

    subscriber: Subscriber
    server: str | None = None
    registered: dict[str, str] = field(default_factory=dict)
    sqn: int = 0

    def release(self) -> None:
        """Forget the S-CSCF and every registration."""
        self.server = None
        self.registered.clear()


class Hss:
    """Answers Cx requests from one table of subscribers and for one S-CSCF."""

    def __init__(
        self,
        subscribers: Sequence[Subscriber],
        realm: str,
        scscf_uri: str,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.realm = realm
        self._scscf_uri = scscf_uri
        self._random_bytes = random_bytes
        self.by_impi = {s.impi: Subscription(s) for s in subscribers}
        self._by_impu = {impu: self.by_impi[s.impi] for s in subscribers for impu in s.impus}
        self._handlers: Mapping[int, Callable[[Message], list[Avp]]] = {
            Command.USER_AUTHORIZATION: self._authorize_user,
            Command.MULTIMEDIA_AUTH: self._authenticate,
            Command.SERVER_ASSIGNMENT: self._assign_server,
            Command.LOCATION_INFO: self._locate,
        }

    def answer(self, request: Message) -> list[Avp]:
        """Return the answer's own AVPs; raise CxRefusal with the experimental result."""
        return self._handlers[request.command](request)

    def _find(self, request: Message) -> tuple[Subscription, str]:
        """Find the subscription by both identities (TS 29.228 §6.1.1.1)."""
        impu = request.text(AvpKind.PUBLIC_IDENTITY) or ""
        impi = request.text(AvpKind.USER_NAME)
        subscription = self._by_impu.get(impu)
        if subscription is None or impi not in self.by_impi:
            raise CxRefusal(CxResult.USER_UNKNOWN)
        if subscription.subscriber.impi != impi:
            raise CxRefusal(CxResult.IDENTITIES_DONT_MATCH)
        return subscription, impu

    def _capabilities(self) -> Avp:
        return avp(AvpKind.SERVER_CAPABILITIES, [avp(AvpKind.SERVER_NAME, self._scscf_uri)])

    def _authorize_user(self, request: Message) -> list[Avp]:
        subscription, _ = self._find(request)
        deregistering = request.number(AvpKind.USER_AUTHORIZATION_TYPE) == DEREGISTRATION_TYPE
        if subscription.server:
            return [
                experimental_result(CxResult.SUBSEQUENT_REGISTRATION),
                avp(AvpKind.SERVER_NAME, subscription.server),
            ]
        if deregistering:
            raise CxRefusal(CxResult.IDENTITY_NOT_REGISTERED)
        return [experimental_result(CxResult.FIRST_REGISTRATION), self._capabilities()]

    def _authenticate(self, request: Message) -> list[Avp]:
        subscription, impu = self._find(request)
        challenges: Mapping[Scheme, Callable[[Subscription, Message], list[Avp]]] = {
            Scheme.AKA: self._aka_challenge,
            Scheme.SIP_DIGEST: self._sip_digest_challenge,
            Scheme.DIGEST_MD5: self._digest_md5_challenge,
        }
        scheme = subscription.subscriber.scheme
        item = [
            avp(AvpKind.SIP_ITEM_NUMBER, 1),
            avp(AvpKind.SIP_AUTHENTICATION_SCHEME, scheme.value),
            *challenges[scheme](subscription, request),
        ]
        return [
            avp(AvpKind.RESULT_CODE, Result.SUCCESS),
            avp(AvpKind.USER_NAME, subscription.subscriber.impi),
            avp(AvpKind.PUBLIC_IDENTITY, impu),
            avp(AvpKind.SIP_NUMBER_AUTH_ITEMS, 1),
            avp(AvpKind.SIP_AUTH_DATA_ITEM, item),
        ]

    def _aka_challenge(self, subscription: Subscription, request: Message) -> list[Avp]:
        subscriber = subscription.subscriber
        keys = milenage.Keys(bytes.fromhex(subscriber.k), bytes.fromhex(subscriber.opc))
        self._resynchronise(subscription, keys, request)
        subscription.sqn += SQN_STEP
        rand = self._random_bytes(16)
        vector = milenage.f2_to_f5(keys, rand)
        return [
            avp(AvpKind.SIP_AUTHENTICATE, rand + milenage.autn(keys, rand, subscription.sqn)),
            avp(AvpKind.SIP_AUTHORIZATION, vector.res),
            avp(AvpKind.CONFIDENTIALITY_KEY, vector.ck),
            avp(AvpKind.INTEGRITY_KEY, vector.ik),
        ]

    @staticmethod
    def _resynchronise(subscription: Subscription, keys: milenage.Keys, request: Message) -> None:
        """Take over the UE's sequence number when the request carries RAND and AUTS (TS 29.228 §6.3)."""
        asked = avps_from_bytes(request.find(AvpKind.SIP_AUTH_DATA_ITEM) or b"")
        wanted = AvpKind.SIP_AUTHORIZATION.value
        token = next((item.value for item in asked if (item.code, item.vendor) == wanted), b"")
        if len(token) == 30:
            sqn = milenage.sqn_from_auts(keys, token[:16], token[16:])
            if sqn is not None:
                subscription.sqn = sqn

    def _sip_digest_challenge(self, subscription: Subscription, _request: Message) -> list[Avp]:
        """Hand out H(A1); the S-CSCF makes the nonce."""
        subscriber = subscription.subscriber
        a1 = f"{subscriber.impi}:{self.realm}:{subscriber.password}"
        return [
            avp(
                AvpKind.SIP_DIGEST_AUTHENTICATE,
                [
                    avp(AvpKind.DIGEST_REALM, self.realm),
                    avp(AvpKind.DIGEST_ALGORITHM, "MD5"),
                    avp(AvpKind.DIGEST_QOP, "auth"),
                    avp(AvpKind.DIGEST_HA1, hashlib.md5(a1.encode()).hexdigest()),
                ],
            )
        ]

    def _digest_md5_challenge(self, subscription: Subscription, _request: Message) -> list[Avp]:
        """Hand out a nonce and the clear password, as Kamailio's ims_auth expects for this scheme."""
        return [
            avp(AvpKind.SIP_AUTHENTICATE, self._random_bytes(16)),
            avp(AvpKind.SIP_AUTHORIZATION, subscription.subscriber.password),
        ]

    def _assign_server(self, request: Message) -> list[Avp]:
        impu = request.text(AvpKind.PUBLIC_IDENTITY) or ""
        impi = request.text(AvpKind.USER_NAME)
        kind = request.number(AvpKind.SERVER_ASSIGNMENT_TYPE) or 0
        subscription = self._by_impu.get(impu) or self.by_impi.get(impi or "")
        if subscription is None:
            raise CxRefusal(CxResult.USER_UNKNOWN)
        if impi and subscription.subscriber.impi != impi:
            raise CxRefusal(CxResult.IDENTITIES_DONT_MATCH)
        if kind > ServerAssignment.UNREGISTERED_USER:
            subscription.release()
            return [
                avp(AvpKind.RESULT_CODE, Result.SUCCESS),
                avp(AvpKind.USER_NAME, subscription.subscriber.impi),
            ]
        if kind != ServerAssignment.NO_ASSIGNMENT:
            subscription.server = request.text(AvpKind.SERVER_NAME) or self._scscf_uri
        if kind in (ServerAssignment.REGISTRATION, ServerAssignment.RE_REGISTRATION):
            subscription.registered = dict.fromkeys(subscription.subscriber.impus, "registered")
        elif kind == ServerAssignment.UNREGISTERED_USER:
            subscription.registered[impu] = "unregistered"
        return self._profile(subscription)

    def _profile(self, subscription: Subscription) -> list[Avp]:
        charging = [
            avp(AvpKind.PRIMARY_CHARGING_COLLECTION_FUNCTION_NAME, f"aaa://ccf.{self.realm}"),
            avp(AvpKind.PRIMARY_EVENT_CHARGING_FUNCTION_NAME, f"aaa://ecf.{self.realm}"),
        ]
        return [
            avp(AvpKind.RESULT_CODE, Result.SUCCESS),
            avp(AvpKind.USER_NAME, subscription.subscriber.impi),
            avp(AvpKind.USER_DATA, user_data(subscription.subscriber)),
            avp(AvpKind.CHARGING_INFORMATION, charging),
        ]

    def _locate(self, request: Message) -> list[Avp]:
        subscription = self._by_impu.get(request.text(AvpKind.PUBLIC_IDENTITY) or "")
        if subscription is None:
            raise CxRefusal(CxResult.USER_UNKNOWN)
        if not subscription.server:
            raise CxRefusal(CxResult.IDENTITY_NOT_REGISTERED)
        return [
            avp(AvpKind.RESULT_CODE, Result.SUCCESS),
            avp(AvpKind.SERVER_NAME, subscription.server),
        ]


def user_data(subscriber: Subscriber) -> str:
    """Write the service profile (TS 29.228 annex E): the implicit set, no filter criteria."""
    identities = "".join(
        f"<PublicIdentity><Identity>{escape(impu)}</Identity></PublicIdentity>" for impu in subscriber.impus
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<IMSSubscription><PrivateID>{escape(subscriber.impi)}</PrivateID>"
        f"<ServiceProfile>{identities}</ServiceProfile></IMSSubscription>"
    )
