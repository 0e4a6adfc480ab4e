"""Certificates: what browsers and trunks are shown, and whether they will take it."""

from __future__ import annotations

import ipaddress
import itertools
import re
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.talk import certificate_of, http_get, reason_of

SOON: Final = timedelta(days=14)
_SAYS: Final = Doctor("certificates")
_RENEW: Final = "renew it, and reload the program that shows it"
_ROOT_LOOKS: Final = "run the doctor as root, or as a user who may read it"
_GAP: Final = "a certificate in between may be missing: the file needs the whole chain (fullchain.pem)"
_STRICT: Final = (
    "the chain is whole, and one in it, or the CA's own, lacks what RFC 5280 wants: "
    "docs/operators.md, A CA of your own"
)
_TLS_KEY: Final = re.compile(r"^\s*(certificate|private_key|ca_list)\s*=\s*(\S+)", re.MULTILINE)


async def certificates(host: Host) -> AsyncIterator[Diagnosis]:
    """Look at the files, and at what is shown."""
    for address, port, file in host.front_doors():
        if file:
            leaves = []
            for part in _parts(Path(file)):
                for found in _file(part, host.public_origins):
                    if isinstance(found, x509.Certificate):
                        leaves.append(found)
                    else:
                        yield found
            if host.public_origins:
                yield await _shown(address, port, urlsplit(host.public_origins[0]).netloc, leaves)
    async for one in _of_trunks(host):
        yield one


async def _of_trunks(host: Host) -> AsyncIterator[Diagnosis]:
    """Look at the files of Kamailio's tls.cfg, which it reads when it starts."""
    named = dict(_TLS_KEY.findall(host.tls))
    if "certificate" not in named:
        return
    file, key_file = named["certificate"], named.get("private_key", "")
    leaves = []
    for found in _file(Path(file), key_file=Path(key_file)):
        if isinstance(found, x509.Certificate):
            leaves.append(found)
        else:
            yield found
    if "ca_list" in named:
        yield _authorities(Path(named["ca_list"]))
    if host.gateway is not None and host.gateway.sip.tls_port:
        sip = host.gateway.sip
        subject = f"Kamailio {sip.address}:{sip.tls_port}, what it shows"
        try:
            shown = await certificate_of(sip.address, sip.tls_port, file, key_file)
        except (OSError, TimeoutError) as error:
            yield _SAYS.warning(subject, f"cannot be looked at: {reason_of(error)}")
            return
        yield _compared(subject, shown, leaves, "restart Kamailio: it read the file when it started")


def _authorities(path: Path) -> Diagnosis:
    """Judge those whose certificates Kamailio takes of trunks: of many that a system trusts some may be old."""
    subject = f"{path}, dates"
    try:
        known = x509.load_pem_x509_certificates(path.read_bytes())
    except PermissionError:
        return _SAYS.warning(str(path), "cannot be read by this user", _ROOT_LOOKS)
    except (OSError, ValueError) as error:
        return _SAYS.error(str(path), getattr(error, "strerror", None) or str(error), "put it there")
    now = datetime.now(UTC)
    ending = [one for one in known if one.not_valid_after_utc - now < SOON]
    told = ", ".join(
        f"{one.subject.rfc4514_string()} valid until {one.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        for one in ending[:3]
    )
    if all(one.not_valid_after_utc < now for one in known):
        return _SAYS.error(subject, f"all expired: {told}", "get the new ones of the carriers' authorities")
    if ending:
        return _SAYS.warning(subject, f"{len(ending)} of {len(known)} expired, or soon: {told}")
    first = min(one.not_valid_after_utc for one in known)
    return _SAYS.ok(subject, f"valid until {first:%Y-%m-%dT%H:%M:%SZ}")


def _parts(path: Path) -> list[Path]:
    """Return the file, or where it is not there those that HAProxy takes in its place, one for each kind of key."""
    there = set()
    with suppress(OSError):  # who reads the file says so
        there = {one.name for one in path.parent.iterdir()}
    parts = [path.with_name(f"{path.name}.{kind}") for kind in ("rsa", "ecdsa", "dsa")]
    return [path] if path.name in there else [one for one in parts if one.name in there] or [path]


def _file(
    path: Path, origins: Sequence[str] = (), *, key_file: Path | None = None
) -> Iterator[Diagnosis | x509.Certificate]:
    """Judge a file with certificate, chain and, unless that has a file of its own, key.

    ``origins``: browsers must trust it for one of them; empty: it is for trunks, or nobody says whom it is for.
    """
    subject = str(path)
    try:
        pem = path.read_bytes()
        key_pem = key_file.read_bytes() if key_file else pem
    except PermissionError as error:
        yield _SAYS.warning(error.filename or subject, "cannot be read by this user", _ROOT_LOOKS)
        return
    except OSError as error:
        yield _SAYS.error(error.filename or subject, error.strerror or str(error), "put it there")
        return
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        yield _SAYS.error(subject, f"no certificate in it: {error}")
        return
    leaf = chain[0]
    yield leaf
    yield _dates(subject, leaf)
    hosts = [urlsplit(origin).hostname or "" for origin in origins]
    fitting = [host for host in hosts if _is_for(leaf, host)]
    if hosts:
        yield _names(subject, leaf, fitting, hosts)
    yield _key(subject, leaf, key_pem)
    yield _chain(subject, chain, [*fitting, *hosts, ""][0])


