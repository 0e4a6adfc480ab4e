"""What rtpengine says of its own port when it is offered an address family that its interface lacks."""

from __future__ import annotations

from pathlib import Path

from rtpengine.ng.commands import Delete, Query
from rtpengine.profiles import MediaProfile
from rtpengine.sessions import IMS_TAG, MediaSession, WicTransport, reserve_terminating, run
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon, media_ports
from tests.unit.core.sdp.test_address_family import audio


def test_an_offer_with_ipv6_gets_an_ipv4_port_and_the_query_says_so(tmp_path: Path) -> None:
    session = MediaSession("families", "audio", "", WicTransport.SHARED)
    with media_ports(40) as ports, Daemon(tmp_path, ports) as daemon:
        client = UdpClient(daemon.address)
        run(reserve_terminating(session, MediaProfile(), audio("IP6 2001:db8::5")), client)
        known = client.request(Query(session.ng_call_id)).tags[IMS_TAG]
        assert {stream.local_address for stream in known.streams()} == {IMS_ADDRESS}
        client.request(Delete(session.ng_call_id))
        client.close()
