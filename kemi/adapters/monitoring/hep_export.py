"""Copies of SIP messages for Homer or sngrep, without their secrets: housekeeping makes them of the workers' notes.

Kamailio's own siptrace sends messages as they are, tokens, digits and all, and nothing between it and the wire can
change them.  UDP, one datagram for each message: nobody waits for a collector, and what it misses is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from kemi.adapters.log import log_event
from kemi.adapters.monitoring import trace_notes as rows
from kemi.adapters.monitoring.collector import Collector
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.metrics import catalogue as series
from kemi.core.pace import is_early
from kemi.core.trace.hep import Capturer, packet, with_true_length
from kemi.core.trace.places import Place, Places, is_address
from kemi.core.trace.reading import Facts, facts_of
from kemi.core.trace.realms import Realms
from kemi.core.trace.redaction import redact_sip
from kemi.core.trace.settings import HepSettings

COMPLAIN_S: Final = 60.0


class HepExport:
    """The way to one collector."""

    def __init__(self, settings: HepSettings, node: str, client_of: Callable[[str], str]) -> None:
        """``client_of``: where the page really is that Kamailio sees at ``address:port``, or ""."""
        self._settings = settings
        self._capturer = Capturer(node, settings.capture_id, settings.password)
        self._client_of = client_of
        self._realms = Realms(settings.realms)
        self._places = Places()
        self._collector = Collector(settings.address)
        self._next_complaint = 0.0

    def take(self, steps: list[list[Any]]) -> None:
        """Send the messages of a worker's note that are of the site's chosen realms."""
        for row in steps:
            if row[3] == rows.HEAD:
                _, trunk, _, _, call_id, impu, peer, _, _, caller_tag, *_ = row
                self._realms.learn(call_id, impu, peer, trunk if caller_tag else "")
        for row in steps:
            if row[3] not in rows.MESSAGES:
                continue
            _, _, at, _, incoming, text, ends = row
            facts = facts_of(text)
            if facts is not None:
                self._copy(at, facts, text, self._place(facts, ends, incoming=incoming))

    def _copy(self, at: float, facts: Facts, text: str, place: Place) -> None:
        if place.source == place.destination or not self._realms.have(facts):  # we told ourselves something
            return
        shown = Place(place.protocol, self._shown(place, place.source), self._shown(place, place.destination))
        message = with_true_length(redact_sip(text))
        self._send(packet(self._capturer, at, shown, facts.call_id, message))

    def _place(self, facts: Facts, ends: Any, *, incoming: bool) -> Place:
        if not incoming:
            return self._places.of_outgoing(facts, ends)
        protocol, our_address, our_port, address, port = ends
        protocol = "ws" if protocol == "wss" else protocol
        return self._places.of_incoming(
            facts, protocol, (our_address.strip("[]"), our_port), (address.strip("[]"), port)
        )

    def _shown(self, place: Place, end: tuple[str, int]) -> tuple[str, int]:
        """Return a page's own address, with the port that its connection has behind the TLS front."""
        if place.protocol != "ws":
            return end
        host, port = end
        client = self._client_of(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return client if is_address(client) else host, port

    def _send(self, datagram: bytes) -> None:
        try:
            self._collector.send(datagram)
        except OSError as error:
            METRICS.count(series.HEP, "failed")
            self._complain(error)
            return
        METRICS.count(series.HEP, "sent")

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if not is_early(now, self._next_complaint, COMPLAIN_S):
            self._next_complaint = now + COMPLAIN_S
            log_event(logging.WARNING, "hep_not_sent", collector=self._settings.collector, detail=str(error))
