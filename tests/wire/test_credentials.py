"""User, password and session ref go to hosts whose certificate was verified, and to no other.

Real TLS on loopback. Hosts keep every byte that they receive, before and after decryption.
"""

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from recorder.client.session import Session
from recorder.config import Config, Limits, Pool, Tls
from recorder.errors import CertificateRefused, XapiFault, XentrailError
from recorder.journal.scan import scan
from recorder.model import Draft, Mark, MarkName
from recorder.service.daemon import Seams, opener_of, serve
from recorder.threads import inline
from tests.fakes import PASSWORD, SESSION, Answer, FakeHost, serve_http, slave_of
from tests.watch.scripted import ScriptedPool
from tests.wire.test_transport_sockets import fingerprint_of

CONNECTED = MarkName.CONNECTED
CA = trustme.CA()
OTHER_CA = trustme.CA()
GOOD, EVIL = "127.0.0.1", "127.0.0.2"
GOOD_LEAF = CA.issue_cert(GOOD)
LIMITS = Limits(connect_timeout_s=10.0)


@dataclass
class Wire(trio.abc.Stream):
    """Keeps what comes in."""

    inner: trio.abc.Stream
    heard: bytearray

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.inner.receive_some(max_bytes))
        self.heard += data
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class TlsHost:
    """A host with a certificate; `raw` is what it received, `plain` what was in it.

    With `moved` it answers everything by that status, and a Location.
    """

    leaf: trustme.LeafCert
    answer: Answer
    moved: tuple[int, str] | None = None
    connections: int = 0
    raw: bytearray = field(default_factory=bytearray)
    plain: bytearray = field(default_factory=bytearray)

    async def serve(self, nursery: trio.Nursery, ip: str, port: int = 0) -> int:
        """Serve until the nursery ends; return the port."""
        serve = partial(trio.serve_tcp, self._handle, port, host=ip)
        listeners = await nursery.start(serve)
        return int(listeners[0].socket.getsockname()[1])

    async def _handle(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.leaf.configure_cert(context)
        wire = Wire(stream, self.raw)
        secure = trio.SSLStream(wire, context, server_side=True, https_compatible=True)
        try:
            await secure.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(secure)
            return
        wire = Wire(secure, self.plain)
        await (serve_http(wire, self.answer) if self.moved is None else self._send_away(wire))

    async def _send_away(self, wire: Wire) -> None:
        assert self.moved is not None
        status, location = self.moved
        while PASSWORD.encode() not in self.plain:
            await wire.receive_some()
        head = f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        await wire.send_all(head.encode())
        await trio.aclose_forcefully(wire)

    def check_heard_nothing(self) -> None:
        """It was connected to, and told nothing but the handshake."""
        assert self.connections > 0, "the host was never tried: this shows nothing"
        assert self.plain == b""
        for secret in (b"POST", b"root", PASSWORD.encode(), SESSION.encode()):
            assert secret not in self.raw


@dataclass(frozen=True)
class Case:
    """How certificates are checked, and the certificate that must not pass."""

    tls: Callable[[Path], Tls]
    leaf: trustme.LeafCert
    why: str


def by_ca(folder: Path) -> Tls:
    CA.cert_pem.write_to_path(str(folder / "ca.pem"))
    return Tls(ca_file=folder / "ca.pem")


def by_pin(_folder: Path) -> Tls:
    return Tls(fingerprint=fingerprint_of(GOOD_LEAF))


CASES = {
    "another-than-pinned": Case(by_pin, CA.issue_cert(EVIL), "it is not the pinned one"),
    "another-authority": Case(by_ca, OTHER_CA.issue_cert(EVIL), "unable to get local issuer"),
    "another-name": Case(by_ca, CA.issue_cert(GOOD), "IP address mismatch"),
}


@dataclass
class Scene:
    """A good host, and one that shows a certificate which must not pass, at the same port."""

    tls: Tls
    good: TlsHost
    evil: TlsHost
    port: int

    def open(self, at: str, *members: str) -> AbstractAsyncContextManager[Session]:
        """Open a session as the recorder does, with a pool that is configured to be at `at`."""
        pool = Pool(name="lab", addresses=(f"https://{at}:{self.port}",), tls=self.tls)
        opener = opener_of(pool, LIMITS, Seams(password=lambda _pool: PASSWORD))
        return opener(members, False)

    async def failure(self, at: str, *members: str) -> XentrailError:
        """Return the error of a session that cannot be opened."""
        with pytest.raises(XentrailError) as caught:
            async with self.open(at, *members):
                pytest.fail("a session was opened")
        return caught.value


async def scene(
    nursery: trio.Nursery, tls: Tls, good: FakeHost, evil_leaf: trustme.LeafCert
) -> Scene:
    first = TlsHost(GOOD_LEAF, good.answer)
    second = TlsHost(evil_leaf, FakeHost().answer)
    port = await first.serve(nursery, GOOD)
    await second.serve(nursery, EVIL, port)
    return Scene(tls, first, second, port)


def booting(*_: object) -> object:
    raise XapiFault("HOST_STILL_BOOTING")


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


async def test_configured_host_with_a_wrong_certificate_hears_nothing(
    case: Case, nursery: trio.Nursery, tmp_path: Path
) -> None:
    """The configuration names the address, and still the certificate decides."""
    one = await scene(nursery, case.tls(tmp_path), FakeHost(), case.leaf)
    assert case.why in str(await one.failure(EVIL))
    one.evil.check_heard_nothing()


async def test_named_master_with_a_wrong_certificate_hears_nothing(
    case: Case, nursery: trio.Nursery, tmp_path: Path
) -> None:
    """A good host says that its master is there: the certificate is checked as any other."""
    good = FakeHost({"session.login_with_password": slave_of(EVIL)})
    one = await scene(nursery, case.tls(tmp_path), good, case.leaf)
    assert case.why in str(await one.failure(GOOD))
    assert PASSWORD.encode() in one.good.plain
    one.evil.check_heard_nothing()


async def test_member_with_a_wrong_certificate_hears_nothing(
    case: Case, nursery: trio.Nursery, tmp_path: Path
) -> None:
    """The records of the pool name the address: it is tried, and told nothing."""
    good = FakeHost({"session.login_with_password": booting})
    one = await scene(nursery, case.tls(tmp_path), good, case.leaf)
    assert case.why in str(await one.failure(GOOD, EVIL))
    assert PASSWORD.encode() in one.good.plain
    one.evil.check_heard_nothing()


async def test_host_that_changes_its_certificate_does_not_hear_the_session(
    case: Case, nursery: trio.Nursery, tmp_path: Path
) -> None:
    """Every connection of a session is checked anew, for the ref is as good as a password."""
    one = await scene(nursery, case.tls(tmp_path), FakeHost(), case.leaf)
    async with one.open(GOOD) as session:
        heard = bytes(one.good.plain)
        one.good.leaf = OTHER_CA.issue_cert(GOOD)
        with pytest.raises(CertificateRefused):
            async with session.open_line() as line:
                await line.current_id()
        assert one.good.plain == heard
        assert one.good.connections >= 2


REDIRECTS = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
async def test_redirect_is_not_followed(status: int, nursery: trio.Nursery, tmp_path: Path) -> None:
    """A good host sends us elsewhere, where the certificate is good, too: nobody goes there."""
    one = await scene(nursery, by_ca(tmp_path), FakeHost(), CA.issue_cert(EVIL))

    one.good.moved = status, f"https://{EVIL}:{one.port}/jsonrpc"
    assert f"answers HTTP {status}" in str(await one.failure(GOOD))
    assert one.evil.connections == 0


@pytest.mark.parametrize("verify", [True, False])
async def test_mark_of_a_connection_says_whether_its_certificate_was_verified(
    verify: bool, nursery: trio.Nursery, tmp_path: Path
) -> None:
    """With `verify = false` any certificate will do, and the journal says so for ever."""
    tls = by_ca(tmp_path) if verify else Tls(verify=False)
    leaf = GOOD_LEAF if verify else OTHER_CA.issue_cert("elsewhere")
    port = await TlsHost(leaf, ScriptedPool().host.answer).serve(nursery, GOOD)
    pool = Pool(name="lab", addresses=(f"https://{GOOD}:{port}",), tls=tls)
    connected = trio.Event()

    def observe(_seqs: range, drafts: Sequence[Draft]) -> None:
        if any(isinstance(one.body, Mark) and one.body.name is CONNECTED for one in drafts):
            connected.set()

    seams = Seams(
        run_sync=inline,
        observer=observe,
        password=lambda _pool: PASSWORD,
        watchdog_s=None,
        listen=None,
    )
    async with trio.open_nursery() as recorder:
        await recorder.start(partial(serve, Config(pools=(pool,)), tmp_path, seams=seams))
        with trio.fail_after(30):
            await connected.wait()
        recorder.cancel_scope.cancel()
    bodies = [entry.body for entry in scan(tmp_path / "journal")]
    (mark,) = [one for one in bodies if isinstance(one, Mark) and one.name is CONNECTED]
    assert mark.detail["tls_verified"] is verify
