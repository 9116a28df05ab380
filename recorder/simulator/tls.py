"""A self-signed certificate for a simulated pool, the same every time for the same seed.

Its private key can be computed by anybody: it is worth as much as the pool that it protects.
"""

import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(2099, 12, 31, tzinfo=UTC)


class Certificate(msgspec.Struct, frozen=True):
    """Certificate and key as PEM text; `fingerprint` is SHA-256 as openssl prints it (AA:BB:…)."""

    certificate_pem: str
    key_pem: str
    fingerprint: str

    def server_context(self) -> ssl.SSLContext:
        """Return a context for listeners. Writes the key to a temporary file for a moment."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            both = Path(folder, "both.pem")
            both.write_text(self.certificate_pem + self.key_pem, encoding="ascii")
            context.load_cert_chain(both)
        return context


def self_signed(name: str, *, seed: int, addresses: Sequence[str]) -> Certificate:
    """Make the certificate of a pool, good for `localhost` and the addresses of its hosts."""
    digest = hashlib.sha256(f"{name} {seed}".encode()).digest()
    key = ec.derive_private_key(int.from_bytes(digest) % (2**255), ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    hosts: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(address)) for address in addresses
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(digest[:8]) | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), *hosts]), critical=False
        )
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return Certificate(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )
