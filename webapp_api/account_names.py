"""Login names: one spelling for each person; names of classes of users."""

import re
from typing import Final

USER_CLASS: Final = "[A-Za-z0-9_.-]{0,64}"
"""A pattern; "" is no class."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")


class LoginNameError(ValueError):
    """A text that is no login name."""


def login_name(text: str) -> str:
    """The one spelling of a login name; raises LoginNameError."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise LoginNameError(
            "a login name begins with a letter a-z or digit and has at most 64 of a-z, 0-9, dot, plus, minus, _"
        )
    return name
