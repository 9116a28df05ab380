"""Which certificate a host may show, and what to say when it shows another.

XenServer certificates are self-signed, so a pinned SHA-256 fingerprint is the usual policy; a CA
file or the system's authorities serve pools that have real certificates.
"""

import hashlib
import hmac
import re
import ssl
from functools import lru_cache
from pathlib import Path

import msgspec

from ..errors import CertificateRefused, ConfigError
from .address import Address


class TlsPolicy(msgspec.Struct, frozen=True):
    """How a certificate is checked: at most one of the three; none means the system's authorities.

    `fingerprint` is the SHA-256 of the certificate in hex, with or without colons; every host of a
    pool has its own certificate, so several may be given, separated by commas. Raises ConfigError
    if it cannot be used.
    """

    ca_file: Path | None = None
    fingerprint: str | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        """Check that the policy says one thing."""
        if sum([self.ca_file is not None, self.fingerprint is not None, not self.verify]) > 1:
            raise ConfigError("give one of tls.ca_file, tls.fingerprint and tls.verify = false")
        _ = self.digests

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Return the pinned SHA-256 digests, 32 bytes each."""
        if self.fingerprint is None:
            return ()
        return tuple(_digest_of(part) for part in self.fingerprint.split(","))

    @property
    def expected(self) -> str:
        """Return what this policy wants to see, for people."""
        if self.fingerprint is not None:
            return "sha-256 " + " or ".join(shown(digest) for digest in self.digests)
        if self.ca_file is not None:
            return f"one signed by an authority in {self.ca_file}, for the name of this host"
        return "one signed by an authority that this system trusts, for the name of this host"

    def context(self) -> ssl.SSLContext:
        """Return the context for connections of this policy, one for all that check alike.

        A pinned certificate is compared by `check`, after the handshake and before the first byte
        is sent. Raises ConfigError if the CA file cannot be used; called at start, never later.
        """
        if self.fingerprint is not None or not self.verify:
            return _not_checking()
        return _checking(self.ca_file)

    def check(self, address: Address, certificate: bytes) -> None:
        """Compare the certificate (DER) with the pinned ones, in constant time.

        Raises CertificateRefused. Says nothing of policies that pin nothing: OpenSSL checks those.
        """
        presented = hashlib.sha256(certificate).digest()
        matches = [hmac.compare_digest(presented, digest) for digest in self.digests]
        if matches and not any(matches):
            raise self.refusal(address, "it is not the pinned one", presented)

    def refusal(self, address: Address, why: str, presented: bytes | None) -> CertificateRefused:
        """Return the error for a certificate whose SHA-256 digest is `presented`, if known."""
        was = "unknown" if presented is None else f"sha-256 {shown(presented)}"
        advice = "check tls.ca_file and the name in the address"
        if presented is not None:
            advice = (
                "if that is the fingerprint that the console of this host shows, write"
                f' tls.fingerprint = "{shown(presented)}"'
            )
        return CertificateRefused(
            f"certificate of {address} refused: {why}; presented: {was};"
            f" expected: {self.expected}; {advice}",
            why=why,
        )


UNCHECKED = TlsPolicy(verify=False)


class Presented(msgspec.Struct, frozen=True):
    """A certificate (DER) as a host shows it, trusted or not."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 fingerprint, as people compare it."""
        return shown(hashlib.sha256(self.der).digest())

    @property
    def begins_ns(self) -> int | None:
        """Since when it is valid, in nanoseconds since 1970; None if that cannot be read."""
        span = _span_of(self.der)
        return None if span is None else span[0]

    @property
    def ends_ns(self) -> int | None:
        """Until when it is valid, in nanoseconds since 1970; None if that cannot be read."""
        span = _span_of(self.der)
        return None if span is None else span[1]


def shown(digest: bytes) -> str:
    """Return a fingerprint as people compare it: `AB:CD:…`."""
    return digest.hex(":").upper()


def _span_of(der: bytes) -> tuple[int, int] | None:
    from cryptography import x509  # only a preflight reads dates: OpenSSL checks them by itself

    try:
        certificate = x509.load_der_x509_certificate(der)
        span = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        return None
    begins, ends = (int(at.timestamp()) * 10**9 for at in span)
    return begins, ends


@lru_cache(maxsize=64)
def _checking(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities of a file, or of this system (1 MB)."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.ca_file {ca_file}: it holds no certificate") from error
    except OSError as error:
        raise ConfigError(f"tls.ca_file {ca_file}: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@lru_cache(maxsize=1)
def _not_checking() -> ssl.SSLContext:
    """Return the one context of all policies that do not ask OpenSSL: it loads no authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _digest_of(text: str) -> bytes:
    digits = text.strip().replace(":", "")
    if not re.fullmatch("[0-9A-Fa-f]{64}", digits):
        raise ConfigError(
            f"tls.fingerprint: {text.strip()!r} is not a SHA-256 fingerprint (64 hex digits)"
        )
    return bytes.fromhex(digits)
