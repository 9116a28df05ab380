"""A TLS server with a certificate of any age before a plain one, which it lets us listen in to."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Front:
    """A TLS server with a certificate of its own before a plain one; it keeps what it is sent."""

    url: str
    fingerprint: str
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def tls_front(behind: str, folder: Path, *, ends: datetime) -> Iterator[Front]:
    """Serve TLS with a certificate that ends then, and hand everything on to `behind`."""
    pem, fingerprint = certificate(ends)
    (folder / "front.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "front.pem")
    host, _, port = behind.removeprefix("http://").partition(":")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        front = Front(f"https://127.0.0.1:{listener.getsockname()[1]}", fingerprint)

        def serve(plain: socket.socket) -> None:
            try:
                with (
                    context.wrap_socket(plain, server_side=True) as client,
                    socket.create_connection((host, int(port))) as server,
                ):
                    threading.Thread(target=pump, args=(server, client), daemon=True).start()
                    pump(client, server, front.heard)
            except OSError:
                plain.close()  # who only looks at the certificate hangs up without a word

        def accept() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(plain,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield front
        listener.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, sink: socket.socket, heard: list[bytes] | None = None) -> None:
    try:
        while data := source.recv(65536):
            if heard is not None:
                heard.append(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # either side went away: so does the other


def certificate(ends: datetime) -> tuple[bytes, str]:
    """Return a self-signed certificate with its key as PEM, and its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "front")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, signed.fingerprint(hashes.SHA256()).hex(":").upper()
