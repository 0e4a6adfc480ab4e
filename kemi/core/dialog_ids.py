"""Dialogs that a message names: Replaces, Join, Target-Dialog, also inside a Refer-To (RFC 3891, RFC 3911, RFC 4538).

A call of ours has one pair of tags towards the page and another one towards the core; the Call-ID is the same.  Whoever
names it uses the pair it knows, so the name is translated on its way.  A dialog that is not a call of the page in
question passes as it came: it is somebody else's, and nothing about it is told by the way it is treated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from kemi.core.call.record import CallRecord
from kemi.core.call.record_key import INCOMING_TAG, record_key
from kemi.core.errors import RemoteProtocolError
from kemi.core.identity import canonical
from kemi.core.messages import Side, address_parts, addresses_from_headers, readable_uri, uri_from_address
from kemi.core.trust import without_routing_parameters

_TAG_NAMES: Final = {
    "replaces": ("to-tag", "from-tag"),
    "join": ("to-tag", "from-tag"),
    "target-dialog": ("local-tag", "remote-tag"),
}
"""Header field, lower case, to its two tags; of Replaces and Join the first one is that of who gets it."""
REFER_TO: Final = "Refer-To"
NAMING_FIELDS: Final = ("Replaces", "Join", "Target-Dialog", REFER_TO)
_MENTIONED = re.compile(r"\n(?:replaces|join|target-dialog|refer-to|r)[ \t]*:", re.IGNORECASE)
_PARAMETER = re.compile(r"(;\s*)([\w-]+)(\s*=\s*)([^\s;,]+)", re.ASCII)
_UNESCAPED: Final = "-_.!~*'()[]/?:+$"
"""What stands in a header value of a URI as it is (RFC 3261 §25.1, hnv-unreserved and mark)."""


@dataclass(frozen=True, slots=True)
class DialogName:
    """A dialog as somebody names it."""

    call_id: str
    tags: tuple[str, str]
    """Of Replaces and Join first the tag of who gets the request."""


MAX_NAMED: Final = 8
"""Dialogs that one request names; each is a look into the calls."""

TagsOf = Callable[[DialogName], Mapping[str, str] | None]
"""The tags of a dialog on the other side, by those it is named by; None: no dialog that is to be translated."""


def mentions_dialog(head: str) -> bool:
    """Whether a message may name a dialog; ``head`` is its start line with its header fields."""
    return _MENTIONED.search(head) is not None


def translated(field: str, value: str, tags_of: TagsOf) -> str:
    """Return the value of one of NAMING_FIELDS as the other side knows the dialog, unchanged where it knows none."""
    if field.lower() == REFER_TO.lower():
        return _translated_target(value, tags_of)
    name = dialog_name(field, value)
    tags = tags_of(name) if name is not None else None
    if tags is None:
        return value
    wanted = _TAG_NAMES[field.lower()]

    def renamed(match: re.Match[str]) -> str:
        semicolon, key, equals, tag = match.groups()
        return f"{semicolon}{key}{equals}{tags.get(tag, tag) if key.lower() in wanted else tag}"

    return _PARAMETER.sub(renamed, value)


def dialog_name(field: str, value: str) -> DialogName | None:
    """Return the dialog a Replaces, Join or Target-Dialog names, None where it does not name exactly one."""
    call_id, _, rest = value.partition(";")
    first, second = _TAG_NAMES[field.lower()]
    found: dict[str, list[str]] = {first: [], second: []}
    for match in _PARAMETER.finditer(f";{rest}"):
        found.get(match.group(2).lower(), []).append(match.group(4))
    if not call_id.strip() or [len(tags) for tags in found.values()] != [1, 1]:
        return None
    return DialogName(call_id.strip(), (found[first][0], found[second][0]))


def _translated_target(value: str, tags_of: TagsOf) -> str:
    """Translate what the header fields of a Refer-To's URI name (RFC 3261 §19.1.1; RFC 3515 §2.1)."""
    addresses = addresses_from_headers([value])
    uri = uri_from_address(value)
    base, mark, fields = uri.partition("?")
    if len(addresses) != 1 or not mark:
        return value
    changed = "&".join(_translated_field(one, tags_of) for one in fields.split("&"))
    return value if changed == fields else value.replace(uri, f"{base}?{changed}", 1)


def _translated_field(text: str, tags_of: TagsOf) -> str:
    name, equals, escaped = text.partition("=")
    if unquote(name).lower() not in _TAG_NAMES:
        return text
    value = unquote(escaped)
    changed = translated(unquote(name), value, tags_of)
    return text if changed == value else f"{name}{equals}{quote(changed, safe=_UNESCAPED)}"


