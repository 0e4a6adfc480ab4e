"""The operator: runs the playbooks against machines, as a person would, and reads what Ansible says of it."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.roles import REPOSITORY
from tests.provision.network import Network

ANSIBLE: Final = REPOSITORY / "ansible"
TIMEOUT_S: Final = 1500.0
_RECAP: Final = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+).*failed=(?P<failed>\d+)", re.M
)
_SSH: Final = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@dataclass(frozen=True, slots=True)
class Played:
    """How one run of a playbook went."""

    returncode: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all machines."""
        return sum(int(found["changed"]) for found in _RECAP.finditer(self.output))

    @property
    def changes(self) -> list[str]:
        """Name the tasks that changed something."""
        task, changes = "", []
        for line in self.output.splitlines():
            if found := re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\]", line):
                task = found[1]
            elif line.startswith("changed: "):
                changes.append(task)
        return changes


def make_certificate(folder: Path, *, names: str, name: str = "site") -> tuple[Path, Path]:
    """Write a self-signed certificate for names as openssl has them, "IP:192.0.2.1,DNS:gateway.test"; and its key."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "30", "-subj", "/CN=gateway", "-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Operator:
    """Who has an inventory, its secrets, and a release."""

    def __init__(
        self,
        network: Network,
        inventory: str,
        folder: Path,
        *,
        certificate_names: str,
        variables: Mapping[str, Any],
    ) -> None:
        """Make the secrets.

        Args:
            network: where the machines are.
            inventory: name of a folder in ansible/inventories.
            folder: a place for certificate and variables.
            certificate_names: whom the certificate is for, as `make_certificate` takes them.
            variables: what this site has beside or instead of what the inventory says.
        """
        self.network = network
        self.inventory = inventory
        self.folder = folder
        certificate, key = make_certificate(folder, names=certificate_names)
        self.environment = {
            "GATEWAY_FLOW_SECRET": secrets.token_hex(32),
            "GATEWAY_CONTROL_SECRET": secrets.token_hex(32),
            "GATEWAY_WEB_KEY_SECRET": secrets.token_hex(32),
            "GATEWAY_REDIS_PASSWORD": secrets.token_hex(32),
            "GATEWAY_CERTIFICATE": str(certificate),
            "GATEWAY_CERTIFICATE_KEY": str(key),
            # Networks have the same addresses: lines to one must not be taken for another's.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(network.lines),
            "ANSIBLE_FORKS": "8",
        }
        self.variables: dict[str, Any] = {
            "ansible_ssh_private_key_file": str(network.key),
            "ansible_ssh_common_args": _SSH,
            **variables,
        }

    def play(
        self,
        playbook: str = "site",
        *options: str,
        environment: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Played:
        """Run one playbook, with further variables for this time."""
        given = self.folder / "variables.json"
        given.touch(mode=0o600)
        given.write_text(json.dumps({**self.variables, **variables}))
        command = [
            *(sys.executable, "-m", "ansible", "playbook"),
            *("-i", f"inventories/{self.inventory}", f"playbooks/{playbook}.yml"),
            *("--extra-vars", f"@{given}", *options),
        ]
        done = subprocess.run(
            self.network.inside(*command),
            cwd=ANSIBLE,
            env={**os.environ, **self.environment, "ANSIBLE_FORCE_COLOR": "0", **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        output = done.stdout + done.stderr
        told = [value for name, value in self.environment.items() if name.endswith(("SECRET", "PASSWORD"))]
        assert not [secret for secret in told if secret in output], "the play tells a secret"
        return Played(done.returncode, output)
