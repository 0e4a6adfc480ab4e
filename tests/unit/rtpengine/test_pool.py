"""rtpengine.pool: which node takes a new call, and how nodes are written."""

from collections import Counter

import pytest

from rtpengine.ng.errors import NoNodeError
from rtpengine.pool import Node, NodeAddress, NodePool, node_from_text, node_to_text, version_from_text

A, B, C = (NodeAddress(f"192.0.2.{number}", 2223) for number in (1, 2, 3))
KEYS = [f"call-{number}" for number in range(2000)]


class TestText:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            pytest.param("192.0.2.1:2223", NodeAddress("192.0.2.1", 2223), id="IPv4"),
            pytest.param("[2001:db8::1]:65535", NodeAddress("2001:db8::1", 65535), id="IPv6"),
        ],
    )
    def test_text_and_address_turn_into_each_other(self, text: str, address: NodeAddress) -> None:
        assert node_from_text(text) == address
        assert node_to_text(address) == str(address) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":2223",
            "192.0.2.1",
            "192.0.2.1:",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2.1:-1",
            "192.0.2.1:²",
            "[192.0.2.1]:2223",
            "2001:db8::1:2223",
            "[2001:db8::1]",
            "host.example:2223",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            node_from_text(text)

    @pytest.mark.parametrize(
        ("text", "version"),
        [("10.5", (10, 5)), ("10.5.3.5-1+deb12u1", (10, 5)), ("26.0.1.26", (26, 0)), ("13", (13, 0))],
    )
    def test_a_version_is_its_first_two_numbers(self, text: str, version: tuple[int, int]) -> None:
        assert version_from_text(text) == version

    @pytest.mark.parametrize("text", ["", "x.y", "10.x", "git-master"])
    def test_a_version_without_numbers_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="version"):
            version_from_text(text)


class TestChoice:
    def test_the_same_call_gets_the_same_node(self) -> None:
        pool, other = (NodePool(map(Node, addresses)) for addresses in ((A, B, C), (C, B, A)))
        assert [pool.choose(key, 0.0) for key in KEYS] == [other.choose(key, 9.0) for key in KEYS]

    def test_calls_are_spread_by_weight(self) -> None:
        pool = NodePool([Node(A, weight=3), Node(B, weight=1)])
        share = Counter(pool.choose(key, 0.0).address for key in KEYS)[A] / len(KEYS)
        assert 0.70 < share < 0.80

    def test_a_leaving_node_moves_only_its_own_calls(self) -> None:
        before, after = NodePool(map(Node, (A, B, C))), NodePool(map(Node, (A, B)))
        moved = [key for key in KEYS if before.choose(key, 0.0) != after.choose(key, 0.0)]
        assert moved
        assert {before.choose(key, 0.0).address for key in moved} == {C}

    def test_a_drained_node_gets_no_new_call_but_is_still_found(self) -> None:
        pool = NodePool([Node(A, weight=0), Node(B)])
        assert {pool.choose(key, 0.0).address for key in KEYS} == {B}
        assert pool.node(A) == Node(A, weight=0)

    def test_a_node_that_left_the_pool_is_not_found(self) -> None:
        assert NodePool([Node(A)]).node(B) is None


class TestHealth:
    def test_a_failed_node_is_skipped_until_its_retry_time(self) -> None:
        pool = NodePool(map(Node, (A, B)), retry_after_s=10.0)
        key = next(key for key in KEYS if pool.choose(key, 0.0).address == A)
        pool.mark_failed(A, 100.0)
        assert pool.choose(key, 109.9).address == B
        assert pool.choose(key, 110.0).address == A

    def test_a_node_that_came_back_is_used_at_once(self) -> None:
        pool = NodePool([Node(A)])
        pool.mark_failed(A, 0.0)
        pool.mark_alive(A)
        assert pool.choose("call", 0.0).address == A

    @pytest.mark.parametrize("nodes", [[], [Node(A, weight=0)], [Node(B)]], ids=["none", "drained", "failed"])
    def test_without_any_usable_node_the_call_is_refused(self, nodes: list[Node]) -> None:
        pool = NodePool(nodes)
        pool.mark_failed(B, 0.0)
        with pytest.raises(NoNodeError):
            pool.choose("call", 1.0)
