"""Diameter messages (RFC 6733) with the AVPs of the Cx interface (TS 29.229): bytes to values and back.

Knows the wire format only; no sockets, no subscribers.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple, Self

VENDOR_3GPP: Final = 10415
CX_APPLICATION: Final = 16777216
HEADER_BYTES: Final = 20

FLAG_REQUEST: Final = 0x80
FLAG_PROXIABLE: Final = 0x40
_AVP_FLAG_VENDOR: Final = 0x80
_AVP_FLAG_MANDATORY: Final = 0x40


class Command(IntEnum):
    """Command codes: the base protocol's and Cx."""

    CAPABILITIES_EXCHANGE = 257
    DEVICE_WATCHDOG = 280
    DISCONNECT_PEER = 282
    USER_AUTHORIZATION = 300
    SERVER_ASSIGNMENT = 301
    LOCATION_INFO = 302
    MULTIMEDIA_AUTH = 303
    REGISTRATION_TERMINATION = 304


class AvpKind(Enum):
    """AVPs by (code, vendor)."""

    USER_NAME = (1, 0)
    HOST_IP_ADDRESS = (257, 0)
    AUTH_APPLICATION_ID = (258, 0)
    VENDOR_SPECIFIC_APPLICATION_ID = (260, 0)
    SESSION_ID = (263, 0)
    ORIGIN_HOST = (264, 0)
    SUPPORTED_VENDOR_ID = (265, 0)
    VENDOR_ID = (266, 0)
    RESULT_CODE = (268, 0)
    PRODUCT_NAME = (269, 0)
    AUTH_SESSION_STATE = (277, 0)
    DESTINATION_REALM = (283, 0)
    DESTINATION_HOST = (293, 0)
    ORIGIN_REALM = (296, 0)
    EXPERIMENTAL_RESULT = (297, 0)
    EXPERIMENTAL_RESULT_CODE = (298, 0)
    DIGEST_REALM = (104, 0)
    DIGEST_QOP = (110, 0)
    DIGEST_ALGORITHM = (111, 0)
    DIGEST_HA1 = (121, 0)
    PUBLIC_IDENTITY = (601, VENDOR_3GPP)
    SERVER_NAME = (602, VENDOR_3GPP)
    SERVER_CAPABILITIES = (603, VENDOR_3GPP)
    USER_DATA = (606, VENDOR_3GPP)
    SIP_NUMBER_AUTH_ITEMS = (607, VENDOR_3GPP)
    SIP_AUTHENTICATION_SCHEME = (608, VENDOR_3GPP)
    SIP_AUTHENTICATE = (609, VENDOR_3GPP)
    SIP_AUTHORIZATION = (610, VENDOR_3GPP)
    SIP_AUTH_DATA_ITEM = (612, VENDOR_3GPP)
    SIP_ITEM_NUMBER = (613, VENDOR_3GPP)
    SERVER_ASSIGNMENT_TYPE = (614, VENDOR_3GPP)
    DEREGISTRATION_REASON = (615, VENDOR_3GPP)
    REASON_CODE = (616, VENDOR_3GPP)
    REASON_INFO = (617, VENDOR_3GPP)
    CHARGING_INFORMATION = (618, VENDOR_3GPP)
    PRIMARY_EVENT_CHARGING_FUNCTION_NAME = (619, VENDOR_3GPP)
    PRIMARY_CHARGING_COLLECTION_FUNCTION_NAME = (621, VENDOR_3GPP)
    USER_AUTHORIZATION_TYPE = (623, VENDOR_3GPP)
    CONFIDENTIALITY_KEY = (625, VENDOR_3GPP)
    INTEGRITY_KEY = (626, VENDOR_3GPP)
    SIP_DIGEST_AUTHENTICATE = (635, VENDOR_3GPP)

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def vendor(self) -> int:
        return self.value[1]


class Avp(NamedTuple):
    """One attribute-value pair; the value is still bytes."""

    code: int
    vendor: int
    value: bytes


class MalformedDiameter(ValueError):
    """The bytes are not a Diameter message."""


