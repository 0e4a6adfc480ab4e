"""What a gateway node keeps in Redis and hears from it.  Used by the housekeeping process and before the fork only.

Every call has a short deadline and raises RedisUnavailable; nothing is tried again here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kemi.core.registration import Registration
from kemi.core.registration.own_requests import Subscription
from kemi.state import history_link, keys, trace_link
from kemi.state.call_history import FinishedCall
from kemi.state.command_position import CommandPosition, order_of
from kemi.state.commands import (
    Command,
    EndCalls,
    EndRegistration,
    ListCalls,
    OrderChannel,
    command_from_text,
)
from kemi.state.connection import redis_client
from kemi.state.continuity import Change, Continuity
from kemi.state.redis_errors import RedisRefused, redis_failure
from kemi.state.stamps import age_s, read_stamped, seconds, write_stamped
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TracePortion

DEADLINE_S: Final = 0.25
COMMANDS_AT_ONCE: Final = 100
ACCOUNTS_AT_ONCE: Final = 500

_CLAIM: Final = """
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text then
    redis.call('HSET', KEYS[2], ARGV[1], text)
    redis.call('HDEL', KEYS[1], ARGV[1])
end
return text
"""
"""A full Redis refuses the first of the two, and nothing has changed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a node left behind."""

    registrations: Mapping[str, Registration]
    subscriptions: Mapping[str, Subscription]
    calls: Mapping[str, str] = field(default_factory=dict)
    """Answered calls by name, as they were shipped."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is new in Redis."""

    commands: list[Command]
    """Since the last time."""
    key_sets: dict[str, str]
    """JWK sets by issuer, of those that are there."""
    drained: set[str]
    """Relay nodes that get no new calls."""
    routing_version: int
    """Of the routing table that counts; 0: there is none."""
    handed_over: dict[str, str] = field(default_factory=dict)
    """Answered calls that other gateways have given us: name -> JSON."""


class _Identities(msgspec.Struct):
    """What of an account says who somebody is (kemi/state/web/accounts.py)."""

    impi: str
    impus: list[str]


class _Seen(msgspec.Struct):
    at: float = 0.0
    written_at: float = 0.0


_UNREADABLE: Final = _Seen(at=-math.inf)


