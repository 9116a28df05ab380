"""HTTP to a host: whole answers, or an error that says what happened; never half of one."""

import contextlib

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from recorder.client import transport
from recorder.client.transport import Address, Connection, HttpRefused
from recorder.errors import ProtocolError, TransportError
from tests.fakes import NO_JSON
from tests.wire.golden import CLIENT

HOST = Address.parse("https://xen1")
REPLY_BYTES_MAX = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"
)


class Script:
    """A host that sends one answer a request; after the last it closes, unless it `stays`."""

    def __init__(
        self, *answers: bytes, stays: bool = False, reply_bytes_max: int = REPLY_BYTES_MAX
    ) -> None:
        self._left = list(answers)
        self._stays = stays
        self._receive = trio.testing.MemoryReceiveStream()
        self.sent = trio.testing.MemorySendStream(send_all_hook=self._answer)
        stream = trio.StapledStream(self.sent, self._receive)
        self.connection = Connection(stream, HOST, reply_bytes_max=reply_bytes_max)

    async def _answer(self) -> None:
        if self._left:
            self._receive.put_data(self._left.pop(0))
        if not self._left and not self._stays:
            self._receive.put_eof()

    async def post(self, timeout_s: float | None = 5.0, ahead: bytes | None = None) -> bytes:
        return await self.connection.post(
            "/jsonrpc", "text/plain", b"call", timeout_s=timeout_s, ahead=ahead
        )


async def test_post_writes_one_request() -> None:
    """A call is one POST with a content length and the name of the product."""
    script = Script(OK)
    assert await script.post() == b"hello"
    assert script.sent.get_data_nowait() == (
        b"POST /jsonrpc HTTP/1.1\r\nHost: xen1:443\r\n"
        b"User-Agent: " + transport.USER_AGENT.encode() + b"\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\ncall"
    )
    assert transport.USER_AGENT.startswith("xentrail/")


async def test_post_keeps_the_connection_alive() -> None:
    """One connection serves call after call."""
    script = Script(OK, CHUNKED, OK)
    for _ in range(3):
        assert await script.post() == b"hello"
        assert script.connection.usable


async def test_post_closes_when_the_host_wants_to_close() -> None:
    """`connection: close` ends the connection with the answer, which still counts."""
    script = Script(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), stays=True)
    assert await script.post() == b"hello"
    assert not script.connection.usable
    with pytest.raises(TransportError, match=r"^the connection to https://xen1:443 is closed$"):
        await script.post()


async def test_post_does_not_trust_a_connection_that_says_too_much() -> None:
    """Bytes after an answer belong to nothing: they must not become the next answer."""
    script = Script(OK + OK)
    assert await script.post() == b"hello"
    assert not script.connection.usable


async def test_post_reads_a_recorded_answer() -> None:
    """The bytes of a real xapi go through."""
    raw = (CLIENT / "calls/json2-logout.resp").read_bytes()
    assert await Script(raw).post() == raw.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunked"])
async def test_post_raises_when_the_answer_is_cut_anywhere(answer: bytes) -> None:
    """An answer cut at any byte is a TransportError, never a shorter answer."""
    for cut in range(len(answer)):
        script = Script(answer[:cut]) if cut else Script()
        with pytest.raises(TransportError) as caught:
            await script.post()
        assert str(caught.value) == (
            "https://xen1:443 closed the connection in the middle of an answer"
            if cut
            else "https://xen1:443 closed the connection without an answer"
        )
        assert not script.connection.usable


@pytest.mark.parametrize("at_once", [1, OK.index(b"hello")], ids=["head", "body"])
@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["length", "chunked"])
async def test_post_reads_an_answer_that_comes_byte_by_byte(
    answer: bytes, at_once: int, autojump_clock: object
) -> None:
    """However the network cuts it up, an answer is one answer."""
    receive = trio.testing.MemoryReceiveStream()
    stream = trio.StapledStream(trio.testing.MemorySendStream(), receive)

    async def drip() -> None:
        for piece in (answer[:at_once], *(bytes([byte]) for byte in answer[at_once:])):
            await trio.sleep(0.1)
            receive.put_data(piece)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        connection = Connection(stream, HOST, reply_bytes_max=REPLY_BYTES_MAX)
        body = await connection.post("/", "text/xml", b"", timeout_s=60)
    assert body == b"hello"
    assert connection.usable


async def test_post_does_not_trust_a_connection_that_ends_its_answer_with_too_much() -> None:
    """The end of an answer may come later than its head, and with what belongs to nothing."""
    receive = trio.testing.MemoryReceiveStream()
    stream = trio.StapledStream(trio.testing.MemorySendStream(), receive)
    receive.put_data(OK[:-3])
    connection = Connection(stream, HOST, reply_bytes_max=REPLY_BYTES_MAX)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_put_later, receive, OK[-3:] + b"x")
        assert await connection.post("/", "text/xml", b"", timeout_s=60) == b"hello"
    assert not connection.usable