def avp(kind: AvpKind, value: int | str | bytes | Sequence[Avp]) -> Avp:
    """Build an AVP: integers become Unsigned32, sequences a grouped AVP."""
    match value:
        case int():
            encoded = struct.pack("!I", value)
        case str():
            encoded = value.encode()
        case bytes():
            encoded = value
        case _:
            encoded = avps_to_bytes(value)
    return Avp(kind.code, kind.vendor, encoded)


def avps_to_bytes(avps: Sequence[Avp]) -> bytes:
    """Write AVPs one after the other, each padded to four bytes."""
    return b"".join(_avp_to_bytes(item) for item in avps)


def _avp_to_bytes(item: Avp) -> bytes:
    vendor_field = struct.pack("!I", item.vendor) if item.vendor else b""
    flags = _AVP_FLAG_MANDATORY | (_AVP_FLAG_VENDOR if item.vendor else 0)
    length = 8 + len(vendor_field) + len(item.value)
    head = struct.pack("!II", item.code, flags << 24 | length)
    return head + vendor_field + item.value + bytes(-length % 4)


def avps_from_bytes(data: bytes) -> list[Avp]:
    """Read AVPs one after the other; raise MalformedDiameter on a length that does not fit."""
    avps: list[Avp] = []
    offset = 0
    while offset + 8 <= len(data):
        code, flags_and_length = struct.unpack_from("!II", data, offset)
        length = flags_and_length & 0xFFFFFF
        has_vendor = bool(flags_and_length >> 24 & _AVP_FLAG_VENDOR)
        head = 12 if has_vendor else 8
        if length < head or offset + length > len(data):
            raise MalformedDiameter(f"AVP {code} has length {length}")
        vendor = struct.unpack_from("!I", data, offset + 8)[0] if has_vendor else 0
        avps.append(Avp(code, vendor, data[offset + head : offset + length]))
        offset += length + (-length % 4)
    return avps


@dataclass(frozen=True, slots=True)
class Message:
    """One Diameter message."""

    command: int
    flags: int
    application: int
    hop_by_hop: int
    end_to_end: int
    avps: Sequence[Avp]

    @property
    def is_request(self) -> bool:
        return bool(self.flags & FLAG_REQUEST)

    def find(self, kind: AvpKind) -> bytes | None:
        """Return the first value of that kind."""
        return next((item.value for item in self.avps if (item.code, item.vendor) == kind.value), None)

    def text(self, kind: AvpKind) -> str | None:
        value = self.find(kind)
        return None if value is None else value.decode()

    def number(self, kind: AvpKind) -> int | None:
        value = self.find(kind)
        return None if value is None else int.from_bytes(value, "big")

    def answer(self, avps: Sequence[Avp]) -> Self:
        """Build the answer to this request."""
        return type(self)(
            self.command,
            self.flags & FLAG_PROXIABLE,
            self.application,
            self.hop_by_hop,
            self.end_to_end,
            avps,
        )


def length_from_bytes(head: bytes) -> int:
    """Return the whole message's length from its first four bytes."""
    return int.from_bytes(head[1:4], "big")


def message_from_bytes(data: bytes) -> Message:
    """Read one whole message; raise MalformedDiameter when it is cut short."""
    if len(data) < HEADER_BYTES:
        raise MalformedDiameter(f"{len(data)} bytes are no header")
    _, flags_and_command, application, hop_by_hop, end_to_end = struct.unpack_from("!5I", data)
    return Message(
        flags_and_command & 0xFFFFFF,
        flags_and_command >> 24,
        application,
        hop_by_hop,
        end_to_end,
        avps_from_bytes(data[HEADER_BYTES:]),
    )


def message_to_bytes(message: Message) -> bytes:
    """Write one whole message."""
    body = avps_to_bytes(message.avps)
    head = struct.pack(
        "!5I",
        1 << 24 | HEADER_BYTES + len(body),
        message.flags << 24 | message.command,
        message.application,
        message.hop_by_hop,
        message.end_to_end,
    )
    return head + body
