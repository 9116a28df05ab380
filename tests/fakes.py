"""In-memory hosts for the tests of the client: real HTTP over memory streams, answers from a table.

A fake host speaks both codecs as the recorded bytes do: XML without type tags on texts and whole
numbers, JSON-RPC 2.0 with error objects, HTML pages for what it cannot read.
"""

import json
import xmlrpc.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from xml.sax.saxutils import escape

import h11
import trio
import trio.testing

from recorder.client.address import Address
from recorder.errors import XapiFault

SESSION = "OpaqueRef:5e551011-0000-4000-8000-000000000001"
PASSWORD = "correct horse"

Method = Callable[..., object]
"""Gets the parameters of a call; returns the result or an awaitable of it, or raises XapiFault."""

NO_JSON = (
    b"<html><body><h1>HTTP 500 internal server error</h1>An unexpected error occurred;"
    b"<h1> Additional information </h1>Xmlm.Error(1:1, &quot;expected root element&quot;)"
    b"</body></html>"
)


def login(user: str, password: str, _version: str, _originator: str) -> str:
    """Answer `session.login_with_password` as a host does that knows root only."""
    if (user, password) != ("root", PASSWORD):
        raise XapiFault("SESSION_AUTHENTICATION_FAILED", (user, "Authentication failure"))
    return SESSION


def slave_of(master: str) -> Method:
    """Answer any call as a member does whose master is at `master`."""

    def refuse(*_: object) -> object:
        raise XapiFault("HOST_IS_SLAVE", (master,))

    return refuse


@dataclass
class FakeHost:
    """One host: its methods, whether it knows JSON-RPC, and the calls that it got."""

    methods: dict[str, Method] = field(default_factory=dict)
    speaks_json: bool = True
    calls: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let it log in and out unless it was told otherwise."""
        self.methods.setdefault("session.login_with_password", login)
        self.methods.setdefault("session.logout", lambda _session: "")

    async def answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Return status, content type and body of the answer to one request."""
        if path == "/jsonrpc":
            if not self.speaks_json:
                return 500, "text/html", NO_JSON
            return await self._answer_json(body)
        params, method = xmlrpc.client.loads(body)
        try:
            result = await self._call(str(method), params)
        except XapiFault as fault:
            return 200, "text/xml", xml_failure([fault.code, *fault.params])
        return 200, "text/xml", xml_reply(result, bare=method == "system.listMethods")

    async def _answer_json(self, body: bytes) -> tuple[int, str, bytes]:
        request = json.loads(body)
        reply: dict[str, object] = {"jsonrpc": "2.0"}
        try:
            reply["result"] = await self._call(request["method"], tuple(request["params"]))
        except XapiFault as fault:
            reply["error"] = {"code": 1, "message": fault.code, "data": list(fault.params)}
        return 200, "application/json", json.dumps(reply | {"id": request["id"]}).encode()

    async def _call(self, method: str, params: tuple[object, ...]) -> object:
        self.calls.append((method, params))
        if method not in self.methods:
            raise XapiFault("MESSAGE_METHOD_UNKNOWN", (method,))
        result = self.methods[method](*params)
        return await result if isawaitable(result) else result


@dataclass
class FakeNetwork:
    """Hosts by name or address. `dial` is what a transport takes in place of sockets.

    `nursery` holds one server a connection; each ends when its client closes. Hosts in `silent`
    swallow every packet, as a machine without power does.
    """

    nursery: trio.Nursery
    hosts: dict[str, FakeHost]
    dialled: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    async def dial(self, address: Address) -> trio.abc.Stream:
        """Connect to a host, or refuse as the kernel does."""
        await trio.lowlevel.checkpoint()
        self.dialled.append(str(address))
        if address.host in self.silent:
            await trio.sleep_forever()
        if address.host not in self.hosts:
            raise ConnectionRefusedError(111, "Connection refused")
        client, server = trio.testing.memory_stream_pair()
        self.nursery.start_soon(serve_http, server, self.hosts[address.host].answer)
        return client


Answer = Callable[[str, bytes], Awaitable[tuple[int, str, bytes]]]


async def serve_http(stream: trio.abc.Stream, answer: Answer) -> None:
    """Answer requests on a stream one after the other until the client closes it."""
    http = h11.Connection(h11.SERVER)
    try:
        while True:
            request = await _request(stream, http)
            if request is None:
                return
            status, content_type, body = await answer(*request)
            head = h11.Response(
                status_code=status,
                headers=[("content-length", str(len(body))), ("content-type", content_type)],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                await stream.send_all(http.send(event) or b"")
            http.start_next_cycle()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # The client went away in the middle, as tests of cancellation want.
    finally:
        await trio.aclose_forcefully(stream)


async def _request(stream: trio.abc.Stream, http: h11.Connection) -> tuple[str, bytes] | None:
    path = ""
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            path = event.target.decode()
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return path, body
        else:
            return None


def xml_reply(result: object, *, bare: bool = False) -> bytes:
    """Return an XML-RPC reply as xapi writes it; `bare` is without Status."""
    value = xml_value(result)
    if not bare:
        value = xml_value({"Status": "Success"}).replace(
            "</struct>", f"<member><name>Value</name>{value}</member></struct>"
        )
    return _xml_document(value)


def xml_failure(description: list[str]) -> bytes:
    """Return an XML-RPC reply that tells of a failure."""
    return _xml_document(xml_value({"Status": "Failure", "ErrorDescription": description}))


def _xml_document(value: str) -> bytes:
    return (
        '<?xml version="1.0"?><methodResponse><params><param>'
        f"{value}</param></params></methodResponse>"
    ).encode()


def xml_value(value: object) -> str:
    """Return a value as xapi writes it: texts and whole numbers bear no tag."""
    match value:
        case bool():
            return f"<value><boolean>{value:d}</boolean></value>"
        case float():
            return f"<value><double>{value!r}</double></value>"
        case dict():
            members = "".join(
                f"<member><name>{escape(name)}</name>{xml_value(item)}</member>"
                for name, item in value.items()
            )
            return f"<value><struct>{members}</struct></value>"
        case list() | tuple():
            items = "".join(xml_value(item) for item in value)
            return f"<value><array><data>{items}</data></array></value>"
    return f"<value>{escape(str(value))}</value>"
