"""HTTP/2, as far as it takes to see that somebody does not speak it."""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""How a client begins that takes its server for one that speaks it: RFC 9113 §3.4, with empty SETTINGS."""
