"""Command line for operators: look at the calls of one media relay, end one; nodes are in cli_nodes.py.

Exit status: 0 done, 1 the daemon refused or has no such call, 2 wrong usage, 3 no daemon answers.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, Final, NoReturn

import click

from rtpengine.cli_nodes import drain, nodes, undrain
from rtpengine.ng.commands import Delete, List, Ping, Query
from rtpengine.ng.errors import NgBadDatagram, NgError, NgErrorReply
from rtpengine.ng.statistics import CallStatistics, MediaStatistics, SsrcStatistics
from rtpengine.pool import NodeAddress, node_from_text
from rtpengine.transport.udp import UdpClient

EXIT_REFUSED: Final = 1
EXIT_NO_ANSWER: Final = 3


@dataclass(frozen=True, slots=True)
class _Session:
    """What every subcommand gets: a client, and whether to write JSON."""

    client: UdpClient
    as_json: bool

    def show(self, value: object, text: str) -> None:
        """Write `value` as JSON or `text` for people."""
        click.echo(json.dumps(value, indent=2, default=_to_json) if self.as_json else text)


class _NodeType(click.ParamType[NodeAddress]):
    """ADDRESS:PORT of the daemon's ng socket."""

    name = "address:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NodeAddress:
        """Read the address or report wrong usage."""
        if isinstance(value, NodeAddress):
            return value
        try:
            return node_from_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def main() -> None:
    """Ask a running rtpengine about its calls, or the gateway about its relay nodes."""


def _subcommand(action: Callable[..., None]) -> click.Command:
    """Make a subcommand of `action`: add the common options, turn errors into exit statuses."""

    @wraps(action)
    def run(node: NodeAddress, as_json: bool, timeout: float, **arguments: str) -> None:
        client = UdpClient(node, deadline_s=timeout)
        try:
            action(_Session(client, as_json), **arguments)
        except NgErrorReply as error:
            _exit(EXIT_REFUSED, str(error))
        except NgBadDatagram as error:
            _exit(EXIT_NO_ANSWER, f"{node} does not speak ng: {error}")
        except NgError as error:
            _exit(EXIT_NO_ANSWER, f"{node}: {error}" if str(node) not in str(error) else str(error))
        finally:
            client.close()

    command = main.command(name=action.__name__.rstrip("_"))(run)
    for option in (
        click.Option(["--node"], type=_NodeType(), default="127.0.0.1:2223", show_default=True),
        click.Option(["--json", "as_json"], is_flag=True, help="Write JSON."),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(min=0, min_open=True),
            default=1.0,
            show_default=True,
            help="Seconds to wait for the daemon.",
        ),
    ):
        command.params.append(option)
    return command


@_subcommand
def ping(session: _Session) -> None:
    """Tell whether the daemon is alive."""
    session.client.request(Ping())
    session.show({"node": str(session.client.address), "alive": True}, f"{session.client.address} is alive")


@_subcommand
def list_(session: _Session) -> None:
    """Write the call-ids of all calls, one per line."""
    call_ids = sorted(session.client.request(List()).call_ids)
    session.show(call_ids, "\n".join(call_ids) or "no calls")


@_subcommand
@click.argument("call_id")
def query(session: _Session, call_id: str) -> None:
    """Write ports, codecs, packets and quality of one call."""
    statistics = session.client.request(Query(call_id))
    session.show(asdict(statistics), _call_to_text(call_id, statistics))


@_subcommand
@click.argument("call_id")
def delete(session: _Session, call_id: str) -> None:
    """End one call at once. SIP is not told: the parties just stop hearing each other."""
    session.client.request(Query(call_id))
    session.client.request(Delete(call_id))
    session.show({"call_id": call_id, "deleted": True}, f"{call_id} deleted")


for _command in (nodes, drain, undrain):
    main.add_command(_command)


def _exit(status: int, message: str) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(status)


def _to_json(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def _call_to_text(call_id: str, statistics: CallStatistics) -> str:
    lines = [f"call {call_id}"]
    for tag in statistics.tags.values():
        lines += [f"  {tag.tag or '(no tag yet)'}", *(_media_to_text(media) for media in tag.medias)]
    lines += [_quality_to_text(ssrc, quality) for ssrc, quality in statistics.ssrcs.items()]
    for name, counters in (("RTP", statistics.rtp), ("RTCP", statistics.rtcp)):
        lines.append(
            f"  {name}: {counters.packets} packets, {counters.bytes} bytes, {counters.errors} errors"
        )
    return "\n".join(lines)


def _media_to_text(media: MediaStatistics) -> str:
    stream = media.streams[0]
    peer = "nobody yet" if stream.endpoint is None else "{}:{}".format(*stream.endpoint)
    return (
        f"    {media.type} {media.codec or '(no packets yet)'} {media.protocol}"
        f" {stream.local_address}:{stream.local_port} with {peer}, {stream.counters.packets} packets received"
    )


def _quality_to_text(ssrc: int, quality: SsrcStatistics) -> str:
    average = quality.average
    measured = (
        "not measured"
        if average is None
        else f"MOS {average.mos:.1f}, round trip {average.round_trip_time_ms:.1f} ms,"
        f" jitter {average.jitter_ms} ms, loss {average.packet_loss_percent} %"
    )
    return f"  source {ssrc:08x}: {measured}"
