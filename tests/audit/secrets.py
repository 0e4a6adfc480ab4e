"""Secrets that were committed: detect-secrets looks at every file of the tree.

Its guesses by entropy are left out: a project about SIP, SDP and tokens is full of texts that look like secrets. Kinds
that are known by their form stay, and passwords written into the product's code.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from detect_secrets.core.plugins.initialize import from_plugin_classname
from detect_secrets.core.scan import scan_file
from detect_secrets.plugins.keyword import DENYLIST
from detect_secrets.settings import transient_settings

from tests.audit.advisories import ROOT
from tests.audit.findings import Finding

FORMS: Final = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector",
    "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "NpmDetector", "OpenAIDetector",
    "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
WORDS: Final = "KeywordDetector"
"""Finds ``password = "..."``; tests are full of such, of people who do not exist."""
_PRODUCT: Final = ("kemi/", "rtpengine/", "webapp_api/", "kamailio/", "ansible/", ".ci/")
_UNREAD: Final = (".png", ".svg", ".lock", "package-lock.json")


def tree() -> list[str]:
    """Return the files that are, or are about to be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if not name.endswith(_UNREAD) and (ROOT / name).is_file()]


def secrets_in(names: Iterable[str], root: Path = ROOT) -> list[Finding]:
    """Look at files; a finding never repeats the secret."""
    found = []
    for plugins, files in _portions(list(names)):
        with transient_settings({"plugins_used": [{"name": plugin} for plugin in plugins]}):
            patterns = _patterns(plugins)
            for name in files:
                text = (root / name).read_text(encoding="utf-8", errors="replace")
                # Line by line the whole tree takes half a minute, and most files have nothing of the kind.
                if not any(pattern.search(text) for pattern in patterns):
                    continue
                found += [
                    Finding(f"{one.type} {name}", f"line {one.line_number}", "looks like a secret")
                    for one in scan_file(str(root / name))
                ]
    return found


def _patterns(plugins: Iterable[str]) -> list[re.Pattern[str]]:
    """Return what a text matches somewhere in which one of the plugins finds something in a line."""
    patterns = []
    for name in plugins:
        if name == WORDS:
            patterns.append(re.compile(f"(?i)(?:{'|'.join(DENYLIST)})[^\\n]*[:=]"))
            continue
        forms: Iterable[re.Pattern[str]] = from_plugin_classname(name).denylist
        patterns += [re.compile(form.pattern, form.flags | re.MULTILINE) for form in forms]
    return patterns


def _portions(names: list[str]) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    product = [name for name in names if name.startswith(_PRODUCT) and "/test/" not in name]
    others = sorted(set(names) - set(product))
    return ((*FORMS, WORDS), product), (FORMS, others)
