"""`python -m rtpengine` against a real rtpengine."""

import json

import pytest
from click.testing import CliRunner, Result

from rtpengine.cli import EXIT_NO_ANSWER, EXIT_REFUSED, main
from rtpengine.ng.commands import Offer
from rtpengine.profiles import audio_profile
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon, free_port
from tests.contract.rtpengine.sdp import browser_offer
from tests.lab.relay_program import daemon_version

OFFER = browser_offer("chromium-156-av-sendonly.sdp", "audio", "opus", "telephone-event")


def run(client: UdpClient, *arguments: str) -> Result:
    """Run a subcommand on the client's daemon."""
    return CliRunner().invoke(main, [*arguments, "--node", str(client.address)])


@pytest.fixture
def call(client: UdpClient) -> str:
    """A call on the daemon."""
    client.request(Offer("a-call", "wic", OFFER, audio_profile(daemon_version=daemon_version()).offer()))
    return "a-call"


def test_ping_says_that_the_daemon_is_alive(client: UdpClient) -> None:
    result = run(client, "ping")
    assert (result.exit_code, result.output) == (0, f"{client.address} is alive\n")
    assert json.loads(run(client, "ping", "--json").output) == {"node": str(client.address), "alive": True}


def test_list_says_which_calls_there_are(client: UdpClient) -> None:
    assert run(client, "list").output == "no calls\n"
    for call_id in ("b", "a"):
        client.request(Offer(call_id, "wic", OFFER, audio_profile(daemon_version=daemon_version()).offer()))
    assert run(client, "list").output == "a\nb\n"
    assert json.loads(run(client, "list", "--json").output) == ["a", "b"]


def test_query_shows_the_participants_and_their_ports(client: UdpClient, call: str) -> None:
    result = run(client, "query", call)
    assert result.exit_code == 0
    assert result.output.startswith("call a-call\n  wic\n    audio ")
    statistics = json.loads(run(client, "query", call, "--json").output)
    assert statistics["tags"]["wic"]["medias"][0]["protocol"] == "UDP/TLS/RTP/SAVPF"


def test_delete_ends_the_call(client: UdpClient, call: str) -> None:
    assert run(client, "delete", call).output == "a-call deleted\n"
    assert run(client, "list").output == "no calls\n"


@pytest.mark.parametrize("subcommand", ["query", "delete"])
def test_a_call_that_does_not_exist_is_an_error(client: UdpClient, subcommand: str) -> None:
    result = run(client, subcommand, "none")
    assert (result.exit_code, result.stdout) == (EXIT_REFUSED, "")
    assert "Unknown call-id" in result.stderr


def test_a_missing_daemon_is_an_error() -> None:
    node = f"127.0.0.1:{free_port('127.0.0.1')}"
    result = CliRunner().invoke(main, ["ping", "--node", node])
    assert (result.exit_code, result.stdout) == (EXIT_NO_ANSWER, "")
    assert result.stderr == f"error: {node}: Connection refused\n"


def test_a_silent_daemon_is_an_error_after_the_timeout(own_daemon: Daemon) -> None:
    own_daemon.pause()
    result = CliRunner().invoke(main, ["ping", "--node", str(own_daemon.address), "--timeout", "0.1"])
    assert result.exit_code == EXIT_NO_ANSWER
    assert "no reply" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["ping", "--node", "localhost"], ["ping", "--timeout", "0"], ["query"], ["restart"]],
    ids=["no address", "no time", "no call-id", "no such command"],
)
def test_wrong_usage_is_reported_as_such(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2
