"""The HSS as a process: Diameter over TCP for the CSCFs, a control line for tests, faults on demand.

Run as `python -m tests.lab.ims.hss_server`; the lab starts it.
"""

import asyncio
import logging
import secrets
import time
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tests.lab.control import Operation, serve_control
from tests.lab.ims.diameter import (
    CX_APPLICATION,
    FLAG_PROXIABLE,
    FLAG_REQUEST,
    VENDOR_3GPP,
    Avp,
    AvpKind,
    Command,
    MalformedDiameter,
    Message,
    avp,
    length_from_bytes,
    message_from_bytes,
    message_to_bytes,
)
from tests.lab.ims.hss import CxRefusal, Hss, Result, experimental_result
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import subscribers_from_file

log = logging.getLogger("hss")

RTA_TIMEOUT_S: Final = 5.0
_CX_COMMANDS: Final = {
    "UAR": Command.USER_AUTHORIZATION,
    "MAR": Command.MULTIMEDIA_AUTH,
    "SAR": Command.SERVER_ASSIGNMENT,
    "LIR": Command.LOCATION_INFO,
}
_CX_NAMES: Final = {command: name for name, command in _CX_COMMANDS.items()}
_CX_APPLICATION_ID: Final = avp(
    AvpKind.VENDOR_SPECIFIC_APPLICATION_ID,
    [avp(AvpKind.VENDOR_ID, VENDOR_3GPP), avp(AvpKind.AUTH_APPLICATION_ID, CX_APPLICATION)],
)
_NO_STATE_MAINTAINED: Final = avp(AvpKind.AUTH_SESSION_STATE, 1)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong with one kind of request."""

    delay_s: float = 0.0
    drop: bool = False
    result: int = 0
    experimental_result: int = 0


class CxRecord(msgspec.Struct, frozen=True):
    """One Cx request as the HSS saw it; `result` is "ok", "dropped" or the code of the refusal."""

    at: float
    command: str
    impi: str | None
    impu: str | None
    assignment: int | None
    result: str


class HssServer:
    """Diameter connections around an Hss."""

    def __init__(self, hss: Hss, address: str) -> None:
        self._hss = hss
        self._address = address
        self._host = f"hss.{hss.realm}"
        self._peers: dict[str, asyncio.StreamWriter] = {}
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._next_id = secrets.randbits(20)
        self._tasks: set[asyncio.Task[None]] = set()
        self.records: list[CxRecord] = []
        self.faults: dict[str, Fault] = {}

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one CSCF until it hangs up."""
        peer: str | None = None
        try:
            while True:
                head = await reader.readexactly(4)
                message = message_from_bytes(head + await reader.readexactly(length_from_bytes(head) - 4))
                if not message.is_request:
                    self._settle(message)
                    continue
                if message.command == Command.CAPABILITIES_EXCHANGE:
                    peer = message.text(AvpKind.ORIGIN_HOST) or ""
                    self._peers[peer] = writer
                    log.info("event=peer_connected peer=%s", peer)
                task = asyncio.create_task(self._serve(message, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            log.info("event=peer_disconnected peer=%s", peer)
        except MalformedDiameter as error:
            log.warning("event=peer_refused peer=%s reason=%r", peer, str(error))
        finally:
            if peer is not None and self._peers.get(peer) is writer:
                del self._peers[peer]
            writer.close()

    def _settle(self, answer: Message) -> None:
        future = self._pending.pop(answer.hop_by_hop, None)
        if future is not None and not future.done():
            future.set_result(answer)

    async def _serve(self, request: Message, writer: asyncio.StreamWriter) -> None:
        avps = await self._serve_cx(request) if request.command in _CX_NAMES else self._serve_base(request)
        if avps is not None:
            writer.write(message_to_bytes(request.answer(avps)))

    def _origin(self) -> list[Avp]:
        return [avp(AvpKind.ORIGIN_HOST, self._host), avp(AvpKind.ORIGIN_REALM, self._hss.realm)]

    def _serve_base(self, request: Message) -> list[Avp]:
        """Answer capabilities exchange, watchdog and disconnect (RFC 6733 §5.3 to §5.5)."""
        avps = [avp(AvpKind.RESULT_CODE, Result.SUCCESS), *self._origin()]
        if request.command == Command.CAPABILITIES_EXCHANGE:
            octets = bytes(int(part) for part in self._address.split("."))
            avps += [
                avp(AvpKind.HOST_IP_ADDRESS, b"\x00\x01" + octets),
                avp(AvpKind.VENDOR_ID, VENDOR_3GPP),
                avp(AvpKind.PRODUCT_NAME, "lab-hss"),
                avp(AvpKind.SUPPORTED_VENDOR_ID, VENDOR_3GPP),
                avp(AvpKind.AUTH_APPLICATION_ID, CX_APPLICATION),
                _CX_APPLICATION_ID,
            ]
        return avps

    async def _serve_cx(self, request: Message) -> list[Avp] | None:
        """Answer a Cx request; None when a fault says that nothing is answered."""
        fault = self.faults.get(_CX_NAMES[Command(request.command)], Fault())
        await asyncio.sleep(fault.delay_s)
        if fault.drop:
            self._record(request, "dropped")
            return None
        if fault.result:
            own, result = [avp(AvpKind.RESULT_CODE, fault.result)], str(fault.result)
        else:
            try:
                if fault.experimental_result:
                    raise CxRefusal(fault.experimental_result)
                own, result = self._hss.answer(request), "ok"
            except CxRefusal as refusal:
                own, result = [experimental_result(refusal.code)], str(refusal.code)
        self._record(request, result)
        session = avp(AvpKind.SESSION_ID, request.find(AvpKind.SESSION_ID) or b"")
        return [session, _CX_APPLICATION_ID, _NO_STATE_MAINTAINED, *self._origin(), *own]

    def _record(self, request: Message, result: str) -> None:
        record = CxRecord(
            time.time(),
            _CX_NAMES[Command(request.command)],
            request.text(AvpKind.USER_NAME),
            request.text(AvpKind.PUBLIC_IDENTITY),
            request.number(AvpKind.SERVER_ASSIGNMENT_TYPE),
            result,
        )
        self.records.append(record)
        log.info(
            "event=cx_answered command=%s impi=%s impu=%s result=%s",
            record.command,
            record.impi,
            record.impu,
            result,
        )

    async def terminate_registration(self, impi: str, reason_code: int) -> int:
        """Send RTR (TS 29.228 §6.1.3) to the S-CSCF; return its result code."""
        subscription = self._hss.by_impi[impi]
        peer = next(name for name in self._peers if name.startswith("scscf"))
        self._next_id += 1
        request = Message(
            Command.REGISTRATION_TERMINATION,
            FLAG_REQUEST | FLAG_PROXIABLE,
            CX_APPLICATION,
            self._next_id,
            self._next_id,
            [
                avp(AvpKind.SESSION_ID, f"{self._host};{int(time.time())};{self._next_id}"),
                _CX_APPLICATION_ID,
                _NO_STATE_MAINTAINED,
                *self._origin(),
                avp(AvpKind.DESTINATION_HOST, peer),
                avp(AvpKind.DESTINATION_REALM, self._hss.realm),
                avp(AvpKind.USER_NAME, impi),
                *(avp(AvpKind.PUBLIC_IDENTITY, impu) for impu in subscription.subscriber.impus),
                avp(
                    AvpKind.DEREGISTRATION_REASON,
                    [avp(AvpKind.REASON_CODE, reason_code), avp(AvpKind.REASON_INFO, "lab")],
                ),
            ],
        )
        answered = self._pending[self._next_id] = asyncio.get_running_loop().create_future()
        self._peers[peer].write(message_to_bytes(request))
        answer = await asyncio.wait_for(answered, RTA_TIMEOUT_S)
        subscription.release()
        return answer.number(AvpKind.RESULT_CODE) or 0

    # Control line: each operation returns plain JSON values.

    async def op_peers(self) -> list[str]:
        return sorted(self._peers)

    async def op_fault(self, faults: dict[str, Any]) -> None:
        unknown = faults.keys() - _CX_COMMANDS.keys()
        if unknown:
            raise ValueError(f"no such command: {', '.join(sorted(unknown))}")
        self.faults = msgspec.convert(faults, dict[str, Fault])

    async def op_records(self) -> Any:
        return msgspec.to_builtins(self.records)

    async def op_terminate(self, impi: str, reason_code: int) -> int:
        return await self.terminate_registration(impi, reason_code)

    async def op_subscriptions(self) -> dict[str, Any]:
        return {
            impi: {"server": s.server, "registered": s.registered} for impi, s in self._hss.by_impi.items()
        }


async def serve(hss: Hss, address: str, port: int, control_port: int) -> None:
    """Serve both ports until the process is stopped."""
    server = HssServer(hss, address)
    await asyncio.start_server(server.converse, address, port)
    operations: dict[str, Operation] = {
        "peers": server.op_peers,
        "fault": server.op_fault,
        "records": server.op_records,
        "terminate": server.op_terminate,
        "subscriptions": server.op_subscriptions,
    }
    await serve_control(operations, LOOPBACK, control_port)
    await asyncio.Event().wait()


@click.command()
@click.option("--address", required=True)
@click.option("--port", type=int, required=True)
@click.option("--control-port", type=int, required=True)
@click.option("--realm", required=True)
@click.option("--scscf-uri", required=True)
@click.option("--subscribers", type=click.Path(path_type=Path), required=True)
def main(address: str, port: int, control_port: int, realm: str, scscf_uri: str, subscribers: Path) -> None:
    """Run the lab's HSS in the foreground."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    hss = Hss(subscribers_from_file(subscribers), realm, scscf_uri, secrets.token_bytes)
    asyncio.run(serve(hss, address, port, control_port))


if __name__ == "__main__":
    main()
