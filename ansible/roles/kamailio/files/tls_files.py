"""Says what is wrong with files of trunks over TLS: tls_files.py CERTIFICATE KEY CA   Exit status 1: something is."""

import ssl
import sys
from pathlib import Path


def main() -> None:
    """Look."""
    certificate, key, authorities = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for path in (certificate, key, authorities):
        try:
            Path(path).read_bytes()
        except OSError as error:
            sys.exit(f"{path}: {error.strerror}")
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        sys.exit(f"{key} is no key for {certificate}, or has a password: {error}")
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        sys.exit(f"{authorities}: {error}")


if __name__ == "__main__":
    main()