class RedisLink:
    """One node's connection to Redis."""

    def __init__(self, url: str, node: str, deadline_s: float = DEADLINE_S, *, calls_kept_s: int = 0) -> None:
        """``calls_kept_s``: how long finished calls are kept; 0: not at all."""
        self.node = node
        self._calls_kept_s = calls_kept_s
        self._position = CommandPosition()
        self._continuity = Continuity(node)
        self._redis = redis_client(url, deadline_s, Retry(NoBackoff(), 0), self._connected)
        self._orders = OrderChannel(redis_client(url, deadline_s, Retry(NoBackoff(), 0)))

    def disconnect(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._orders.leave()
        self._redis.close()

    def _connected(self) -> None:
        self._orders.leave()  # whoever answers now may be another server
        self._continuity.connected()

    def take_change(self) -> Change:
        """Return what has happened to Redis since the last time; to be asked after what went well."""
        return self._continuity.take()

    def stored(self) -> Stored:
        """Return what this node kept before it was restarted; what cannot be read is left out."""
        try:
            registrations = self._redis.hgetall(keys.registrations(self.node))
            subscriptions = self._redis.hgetall(keys.subscriptions(self.node))
            calls = self._redis.hgetall(keys.call_records(self.node))
        except redis.RedisError as error:
            raise redis_failure(error) from error
        return Stored(
            _decoded(cast("dict[str, str]", registrations), Registration),
            _decoded(cast("dict[str, str]", subscriptions), Subscription),
            cast("dict[str, str]", calls),
        )

    def names(self) -> tuple[list[str], list[str], list[str]]:
        """Return the names of the registrations, subscriptions and answered calls that are kept of this node."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in (keys.registrations, keys.subscriptions, keys.call_records):
            pipeline.hkeys(name(self.node))
        bindings, subscriptions, records = self._run(pipeline)
        return bindings, subscriptions, records

    def ship(
        self,
        registrations: Mapping[str, str | None],
        subscriptions: Mapping[str, str | None],
        events: Sequence[str],
        calls: Sequence[FinishedCall] = (),
        unkept: Sequence[str] = (),
        records: Mapping[str, str | None] | None = None,
    ) -> None:
        """Write changed records (None: removed), events and finished calls, all in one round trip.

        ``unkept``: events for those who listen now; ``records``: of answered calls.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for name, changes in (
            (keys.registrations(self.node), registrations),
            (keys.subscriptions(self.node), subscriptions),
            (keys.call_records(self.node), records or {}),
        ):
            written = {key: text for key, text in changes.items() if text is not None}
            removed = [key for key, text in changes.items() if text is None]
            if written:
                pipeline.hset(name, mapping=cast("Any", written))
            if removed:
                pipeline.hdel(name, *removed)
        for event in events:
            pipeline.xadd(
                keys.EVENTS, {keys.STREAM_FIELD: event}, maxlen=keys.STREAM_LENGTH, approximate=True
            )
        for event in unkept:
            pipeline.publish(keys.UNKEPT_EVENTS, event)
        for call in calls if self._calls_kept_s else ():
            history_link.put(pipeline, call, self._calls_kept_s)
        self._run(pipeline)

    def trim_calls(self) -> float:
        """Forget the oldest finished calls where Redis is nearly full; return which share of its memory it uses."""
        try:
            return history_link.trim(self._redis)
        except redis.RedisError as error:
            raise redis_failure(error) from error

    def ship_nodes(self, drain_changes: Mapping[str, str], view: str) -> None:
        """Write which relay nodes were drained ("1") or are not any more (""), and how this node sees all of them."""
        pipeline = self._redis.pipeline(transaction=False)
        self._continuity.read(pipeline)
        for node, drained in drain_changes.items():
            if drained:
                pipeline.sadd(keys.DRAINED, node)
            else:
                pipeline.srem(keys.DRAINED, node)
        write_stamped(pipeline, keys.RELAY_NODES, self.node, view)
        self._continuity.write(pipeline)
        self._continuity.found(self._run(pipeline)[0])
        self._continuity.written()

    def gateways(self, now: float) -> dict[str, float]:
        """Return how long ago each gateway of the site has written of itself, seconds; infinite: it cannot be read."""
        pipeline = self._redis.pipeline(transaction=False)
        read_stamped(pipeline, keys.RELAY_NODES)
        found, time = self._run(pipeline)
        seen = {name: _decoded({name: text}, _Seen).get(name, _UNREADABLE) for name, text in found.items()}
        redis_now = seconds(time)
        return {name: age_s(one.at, one.written_at, now, redis_now) for name, one in seen.items()}

    def forget_gateway(self, node: str) -> None:
        """Remove what another gateway keeps; one that runs misses its mark, and writes all of it again."""
        pipeline = self._redis.pipeline(transaction=True)
        of_node = (keys.registrations, keys.subscriptions, keys.call_records, keys.handed_over, keys.position)
        pipeline.unlink(*(name(node) for name in of_node))
        for name in (keys.RELAY_NODES, keys.TRUNKS, keys.MARKS):
            pipeline.hdel(name, node)
        self._run(pipeline)

    def calls_of(self, node: str) -> dict[str, str]:
        """Return the answered calls that another gateway keeps."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(keys.call_records(node))
        return cast("dict[str, str]", self._run(pipeline)[0])

    def bindings_elsewhere(self, bindings: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what other gateways keep of these bindings: gateway -> binding -> JSON."""
        try:
            names = cast("list[str]", self._redis.hkeys(keys.RELAY_NODES))
        except redis.RedisError as error:
            raise redis_failure(error) from error
        others = [name for name in names if name != self.node]
        pipeline = self._redis.pipeline(transaction=False)
        for name in others:
            pipeline.hmget(keys.registrations(name), list(bindings))
        found = zip(others, self._run(pipeline), strict=True)
        return {
            name: {key: text for key, text in zip(bindings, texts, strict=True) if text}
            for name, texts in found
        }

    def hand_over(self, node: str, calls: Mapping[str, str]) -> None:
        """Give answered calls to another gateway; this one keeps them no longer."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(keys.handed_over(node), mapping=cast("Any", dict(calls)))
        pipeline.hdel(keys.call_records(self.node), *calls)
        self._run(pipeline)

    def took_over(self, calls: Sequence[str]) -> None:
        """Say that calls that were handed over are here."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hdel(keys.handed_over(self.node), *calls)
        self._run(pipeline)

    def claim_call(self, node: str, key: str) -> str | None:
        """Let a call of another gateway be handed over to this one; None when it is gone, or somebody else took it.

        It is among what was handed over even if this answer gets lost.
        """
        try:
            found = self._redis.eval(_CLAIM, 2, keys.call_records(node), keys.handed_over(self.node), key)
        except redis.RedisError as error:
            raise redis_failure(error) from error
        return cast("str | None", found)

    def ship_calls(self, asked: str, text: str) -> None:
        """Write which calls are running here, for who asked."""
        pipeline = self._redis.pipeline(transaction=False)
        name = keys.running_calls(asked)
        pipeline.hset(name, self.node, text)
        pipeline.expire(name, keys.ANSWER_KEPT_S)
        self._run(pipeline)

    def ship_traces(self, portions: Sequence[TracePortion], rings: TraceRings) -> None:
        """Write what is new of traced calls."""
        pipeline = self._redis.pipeline(transaction=False)
        trace_link.put(pipeline, portions, rings)
        self._run(pipeline)

    def trim_traces(self, rings: TraceRings, now: float) -> None:
        """Forget traces that are too old or too many; ``now`` is in seconds since the epoch."""
        try:
            trace_link.trim(self._redis, rings, now)
        except redis.RedisError as error:
            raise redis_failure(error) from error

    def exchange_trunks(self, view: str) -> tuple[dict[str, str], float]:
        """Write how this node sees trunks; return how all nodes do, this one included, and the time of Redis."""
        pipeline = self._redis.pipeline(transaction=False)
        write_stamped(pipeline, keys.TRUNKS, self.node, view)
        read_stamped(pipeline, keys.TRUNKS)
        _, found, time = self._run(pipeline)
        return cast("dict[str, str]", found), seconds(time)

    def exchange_bans(
        self, new: Mapping[str, str], over: Sequence[str], trusted: Sequence[str]
    ) -> tuple[dict[str, str], RedisRefused | None]:
        """Write bans by address, remove those that are over, say who is never banned.

        Returns the bans of all, and why Redis did not take what was written, if so.
        """
        pipeline = self._redis.pipeline(transaction=False)
        if new:
            pipeline.hset(keys.BANS, mapping=cast("Any", dict(new)))
        if over:
            pipeline.hdel(keys.BANS, *over)
        pipeline.set(keys.BANS_TRUSTED, msgspec.json.encode(trusted))
        pipeline.hgetall(keys.BANS)
        *written, found = self._run(pipeline, raise_on_error=False)
        if isinstance(found, redis.RedisError):
            raise redis_failure(found)
        refusals = (RedisRefused(str(reply)) for reply in written if isinstance(reply, redis.RedisError))
        return cast("dict[str, str]", found), next(refusals, None)

    def exchange(self, issuers: Sequence[str], now: float) -> Heard:
        """Return the commands since the last time and what others have changed, in one round trip.

        After a start the stream is read from the last position, but from a token's lifetime ago at the latest, because
        what was revoked must be known again, all of it at once; calls of before are none, and commands to end them are
        left out.  ``done`` keeps the position.
        """
        if not self._position.at:
            self._begin_commands()
        pipeline = self._redis.pipeline(transaction=False)
        self._continuity.read(pipeline)
        pipeline.xread({keys.COMMANDS: self._position.at}, count=COMMANDS_AT_ONCE)
        pipeline.xrevrange(keys.COMMANDS, count=1)
        pipeline.time()
        for issuer in issuers:
            pipeline.get(keys.jwks(issuer))
        pipeline.smembers(keys.DRAINED)
        pipeline.get(keys.ROUTING_VERSION)
        pipeline.hgetall(keys.handed_over(self.node))
        mark, streams, newest, time, *key_sets, drained, routing_version, handed_over = self._run(pipeline)
        self._continuity.found(mark)
        entries = latest = _entries(streams)
        if is_back := self._position.follow(newest[0][0] if newest else None, seconds(time)):
            entries = latest = self._commands_after(self._position.at)
        while len(latest) == COMMANDS_AT_ONCE and (is_back or self._position.is_old(latest[-1][0])):
            latest = self._commands_after(latest[-1][0])
            entries = [*entries, *latest]
        commands: list[Command] = []
        for identifier, fields in entries:
            if not self._position.is_new(identifier):
                continue
            command = command_from_text(fields.get(keys.STREAM_FIELD, ""), order_of(identifier)[0] / 1000)
            is_old = self._position.is_old(identifier)
            if command is not None and not (
                is_old and isinstance(command, EndCalls | ListCalls | EndRegistration)
            ):
                commands.append(command)
        commands += self._orders.read(now)
        found = {issuer: text for issuer, text in zip(issuers, key_sets, strict=True) if text}
        return Heard(commands, found, set(drained), int(routing_version or 0), dict(handed_over))

    def routing_rest(self, version: int) -> str | None:
        """Return a routing table without its rows; None: it was replaced meanwhile."""
        try:
            return cast("str | None", self._redis.get(keys.routing_rest(version)))
        except redis.RedisError as error:
            raise redis_failure(error) from error

    def routing_rows(self, version: int, portion: int) -> str | None:
        """Return one portion of a routing table's rows, counted from 0; None: there are no more."""
        try:
            return cast("str | None", self._redis.lindex(keys.routing_rows(version), portion))
        except redis.RedisError as error:
            raise redis_failure(error) from error

    def account_identities(self, cursor: int) -> tuple[int, list[tuple[str, list[str]]]]:
        """Return some accounts' private and public identities, and the cursor for the next ones; 0 begins and ends."""
        try:
            following, texts = cast(
                "tuple[int, dict[str, str]]",
                self._redis.hscan(keys.WEB_ACCOUNTS, cursor, count=ACCOUNTS_AT_ONCE),
            )
        except redis.RedisError as error:
            raise redis_failure(error) from error
        accounts = _decoded(texts, _Identities).values()
        return int(following), [(account.impi, account.impus) for account in accounts]

    def done(self) -> None:
        """Keep the position: the commands returned so far have been carried out."""
        try:
            self._redis.set(keys.position(self.node), self._position.at)
        except redis.RedisError as error:
            raise redis_failure(error) from error

    def _begin_commands(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(keys.position(self.node))
        pipeline.time()
        kept, time = self._run(pipeline)
        self._position.begin(kept, seconds(time))

    def _commands_after(self, position: str) -> list[tuple[str, dict[str, str]]]:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xread({keys.COMMANDS: position}, count=COMMANDS_AT_ONCE)
        return _entries(self._run(pipeline)[0])

    def _run(self, pipeline: Any, *, raise_on_error: bool = True) -> list[Any]:
        try:
            return cast("list[Any]", pipeline.execute(raise_on_error))
        except redis.RedisError as error:
            raise redis_failure(error) from error


def _entries(streams: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the entries of XREAD's answer: one stream was asked for, and an entry removed meanwhile has no fields."""
    return [(identifier, fields or {}) for _, entries in streams or [] for identifier, fields in entries]


def _decoded(texts: Mapping[str, str], kind: type[Any]) -> dict[str, Any]:
    found = {}
    for key, text in texts.items():
        with suppress(msgspec.MsgspecError):
            found[key] = msgspec.json.decode(text, type=kind)
    return found