def facing_far_end(value: str, call_of: Callable[[DialogName], CallRecord | None]) -> str:
    """Return a page's Refer-To whose Replaces names first the tag of who gets it (RFC 3891 §3), else unchanged.

    JsSIP writes the two tags of a call that it has answered the other way round, so that whoever is referred would ask
    the far end for a dialog that it does not know.  The page's own tag comes first by right only where the page itself
    is to get the request: where the URI is one of its own.

    Args:
        value: The header field's value.
        call_of: The page's call that goes by a name, None for somebody else's.
    """
    uri = uri_from_address(value)
    base, mark, fields = uri.partition("?")
    if len(addresses_from_headers([value])) != 1 or not mark:
        return value
    changed = "&".join(_facing_far_end(one, base, call_of) for one in fields.split("&"))
    return value if changed == fields else value.replace(uri, f"{base}?{changed}", 1)


def _facing_far_end(text: str, base: str, call_of: Callable[[DialogName], CallRecord | None]) -> str:
    name, equals, escaped = text.partition("=")
    if unquote(name).lower() != "replaces":
        return text
    replaces = unquote(escaped)
    named = dialog_name("Replaces", replaces)
    record = call_of(named) if named is not None else None
    if named is None or record is None or named.tags != (record.wic_tag, record.gateway_tag):
        return text
    if canonical(base) in map(canonical, (record.owner, record.wic_uri, record.wic_contact)):
        return text
    other = dict(zip(named.tags, reversed(named.tags), strict=True))
    swapped = _PARAMETER.sub(
        lambda match: "".join((*match.groups()[:3], other.get(match.group(4), match.group(4)))), replaces
    )
    return f"{name}{equals}{quote(swapped, safe=_UNESCAPED)}"


def with_far_end(value: str, wic_contact: str, far_end_of: Callable[[DialogName], str]) -> str:
    """Return a page's Refer-To that has our own Contact with the address of who is behind it, else unchanged.

    RFC 5589 §7.3 has a page name the remote target of the call it transfers to, which is ours for every call; who is
    referred there knows nobody by it.

    Args:
        value: The header field's value.
        wic_contact: Our Contact towards pages, a URI.
        far_end_of: The URI of who is at the far end of a dialog that the page names, "" for none of its calls.
    """
    base, _, fields = uri_from_address(value).partition("?")
    if len(addresses_from_headers([value])) != 1 or _compared(base) != _compared(wic_contact):
        return value
    pairs = [one.partition("=") for one in fields.split("&")]
    named = [
        dialog_name(unquote(name), unquote(escaped))
        for name, _, escaped in pairs
        if unquote(name).lower() in ("replaces", "join")
    ]
    far_end = far_end_of(named[0]) if len(named) == 1 and named[0] is not None else ""
    if not far_end:
        return value
    address, parameters = address_parts(value)
    return f"{address.rpartition('<')[0]}<{far_end}?{fields}>{parameters}"


def _compared(uri: str) -> tuple[str, frozenset[str]]:
    """Return a URI of ours so that another spelling is the same: a page parses and writes it anew."""
    address, *parameters = uri.lower().split(";")
    return address.strip(), frozenset(parameters)


def far_end(record: CallRecord, realm: str) -> str:
    """Return by which URI a page has somebody else call the far end of a call: one that can have header fields, as a
    tel URI cannot, and without what the network alone says of a number."""
    return without_routing_parameters(readable_uri(record.target_uri.partition("?")[0], realm))


def check_named(known: int) -> None:
    """Raise RemoteProtocolError (400) when one more is too many."""
    if known >= MAX_NAMED:
        raise RemoteProtocolError(f"more than {MAX_NAMED} dialogs are named")


def record_keys(name: DialogName) -> Iterable[str]:
    """Return what the records of this dialog may be called; a call from page to page has two, the called one first."""
    tagged = [record_key(name.call_id, tag) for tag in name.tags if tag.startswith(INCOMING_TAG)]
    return dict.fromkeys([*tagged, name.call_id])


def tags_for(to: Side, record: CallRecord, name: DialogName) -> Mapping[str, str] | None:
    """Return the tags of this call on side ``to`` by those of the other side; None when the name is not this call's."""
    if record.ended or not record.wic_tag or not record.current_tag:
        return None
    if to is Side.IMS:
        ours, theirs = {record.wic_tag: record.ims_tag}, {record.gateway_tag: record.current_tag}
    else:
        ours, theirs = {record.ims_tag: record.wic_tag}, dict.fromkeys(record.legs, record.gateway_tag)
    one, other = name.tags
    fits = (one in ours and other in theirs) or (one in theirs and other in ours)
    return {**theirs, **ours} if fits else None
