"""Milenage (TS 35.206) for AKA: f1 to f5* as the HSS and the test endpoints need them.

Knows AES and the functions' constants; knows nothing of Diameter, SIP or subscribers.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

# Authentication management field: "separation bit" set, as every IMS HSS does (TS 33.102 annex H).
IMS_AMF = b"\x80\x00"
# The AMF that resynchronisation uses (TS 33.102 §6.3.3).
RESYNC_AMF = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class Keys:
    """The two long-term secrets of an ISIM: K and OPc, 16 bytes each."""

    k: bytes
    opc: bytes


@dataclass(frozen=True, slots=True)
class AkaVector:
    """Outputs of f2 to f5* for one RAND."""

    res: bytes
    ck: bytes
    ik: bytes
    ak: bytes
    ak_resync: bytes


def _encrypt(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def xor(left: bytes, right: bytes) -> bytes:
    """Combine two byte strings of the same length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _rotate(block: bytes, bits: int) -> bytes:
    count = bits // 8
    return block[count:] + block[:count]


def opc_from_op(k: bytes, op: bytes) -> bytes:
    """Derive OPc from the operator's OP (TS 35.206 §4.1)."""
    return xor(_encrypt(k, op), op)


def f1(keys: Keys, rand: bytes, sqn: bytes, amf: bytes) -> tuple[bytes, bytes]:
    """Return (MAC-A of f1, MAC-S of f1*)."""
    temp = _encrypt(keys.k, xor(rand, keys.opc))
    block = (sqn + amf) * 2
    out = xor(_encrypt(keys.k, xor(temp, _rotate(xor(block, keys.opc), 64))), keys.opc)
    return out[:8], out[8:]


def f2_to_f5(keys: Keys, rand: bytes) -> AkaVector:
    """Compute RES, CK, IK and both anonymity keys."""
    temp = _encrypt(keys.k, xor(rand, keys.opc))

    def output(rotation: int, constant: int) -> bytes:
        block = xor(_rotate(xor(temp, keys.opc), rotation), bytes(15) + bytes([constant]))
        return xor(_encrypt(keys.k, block), keys.opc)

    out2 = output(0, 1)
    return AkaVector(
        res=out2[8:], ck=output(32, 2), ik=output(64, 4), ak=out2[:6], ak_resync=output(96, 8)[:6]
    )


def autn(keys: Keys, rand: bytes, sqn: int) -> bytes:
    """Build the network's authentication token for one sequence number."""
    sqn_bytes = sqn.to_bytes(6, "big")
    mac, _ = f1(keys, rand, sqn_bytes, IMS_AMF)
    return xor(sqn_bytes, f2_to_f5(keys, rand).ak) + IMS_AMF + mac


def sqn_from_autn(keys: Keys, rand: bytes, token: bytes) -> int | None:
    """Return the network's sequence number, or None when the token is not the network's (UE side)."""
    sqn_bytes = xor(token[:6], f2_to_f5(keys, rand).ak)
    mac, _ = f1(keys, rand, sqn_bytes, token[6:8])
    return int.from_bytes(sqn_bytes, "big") if mac == token[8:16] else None


def auts(keys: Keys, rand: bytes, sqn: int) -> bytes:
    """Build the UE's resynchronisation token from its own sequence number."""
    sqn_bytes = sqn.to_bytes(6, "big")
    _, mac = f1(keys, rand, sqn_bytes, RESYNC_AMF)
    return xor(sqn_bytes, f2_to_f5(keys, rand).ak_resync) + mac


def sqn_from_auts(keys: Keys, rand: bytes, token: bytes) -> int | None:
    """Return the UE's sequence number, or None when the token is forged (HSS side)."""
    sqn_bytes = xor(token[:6], f2_to_f5(keys, rand).ak_resync)
    _, mac = f1(keys, rand, sqn_bytes, RESYNC_AMF)
    return int.from_bytes(sqn_bytes, "big") if mac == token[6:] else None
