"""A certificate authority of a test's own, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates for addresses; its files are in one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._signed = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, self._subject(name), self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}-ca.crt"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def certify(self, address: str) -> tuple[Path, Path]:
        """Return the paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = (
            self._builder(self._name, self._subject(address), key.public_key())
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._signed += (
            1  # of one address, too, each has files of its own: who has read one goes on showing it
        )
        stem = f"{self._name}-{address}-{self._signed}"
        paths = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].touch(mode=0o600)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def contexts(
        self, address: str, trusted: Authority | None = None
    ) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Return what somebody at an address listens and connects with; `trusted`: whose certificates it takes."""
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.load_cert_chain(*self.certify(address))
            context.load_verify_locations((trusted or self).path)
        server.verify_mode = ssl.CERT_REQUIRED
        client.check_hostname = False
        return server, client

    @staticmethod
    def _subject(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def _builder(
        self, issuer: str, subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._subject(issuer),
            subject_name=subject,
            public_key=public_key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _DAY,
            not_valid_after=now + 7 * _DAY,
        )
