"""Milenage against the published test set, and the two ends of AKA against each other."""

from tests.lab.ims import milenage

# TS 35.208 §4.3, test set 1.
K = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc")
OP = bytes.fromhex("cdc202d5123e20f62b6d676ac72cb318")
OPC = bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
SQN = bytes.fromhex("ff9bb4d0b607")
KEYS = milenage.Keys(K, OPC)


def test_opc_is_derived_from_op() -> None:
    assert milenage.opc_from_op(K, OP) == OPC


def test_f1_matches_the_test_set() -> None:
    macs = milenage.f1(KEYS, RAND, SQN, bytes.fromhex("b9b9"))
    assert macs == (bytes.fromhex("4a9ffac354dfafb3"), bytes.fromhex("01cfaf9ec4e871e9"))


def test_f2_to_f5_match_the_test_set() -> None:
    vector = milenage.f2_to_f5(KEYS, RAND)
    assert vector.res.hex() == "a54211d5e3ba50bf"
    assert vector.ck.hex() == "b40ba9a3c58b2a05bbf0d987b21bf8cb"
    assert vector.ik.hex() == "f769bcd751044604127672711c6d3441"
    assert vector.ak.hex() == "aa689c648370"
    assert vector.ak_resync.hex() == "451e8beca43b"


def test_the_isim_reads_the_sequence_number_of_its_own_network_only() -> None:
    token = milenage.autn(KEYS, RAND, 4711)
    assert milenage.sqn_from_autn(KEYS, RAND, token) == 4711
    forged = token[:-1] + bytes([token[-1] ^ 1])
    assert milenage.sqn_from_autn(KEYS, RAND, forged) is None


def test_the_hss_reads_the_sequence_number_of_its_own_isim_only() -> None:
    token = milenage.auts(KEYS, RAND, 4711)
    assert milenage.sqn_from_auts(KEYS, RAND, token) == 4711
    other = milenage.Keys(K, bytes(16))
    assert milenage.sqn_from_auts(other, RAND, token) is None
