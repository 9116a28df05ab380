"""The real network: TLS, plain TCP and unix sockets on this machine."""

import datetime
import hashlib
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import trio
import trustme

from recorder.client.transport import Address, TlsPolicy, connect
from recorder.errors import CertificateRefused, ConfigError, TransportError
from tests.fakes import serve_http

CA = trustme.CA()
OTHER_CA = trustme.CA()
LEAF = CA.issue_cert("127.0.0.1")


def fingerprint_of(leaf: trustme.LeafCert) -> str:
    pem = leaf.cert_chain_pems[0].bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    return hashlib.sha256(der).hexdigest()


def shown(fingerprint: str) -> str:
    return bytes.fromhex(fingerprint).hex(":").upper()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


async def echo(path: str, body: bytes) -> tuple[int, str, bytes]:
    return 200, "text/plain", path.encode() + b" " + body


async def serve_tls(nursery: trio.Nursery, leaf: trustme.LeafCert = LEAF) -> Address:
    """Serve HTTPS on a free port; connections that fail the handshake are dropped."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)

    async def handle(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await secure.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(secure)
            return
        await serve_http(secure, echo)

    listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
    return Address("https", "127.0.0.1", listeners[0].socket.getsockname()[1])


async def ask(address: Address, tls: TlsPolicy) -> bytes:
    connection = await connect(address, tls, timeout_s=5, reply_bytes_max=1024)
    try:
        return await connection.post("/jsonrpc", "text/plain", b"hello", timeout_s=5)
    finally:
        await connection.aclose()


@pytest.fixture
async def address(nursery: trio.Nursery) -> Address:
    return await serve_tls(nursery)


async def test_connect_verifies_against_a_ca_file(address: Address, ca_file: Path) -> None:
    """A certificate that the CA file vouches for is accepted."""
    assert await ask(address, TlsPolicy(ca_file=ca_file)) == b"/jsonrpc hello"


@pytest.mark.parametrize("write", [str, str.upper, shown], ids=["hex", "upper", "colons"])
async def test_connect_accepts_the_pinned_certificate(
    address: Address, write: Callable[[str], str]
) -> None:
    """A pinned fingerprint is enough, however it is written."""
    policy = TlsPolicy(fingerprint=write(fingerprint_of(LEAF)))
    assert await ask(address, policy) == b"/jsonrpc hello"


async def test_connect_accepts_one_of_several_pinned_certificates(address: Address) -> None:
    """Every host of a pool has its own certificate: any of those listed will do."""
    policy = TlsPolicy(fingerprint=f"{'00' * 32}, {fingerprint_of(LEAF)}")
    assert await ask(address, policy) == b"/jsonrpc hello"


async def test_connect_checks_nothing_when_told_so(address: Address) -> None:
    """`verify = false` accepts any certificate."""
    assert await ask(address, TlsPolicy(verify=False)) == b"/jsonrpc hello"


async def test_connect_refuses_another_certificate_than_the_pinned_one(address: Address) -> None:
    """The refusal names the host, what came, what was expected and what to write."""
    came = shown(fingerprint_of(LEAF))
    with pytest.raises(CertificateRefused) as caught:
        await ask(address, TlsPolicy(fingerprint="ab" * 32))
    assert str(caught.value) == (
        f"certificate of {address} refused: it is not the pinned one; presented: sha-256 {came};"
        f" expected: sha-256 {shown('ab' * 32)}; if that is the fingerprint that the console of"
        f' this host shows, write tls.fingerprint = "{came}"'
    )
    assert not caught.value.retryable


async def test_connect_refuses_a_certificate_of_another_authority(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    """The fingerprint in the refusal is that of the certificate that was shown."""
    leaf = OTHER_CA.issue_cert("127.0.0.1")
    address = await serve_tls(nursery, leaf)
    with pytest.raises(CertificateRefused) as caught:
        await ask(address, TlsPolicy(ca_file=ca_file))
    came = shown(fingerprint_of(leaf))
    assert str(caught.value) == (
        f"certificate of {address} refused: unable to get local issuer certificate;"
        f" presented: sha-256 {came}; expected: one signed by an authority in {ca_file}, for the"
        " name of this host; if that is the fingerprint that the console of this host shows,"
        f' write tls.fingerprint = "{came}"'
    )


async def test_connect_refuses_a_self_signed_certificate_by_default(address: Address) -> None:
    """Without a policy the system's authorities decide, and they know nothing of this host."""
    with pytest.raises(CertificateRefused, match="one signed by an authority that this system"):
        await ask(address, TlsPolicy())


async def test_connect_refuses_an_expired_certificate(nursery: trio.Nursery, ca_file: Path) -> None:
    """A certificate of yesterday is refused, and the refusal says why."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    address = await serve_tls(nursery, CA.issue_cert("127.0.0.1", not_after=yesterday))
    with pytest.raises(CertificateRefused, match="refused: certificate has expired; presented"):
        await ask(address, TlsPolicy(ca_file=ca_file))


async def test_connect_refuses_a_certificate_for_another_name(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    """A good certificate of another host is not the certificate of this host."""
    address = await serve_tls(nursery, CA.issue_cert("xen2.lab"))
    with pytest.raises(CertificateRefused, match="IP address mismatch"):
        await ask(address, TlsPolicy(ca_file=ca_file))


async def test_connect_speaks_plain_http_on_loopback(nursery: trio.Nursery) -> None:
    """`http://` leads to a simulator on this machine."""
    serve = partial(trio.serve_tcp, partial(serve_http, answer=echo), 0, host="127.0.0.1")
    listeners = await nursery.start(serve)
    address = Address("http", "127.0.0.1", listeners[0].socket.getsockname()[1])
    assert await ask(address, TlsPolicy()) == b"/jsonrpc hello"


async def test_connect_speaks_over_a_unix_socket(nursery: trio.Nursery, tmp_path: Path) -> None:
    """`unix:` leads to the xapi of this machine."""
    bound = trio.socket.socket(trio.socket.AF_UNIX)
    await bound.bind(str(tmp_path / "xapi"))
    bound.listen()
    listener = trio.SocketListener(bound)
    nursery.start_soon(trio.serve_listeners, partial(serve_http, answer=echo), [listener])
    assert await ask(Address("unix", path=str(tmp_path / "xapi")), TlsPolicy()) == b"/jsonrpc hello"


async def test_connect_says_that_a_unix_socket_is_not_there(tmp_path: Path) -> None:
    """The error names the socket."""
    address = Address("unix", path=str(tmp_path / "xapi"))
    with pytest.raises(TransportError) as caught:
        await ask(address, TlsPolicy())
    assert str(caught.value) == (
        f"cannot reach unix:{tmp_path}/xapi: no such file or directory;"
        " check the address and that the host is up"
    )


async def test_connect_says_that_the_connection_was_refused() -> None:
    """The error names the address, the reason, and what to look at."""
    with trio.socket.socket() as bound:
        await bound.bind(("127.0.0.1", 0))
        address = Address("https", "127.0.0.1", bound.getsockname()[1])
        with pytest.raises(TransportError) as caught:
            await ask(address, TlsPolicy())
    assert caught.value.retryable
    assert str(caught.value) == (
        f"cannot reach {address}: connection refused; check the address and that the host is up"
    )


async def test_connect_says_that_a_name_cannot_be_resolved() -> None:
    """A typing error in a host name is told from a host that is down."""

    class Nobody(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object) -> NoReturn:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *_: object) -> NoReturn:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Nobody())
    with pytest.raises(TransportError) as caught:
        await ask(Address.parse("https://xen1.lab"), TlsPolicy())
    assert str(caught.value) == (
        "cannot reach https://xen1.lab:443: its name cannot be resolved;"
        " check the address and that the host is up"
    )


async def test_post_says_that_the_connection_was_reset(nursery: trio.Nursery) -> None:
    """A host that crashes in the middle of an answer resets the connection."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
    address = Address("http", "127.0.0.1", listeners[0].socket.getsockname()[1])
    with pytest.raises(TransportError) as caught:
        await ask(address, TlsPolicy())
    assert str(caught.value) == (f"lost the connection to {address}: connection reset by peer")


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [(b"", "UNEXPECTED_EOF_WHILE_READING"), (b"HTTP/1.1 400 Bad\r\n\r\n", "WRONG_VERSION_NUMBER")],
    ids=["closes", "plain-http"],
)
async def test_connect_says_that_tls_failed(
    nursery: trio.Nursery, greeting: bytes, reason: str
) -> None:
    """A port that accepts and then closes, or speaks no TLS, is a host that is not up."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        if greeting:
            await stream.send_all(greeting)
        await stream.aclose()

    listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
    address = Address("https", "127.0.0.1", listeners[0].socket.getsockname()[1])
    with pytest.raises(TransportError, match=rf"cannot reach .*: TLS failed \({reason}\); check"):
        await ask(address, TlsPolicy(verify=False))


def test_policy_refuses_to_say_two_things() -> None:
    """At most one way to check a certificate is given."""
    with pytest.raises(ConfigError) as caught:
        TlsPolicy(fingerprint="ab" * 32, verify=False)
    assert str(caught.value) == ("give one of tls.ca_file, tls.fingerprint and tls.verify = false")


def test_policy_refuses_what_is_no_fingerprint() -> None:
    """A SHA-1 fingerprint, or a typing error, is found before any connection."""
    with pytest.raises(ConfigError) as caught:
        TlsPolicy(fingerprint="ab" * 20)
    assert str(caught.value) == (
        f"tls.fingerprint: '{'ab' * 20}' is not a SHA-256 fingerprint (64 hex digits)"
    )


def test_context_says_why_a_ca_file_is_of_no_use(tmp_path: Path) -> None:
    """A CA file that is not there, or holds no certificate, is an error of the configuration."""
    missing = tmp_path / "missing.pem"
    with pytest.raises(ConfigError, match=f"^tls.ca_file {missing}: No such file or directory$"):
        TlsPolicy(ca_file=missing).context()
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigError, match=r"it holds no certificate$"):
        TlsPolicy(ca_file=tmp_path / "empty.pem").context()


def test_context_is_shared_and_modern(ca_file: Path) -> None:
    """One context serves all connections of a policy, and speaks TLS 1.2 at least."""
    policy = TlsPolicy(ca_file=ca_file)
    assert policy.context() is TlsPolicy(ca_file=ca_file).context()
    assert policy.context().minimum_version is ssl.TLSVersion.TLSv1_2
