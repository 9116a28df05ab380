"""Streams to hosts: TLS, TCP or a unix socket. All sockets of the client are opened here."""

import hashlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable

import trio

from .address import Address
from .tls import UNCHECKED, Presented, TlsPolicy
from .tlsstream import TlsStream

Dial = Callable[[Address], Awaitable[trio.abc.Stream]]
"""Opens a stream to an address, TLS included. Raises OSError or TransportError."""


async def dial_directly(address: Address, tls: TlsPolicy) -> trio.abc.Stream:
    """Open a stream to an address, its certificate checked; the caller closes it.

    Raises OSError, BrokenResourceError, CertificateRefused.
    """
    if address.scheme == "unix":
        return await trio.open_unix_socket(address.path)
    stream = await trio.open_tcp_stream(address.host, address.port)
    if address.scheme == "http":
        return stream
    secure = TlsStream(stream, tls.context(), host=address.host)
    try:
        await secure.do_handshake()
        tls.check(address, secure.certificate())
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(secure)
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            presented = await _presented_if_any(address)
            raise tls.refusal(address, error.__cause__.verify_message, presented) from error
        raise
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return secure


async def presented(address: Address) -> Presented:
    """Take what a host shows without checking it; nothing is sent on that connection.

    Raises OSError, BrokenResourceError.
    """
    stream = await trio.open_tcp_stream(address.host, address.port)
    secure = TlsStream(stream, UNCHECKED.context(), host=address.host)
    try:
        await secure.do_handshake()
        return Presented(secure.certificate())
    finally:
        await trio.aclose_forcefully(secure)


async def _presented_if_any(address: Address) -> bytes | None:
    """Return the SHA-256 digest of what a host shows, for the message that refuses it.

    A failed handshake does not give the certificate away, so this asks again without checking.
    """
    try:
        return hashlib.sha256((await presented(address)).der).digest()
    except (OSError, trio.BrokenResourceError):
        # The refusal is reported either way; it only loses the fingerprint.
        return None


def reason_of(error: OSError) -> str:
    """Say in words why no connection was made; trio wraps one error an IP address tried."""
    if isinstance(error.__cause__, BaseExceptionGroup):
        first = error.__cause__.exceptions[0]
        return reason_of(first) if isinstance(first, OSError) else str(first)
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror or str(error)


def why(error: BaseException) -> str:
    """Say what is under a broken stream."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({cause.reason or cause})"
    if isinstance(cause, OSError):
        return reason_of(cause)
    return "the host closed it"
