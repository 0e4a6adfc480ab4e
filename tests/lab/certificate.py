"""A self-signed certificate for the lab's web origin."""

import subprocess
from pathlib import Path
from typing import Final

NAMES: Final = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def make_certificate(folder: Path) -> Path:
    """Write key and certificate for localhost into one PEM file, as HAProxy wants it; return its path."""
    key, certificate, both = folder / "site.key", folder / "site.crt", folder / "site.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext", NAMES),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    both.touch(mode=0o600)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both
