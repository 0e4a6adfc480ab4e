"""Ansible's own way to tell what it does, without the secrets that `--diff` of a settings file would show."""

import re
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
name: without_secrets
type: stdout
short_description: the default output, with secrets in differences masked
description: As ansible.builtin.default; what settings files call a secret or a password is shown as stars.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""
# How the files that our roles write have them: TOML, redis.conf, sentinel.conf, haproxy.cfg, URLs.
SECRETS = [
    re.compile(pattern)
    for pattern in (
        r'((?:secret|password)\s*=\s*")(?:[^"\\]|\\.)+',
        r"\b((?:requirepass|masterauth|sentinel-pass|auth-pass\s+\S+)\s+)\S+",
        r"(\buser\s+default\s.*?#)[0-9a-f]{64}",
        r"(\bBearer\s+)[^\x1b\n]+",
        r'(://[^:@/\s"]*:)[^@\s"]+(?=@)',
        r'([?&](?:sentinel_)?password=)[^&"\s]+',
    )
]


def without_secrets(text: str) -> str:
    """Return a text with stars for what settings files call secret."""
    for secret in SECRETS:
        text = secret.sub(r"\1***", text)
    return text


class CallbackModule(Default):
    """Tells it."""

    CALLBACK_NAME = "without_secrets"

    def _get_diff(self, difflist: Any) -> str:
        return without_secrets(super()._get_diff(difflist))