async def _put_later(receive: trio.testing.MemoryReceiveStream, data: bytes) -> None:
    await trio.testing.wait_all_tasks_blocked()
    receive.put_data(data)


async def test_post_ends_when_the_time_is_up(autojump_clock: object) -> None:
    """A silent host costs `timeout_s`, and the connection with its late answer is dropped."""
    script = Script(stays=True)
    started_s = trio.current_time()
    with pytest.raises(TransportError) as caught:
        await script.post(timeout_s=7.5)
    assert trio.current_time() - started_s == pytest.approx(7.5)
    assert str(caught.value) == (
        "https://xen1:443 did not answer within 7.5 s; the host may be overloaded"
    )
    assert not script.connection.usable


async def test_post_without_a_time_is_bounded_by_the_caller(autojump_clock: object) -> None:
    """A cancelled call closes its connection: its answer may still be on the way."""
    script = Script(stays=True)
    with trio.move_on_after(95) as silence:
        await script.post(timeout_s=None)
    assert silence.cancelled_caught
    assert not script.connection.usable


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "https://xen1:443 does not answer in HTTP: "),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, "https://xen1:443 does not answer in HTTP: "),
        (
            OK.replace(b"5", b"1048577"),
            "https://xen1:443 sends an answer of 1048577 bytes or more; limits.reply_mib_max",
        ),
    ],
    ids=["ssh", "header", "length"],
)
async def test_post_refuses_what_is_no_answer(answer: bytes, message: str) -> None:
    """What is not HTTP, or too much of it, is a ProtocolError."""
    script = Script(answer, stays=True)
    with pytest.raises(ProtocolError) as caught:
        await script.post()
    assert str(caught.value).startswith(message)
    assert not script.connection.usable


@given(st.data())
def test_post_raises_only_its_own_errors(data: st.DataObject) -> None:
    """Whatever a host sends, a call ends with a body or with an error of ours."""
    answer = bytearray(data.draw(st.sampled_from([OK, CHUNKED])))
    for _ in range(data.draw(st.integers(1, 4))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TransportError, ProtocolError):
        trio.run(Script(bytes(answer)).post)


async def test_post_stops_reading_chunks_at_the_limit() -> None:
    """An endless answer without a length is cut off at the limit too."""
    with pytest.raises(ProtocolError, match=r"an answer of 5 bytes or more; .* allows 4$"):
        await Script(CHUNKED, reply_bytes_max=4).post()
    assert await Script(CHUNKED, reply_bytes_max=5).post() == b"hello"


async def test_post_gives_the_reason_of_an_error_page() -> None:
    """An HTTP error is its status and one line of the page, without the HTML."""
    head = f"HTTP/1.1 500 Internal Error\r\ncontent-length: {len(NO_JSON)}\r\n\r\n".encode()
    with pytest.raises(HttpRefused) as caught:
        await Script(head + NO_JSON).post()
    assert caught.value.status == 500
    assert str(caught.value) == (
        'https://xen1:443/jsonrpc answers HTTP 500: Xmlm.Error(1:1, "expected root element")'
    )


async def test_post_takes_a_redirect_for_a_refusal() -> None:
    """A web server that sends us elsewhere is not XAPI, and is not followed."""
    with pytest.raises(HttpRefused, match=r"^https://xen1:443/jsonrpc answers HTTP 302$"):
        await Script(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").post()


async def test_post_says_when_the_connection_broke() -> None:
    """A reset while sending is a TransportError."""
    client, server = trio.testing.memory_stream_pair()
    await server.aclose()
    connection = Connection(client, HOST, reply_bytes_max=REPLY_BYTES_MAX)
    with pytest.raises(
        TransportError, match=r"^lost the connection to https://xen1:443: the host closed it$"
    ):
        await connection.post("/", "text/xml", b"", timeout_s=5)


async def test_connect_takes_what_dial_gives() -> None:
    """Tests and simulations put their own network behind the same door."""
    client, _ = trio.testing.memory_stream_pair()

    async def dial(address: Address) -> trio.abc.Stream:
        assert address == HOST
        return client

    connection = await transport.connect(
        HOST, transport.TlsPolicy(), timeout_s=1, reply_bytes_max=1, dial=dial
    )
    assert connection.address == HOST
    assert connection.usable


async def test_connect_ends_when_the_time_is_up(autojump_clock: object) -> None:
    """A host that swallows packets costs the time-out, and the error says so."""

    async def dial(_: Address) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(TransportError) as caught:
        await transport.connect(
            HOST, transport.TlsPolicy(), timeout_s=10, reply_bytes_max=1, dial=dial
        )
    assert str(caught.value) == (
        "cannot reach https://xen1:443: no answer within 10 s;"
        " check the address and that the host is up"
    )
