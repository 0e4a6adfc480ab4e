"""Says what is wrong with files of trunks over TLS: tls_files.py CERTIFICATE KEY CA ACCOUNT

Exit status 1: something is.  Whether the account can read them is judged by root, where there is such an account.
"""

import os
import pwd
import ssl
import sys
from pathlib import Path

# From a service with ProtectHome.
HIDDEN = ("/home", "/root", "/run/user")


def look_as(account: str, *paths: str) -> None:
    """End the program unless this account, as a service, can read the files."""
    try:
        who = pwd.getpwnam(account)
    except KeyError:
        return  # before the first run: the role looks again when it is there
    if os.geteuid() != 0:
        return
    for path in paths:
        if any(Path(path).resolve().is_relative_to(home) for home in HIDDEN):
            sys.exit(f"{path} is in a home, which the service does not see")
    os.initgroups(account, who.pw_gid)
    os.setgid(who.pw_gid)
    os.setuid(who.pw_uid)
    for path in paths:
        try:
            Path(path).read_bytes()
        except OSError as error:
            sys.exit(f"{path} cannot be read by {account}: {error.strerror}")


def main() -> None:
    """Look."""
    certificate, key, authorities, account = sys.argv[1:]
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
    look_as(account, certificate, key, authorities)


if __name__ == "__main__":
    main()
