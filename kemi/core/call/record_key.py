"""What the record of a call is called."""

from __future__ import annotations

from typing import Final

INCOMING_TAG: Final = "gw-in-"
"""Begins our tags of calls towards pages.  A page could begin its own so, and would only lose its own call."""


def record_key(call_id: str, own_tag: str) -> str:
    """Return the name of the record a message belongs to.

    ``own_tag`` is ours in it, where the call goes towards a page: To-tag of requests, From-tag of responses.  Forks of
    one INVITE to several pages, and a call from page to page, have one Call-ID and a record each; such a call's own
    tag stands in every message, so the name needs no search.  The record of a call from a page has its Call-ID.
    """
    return f"{call_id};{own_tag}" if own_tag.startswith(INCOMING_TAG) else call_id