def _dates(subject: str, leaf: x509.Certificate) -> Diagnosis:
    now, end = datetime.now(UTC), leaf.not_valid_after_utc
    told = f"valid until {end:%Y-%m-%dT%H:%M:%SZ}"
    if now > end:
        return _SAYS.error(f"{subject}, dates", f"expired on {end:%Y-%m-%dT%H:%M:%SZ}", _RENEW)
    if now < leaf.not_valid_before_utc:
        begin = f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
        return _SAYS.error(f"{subject}, dates", f"valid from {begin} on only", "is the clock right?")
    if end - now < SOON:
        return _SAYS.warning(f"{subject}, dates", told, _RENEW)
    return _SAYS.ok(f"{subject}, dates", told)


def _alternatives(leaf: x509.Certificate) -> tuple[list[str], list[str]]:
    """Return the names and the addresses that a certificate is for; raises ExtensionNotFound."""
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = [one.lower() for one in names.get_values_for_type(x509.DNSName)]
    return dns, [str(one) for one in names.get_values_for_type(x509.IPAddress)]


def _is_for(leaf: x509.Certificate, host: str) -> bool:
    try:
        dns, addresses = _alternatives(leaf)
    except x509.ExtensionNotFound:
        return False
    return host.lower() in (*dns, *addresses) or f"*.{host.lower().partition('.')[2]}" in dns


def _names(subject: str, leaf: x509.Certificate, fitting: list[str], hosts: list[str]) -> Diagnosis:
    if fitting:
        return _SAYS.ok(f"{subject}, names", f"is for {fitting[0]}")
    wanted = " or ".join(hosts)
    try:
        told = ", ".join(itertools.chain(*_alternatives(leaf))) or "nobody"
    except x509.ExtensionNotFound:
        reason = "has no subjectAltName: no browser takes it"
        return _SAYS.error(f"{subject}, names", reason, f"get one for {wanted}")
    return _SAYS.error(
        f"{subject}, names",
        f"is for {told}, and pages are at {wanted} (public_origin, origins): browsers refuse it",
        f"get one for {wanted}",
    )


def _key(subject: str, leaf: x509.Certificate, pem: bytes) -> Diagnosis:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        return _SAYS.error(f"{subject}, key", f"cannot be read: {str(error).partition('.')[0]}")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return _SAYS.error(
            f"{subject}, key", "is another one's than the certificate's", "put the right one there"
        )
    return _SAYS.ok(f"{subject}, key", "is the certificate's")


def _chain(subject: str, chain: list[x509.Certificate], name: str) -> Diagnosis:
    subject = f"{subject}, chain"
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            who = upper.subject.rfc4514_string()
            return _SAYS.error(
                subject, f"{who} did not issue the one above it", "leaf first, then who issued it"
            )
    leaf = chain[0]
    if leaf.issuer == leaf.subject:
        reason = "signed by itself: browsers ask their user, and pages of others do not connect"
        return (
            _SAYS.warning(subject, reason, "get one of a certificate authority")
            if name
            else _SAYS.ok(subject, "signed by itself")
        )
    if not name:
        return _SAYS.ok(subject, f"issued by {leaf.issuer.rfc4514_string()}")
    return _trusted(subject, chain, name)


def _trusted(subject: str, chain: list[x509.Certificate], name: str) -> Diagnosis:
    """Judge as a browser does, with the roots of this machine."""
    roots = _roots()
    issuer = chain[0].issuer.rfc4514_string()
    if not roots:
        return _SAYS.warning(subject, f"issued by {issuer}; this machine has no roots to judge it by")
    try:
        whose: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        whose = x509.DNSName(name)
    # Dates have been judged; here it is about who issued whom.
    at = max(chain[0].not_valid_before_utc, min(datetime.now(UTC), chain[0].not_valid_after_utc))
    try:
        verifier = PolicyBuilder().store(Store(roots)).time(at).build_server_verifier(whose)  # type: ignore[arg-type]
        verifier.verify(chain[0], chain[1:])
    except VerificationError as error:
        known = any(_has_issued(root, chain[-1]) for root in roots)
        hint = "" if known and not _is_for(chain[0], name) else _STRICT if known else _GAP
        return _SAYS.warning(subject, f"issued by {issuer}, and not trusted here: {error}", hint)
    return _SAYS.ok(subject, f"issued by {issuer}, trusted")


def _has_issued(root: x509.Certificate, other: x509.Certificate) -> bool:
    try:
        other.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _roots() -> list[x509.Certificate]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old roots are not ours to mend
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    return found


async def _shown(address: str, port: int, name: str, leaves: list[x509.Certificate]) -> Diagnosis:
    subject = f"HAProxy {address}:{port}, what it shows"
    try:
        answer = await http_get(address, port, "/healthz", name, tls=True)
    except (OSError, TimeoutError) as error:
        return _SAYS.error(subject, reason_of(error))
    return _compared(subject, answer.certificate, leaves, "systemctl reload haproxy")


def _compared(subject: str, der: bytes, leaves: list[x509.Certificate], suggestion: str) -> Diagnosis:
    """Compare what a program shows with what is in its file."""
    shown = x509.load_der_x509_certificate(der)
    if leaves and shown not in leaves:
        until = f"{shown.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        reason = f"another certificate than in the file, valid until {until}"
        return _SAYS.error(subject, reason, suggestion)
    if datetime.now(UTC) > shown.not_valid_after_utc:
        return _SAYS.error(subject, "an expired certificate", _RENEW)
    return _SAYS.ok(subject, "the one in the file" if leaves else "a certificate that is valid")
