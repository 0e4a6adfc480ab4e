"""rtpengine.pool: which node takes a new call, and how nodes are written."""

from collections import Counter

import pytest

from rtpengine.ng.errors import NoNodeError
from rtpengine.pool import (
    Candidate,
    Node,
    NodeAddress,
    choose,
    node_from_text,
    node_to_text,
    version_from_text,
)

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


def unknown(*nodes: Node) -> list[Candidate]:
    return [Candidate(node) for node in nodes]


class TestChoiceWithoutLoads:
    def test_the_same_call_gets_the_same_node(self) -> None:
        nodes, other = (unknown(*map(Node, addresses)) for addresses in ((A, B, C), (C, B, A)))
        assert [choose(key, nodes) for key in KEYS] == [choose(key, other) for key in KEYS]

    def test_calls_are_spread_by_weight(self) -> None:
        nodes = unknown(Node(A, weight=3), Node(B, weight=1))
        share = Counter(choose(key, nodes).address for key in KEYS)[A] / len(KEYS)
        assert 0.70 < share < 0.80

    def test_a_leaving_node_moves_only_its_own_calls(self) -> None:
        before, after = unknown(*map(Node, (A, B, C))), unknown(*map(Node, (A, B)))
        moved = [key for key in KEYS if choose(key, before) != choose(key, after)]
        assert moved
        assert {choose(key, before).address for key in moved} == {C}

    def test_one_unknown_load_makes_all_of_them_worthless(self) -> None:
        nodes = [Candidate(Node(A), 1000), Candidate(Node(B))]
        assert {choose(key, nodes).address for key in KEYS} == {A, B}


class TestChoiceByLoad:
    def test_the_one_with_the_fewest_calls_for_its_weight_is_next(self) -> None:
        calls = {A: 0, B: 0, C: 0}
        weights = {A: 1, B: 2, C: 3}
        for key in KEYS[:600]:
            nodes = [Candidate(Node(address, weights[address]), calls[address]) for address in calls]
            calls[choose(key, nodes).address] += 1
        assert calls == {A: 100, B: 200, C: 300}

    def test_equal_loads_are_decided_by_the_call(self) -> None:
        nodes = [Candidate(Node(A), 5), Candidate(Node(B), 5)]
        assert {choose(key, nodes).address for key in KEYS} == {A, B}
        assert choose("call", nodes) == choose("call", nodes[::-1])

    @pytest.mark.parametrize("nodes", [[], [Node(A, weight=0)]], ids=["none", "without weight"])
    def test_without_any_node_the_call_is_refused(self, nodes: list[Node]) -> None:
        with pytest.raises(NoNodeError):
            choose("call", [Candidate(node, 0) for node in nodes])
