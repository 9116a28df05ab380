"""A small server that answers with bytes recorded from a real xapi, over real sockets.

What the recordings lack (an id, a token, an empty class) is answered in the same envelope.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h11
import trio

GOLDEN = Path(__file__).parents[1] / "golden" / "wire" / "lifecycle"
VERSIONS = ("v24.11.0", "v25.32.0")


def body_of(reply: bytes) -> bytes:
    return reply.split(b"\r\n\r\n", 1)[1]


@dataclass
class Recording:
    """The replies of one version by file name, such as `009-xml-event.next.resp`."""

    version: str
    replies: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        with zipfile.ZipFile(GOLDEN / f"{self.version}.zip") as archive:
            self.replies = {name: archive.read(name) for name in sorted(archive.namelist())}

    def all(self, ending: str) -> list[bytes]:
        return [reply for name, reply in self.replies.items() if name.endswith(ending + ".resp")]

    def one(self, ending: str) -> bytes:
        return self.all(ending)[0]


def envelope(xml: bool, text: str) -> bytes:
    """A reply as xapi words it, around a value that is already written."""
    if xml:
        body = (
            '<?xml version="1.0"?><methodResponse><params><param><value><struct><member>'
            "<name>Status</name><value>Success</value></member><member><name>Value</name>"
            f"<value>{text}</value></member></struct></value></param></params></methodResponse>"
        )
    else:
        body = f'{{"jsonrpc":"2.0","result":{text},"id":1}}'
    kind = "text/xml" if xml else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    return f"{head}content-type: {kind}\r\n\r\n{body}".encode()


@dataclass
class RecordedServer:
    """Serves one recording in one encoding; `events` are the replies of the event call in order.

    After the last of them the event call blocks, as xapi's does; `drained` is set then.
    """

    recording: Recording
    xml: bool
    events: list[bytes]
    drained: trio.Event = field(default_factory=trio.Event)
    calls: list[str] = field(default_factory=list)
    _left: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._left = iter(self.events)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer one call; the recorded replies all close the connection."""
        try:
            async with stream:
                path, body = await read_request(stream)
                if self.xml and path == "/jsonrpc":
                    await stream.send_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                else:
                    await stream.send_all(await self.answer(body))
        except trio.BrokenResourceError:
            return

    async def answer(self, body: bytes) -> bytes:
        method = self.method_of(body)
        self.calls.append(method)
        kind = "xml" if self.xml else "json2"
        if method in ("event.next", "event.from"):
            return await self.next_events()
        recorded = {
            "session.login_with_password": f"-{kind}-session.login_with_password",
            "event.register": "-xml-event.register",
            "pool.get_all_records": f"-{kind}-get_all_records-pool",
        }
        if method in recorded:
            return self.recording.one(recorded[method])
        if method == "system.listMethods":
            names = self.recording.one("-xml-listMethods")
            return names if self.xml else envelope(False, names_as_json(names))
        return envelope(self.xml, self.plain(method))

    def plain(self, method: str) -> str:
        """A value that the recordings lack, in the encoding of this server."""
        if method.endswith(".get_all_records"):
            return "<struct></struct>" if self.xml else "{}"
        value = {
            "event.get_current_id": "0",
            "event.inject": "00000000000000000000,00000000000000000000",
            "event.unregister": "",
            "session.logout": "",
        }[method]
        return value if self.xml or value == "0" else f'"{value}"'

    async def next_events(self) -> bytes:
        reply = next(self._left, None)
        if reply is None:
            self.drained.set()
            await trio.sleep_forever()
        assert reply is not None
        return reply

    def method_of(self, body: bytes) -> str:
        start, end = (b"<methodName>", b"<") if self.xml else (b'"method":"', b'"')
        return body.replace(b'": "', b'":"').split(start)[1].split(end)[0].decode()


def names_as_json(listed: bytes) -> str:
    names = body_of(listed).decode().split("<value>")[2:]
    return "[" + ",".join(f'"{name.split("<")[0]}"' for name in names) + "]"


async def read_request(stream: trio.abc.Stream) -> tuple[str, bytes]:
    http = h11.Connection(h11.SERVER)
    path, body = "", b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            path = event.target.decode()
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.ConnectionClosed):
            raise trio.BrokenResourceError
        else:
            return path, body
