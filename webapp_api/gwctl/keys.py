"""`keys`: what signs access tokens."""

from __future__ import annotations

import time

import click
import msgspec

from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table, when
from webapp_api.keyring import signing_key


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key."""

    kid: str
    algorithm: str
    made_at: str
    signs_from: str
    state: str
    """signs, waits, or checks old tokens."""


class Keys(msgspec.Struct, frozen=True):
    """The published set, oldest first."""

    keys: list[Key]


class RotatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The next key."""

    kid: str
    algorithm: str
    signs_from: str


@click.group(cls=Group)
def keys() -> None:
    """Keys that sign access tokens."""


@command(keys, "list", Keys, "keys list")
@pass_place
def list_keys(place: Place) -> Answer:
    """Show the keys of the published set, oldest first."""
    now = time.time()
    keyring = place.web_login.keyring.keys()
    signing = signing_key(keyring, now)
    found = [
        Key(
            kid=key.kid,
            algorithm=key.algorithm,
            made_at=when(key.created_at),
            signs_from=when(key.signs_from),
            state="signs" if key == signing else "waits" if key.signs_from > now else "checks old tokens",
        )
        for key in keyring
    ]
    rows = [(key.kid, key.algorithm, key.made_at, key.state) for key in found]
    return Answer(Keys(found), table(("KEY", "ALGORITHM", "MADE", "STATE"), rows, "no keys yet"))


@command(keys, "rotate", RotatedKey, "keys rotate", note=note_change)
@pass_place
def rotate_keys(place: Place) -> Answer:
    """Make the next key now; the former one stays in the set until its last token has run out."""
    key = place.web_login.keyring.rotate()
    if key is None:
        raise click.ClickException("another process is making a key; try again")
    made = RotatedKey(kid=key.kid, algorithm=key.algorithm, signs_from=when(key.signs_from))
    return Answer(made, [f"{key.kid} {key.algorithm} signs from {made.signs_from}"])
