"""A host that answers from memory: `... replay --hosts N --vms N`.

Each method is answered by the simulator once; from then on its reply is the same bytes, sent by the
thread of a connection in one write, over TLS. So the host is never what clients wait for. Behind a
second port the same replies come as late as a real host needs to make them. Events never come.
"""

import argparse
import json
import math
import socket
import ssl
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass

import trio

from recorder.simulator import jsonwire, xmlwire
from recorder.simulator.calls import Call, Result
from recorder.simulator.front import Front
from recorder.simulator.insider import Insider
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.jsonwire import Request, Version
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.tls import self_signed
from recorder.simulator.values import Fault, Value
from recorder.xapi.baseline import classes_with_records
from tests.bench.readers.account import PASSWORD, USER

REAL_S, REAL_OBJECTS = 0.92, 10_015
"""What a real host (25.32, loopback) needs to give out all records of so many objects."""
LONG_BYTES = 16 * 1024
"""Only longer replies come late: together they are all but a thousandth."""

JSON_TYPE, XML_TYPE = b"application/json", b"text/xml"
RECORDS = ".get_all_records"
ALIKE = ("session.login_with_password", "session.logout")
"""Calls of which the simulator is not asked: what it answers would end with the session."""
NO_ID = b"0}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it came; `tail` is the end of its reply in JSON: the id of the call."""

    is_json: bool
    method: str
    tail: bytes


class Host:
    """The replies, by codec and method; made when they are first asked for."""

    def __init__(self, spec: PoolSpec) -> None:
        self.pool = SimulatedPool.build(spec, now_s=time.time)
        self._front = Front(self.pool, now_s=time.time)
        self._insider: Insider = self._front.insider()
        self._replies: dict[tuple[bool, str], bytes] = {}
        self._making = threading.Lock()

    @property
    def objects(self) -> int:
        """How many objects the pool has."""
        return sum(len(table.rows) for table in self.pool.hub.rows.tables.values())

    @property
    def methods(self) -> list[str]:
        """What `system.listMethods` answers."""
        return self._front.dispatcher.method_names()

    @property
    def classes(self) -> list[str]:
        """The classes that a baseline reads."""
        return classes_with_records(self.methods)

    def prepare(self) -> int:
        """Make all long replies; return how many bytes of JSON a baseline reads."""
        for method in (name for name in self.methods if name.endswith(RECORDS)):
            self.reply(Asked(True, method, NO_ID))
            self.reply(Asked(False, method, b""))
        return sum(len(self._replies[True, cls + RECORDS]) for cls in self.classes)

    def reply(self, asked: Asked) -> bytes:
        """Return the body of a reply."""
        with self._making:
            known = self._replies.get((asked.is_json, asked.method))
            if known is None:
                known = self._made(asked)
                self._replies[asked.is_json, asked.method] = known
        return known.removesuffix(NO_ID) + asked.tail if asked.is_json else known

    def _made(self, asked: Asked) -> bytes:
        try:
            result = "OpaqueRef:bench" if asked.method in ALIKE else self._result(asked.method)
        except Fault as fault:
            if asked.is_json:
                return jsonwire.encode_failure(_request(asked.method), fault)
            return xmlwire.encode_failure(fault)
        if asked.is_json:
            return jsonwire.encode_success(_request(asked.method), result)
        if asked.method == "system.listMethods":
            return xmlwire.encode_bare(result)
        return b"".join(xmlwire.success_pieces(result))

    def _result(self, method: str) -> Result:
        match method:
            case "system.listMethods":
                return list(self.methods)
            case "event.register":
                args: list[Value] = [["*"]]
            case "event.inject":
                args = ["pool", self.pool.database.refs("pool")[0]]
            case _:
                args = []
        return trio.run(self._insider, method, args)


def _request(method: str) -> Request:
    return Request(Call(method, []), Version.TWO, 0)


class Conversation(threading.Thread):
    """One connection: requests one after the other."""

    def __init__(
        self, host: Host, inner: socket.socket, tls: ssl.SSLContext, bytes_per_s: float
    ) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._inner = inner
        self._tls = tls
        self._bytes_per_s = bytes_per_s

    def run(self) -> None:
        """Answer until the client has enough."""
        try:
            with self._tls.wrap_socket(self._inner, server_side=True) as stream:
                for head, body in _requests(stream):
                    if not self._answer(stream, head, body):
                        return
        except (OSError, ssl.SSLError):
            return  # The client went away, which is its right.

    def _answer(self, stream: ssl.SSLSocket, head: bytes, body: bytes) -> bool:
        """Answer one request; return whether the connection goes on."""
        if head.startswith(b"GET"):
            stream.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            return False
        asked = _asked(head, body)
        if asked.method in {"event.next", "event.from"}:
            return bool(stream.recv(1))  # Nothing happens until the client goes away.
        reply = self._host.reply(asked)
        if len(reply) > LONG_BYTES:
            time.sleep(len(reply) / self._bytes_per_s)
        kind = JSON_TYPE if asked.is_json else XML_TYPE
        stream.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s"
            % (kind, len(reply), reply)
        )
        return True


def _requests(stream: ssl.SSLSocket) -> Iterator[tuple[bytes, bytes]]:
    """Yield head and body of each request until the stream ends."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            more = stream.recv(65_536)
            if not more:
                return
            buffer += more
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        length = _length(head)
        while len(buffer) < length:
            more = stream.recv(65_536)
            if not more:
                return
            buffer += more
        yield head, buffer[:length]
        buffer = buffer[length:]


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _asked(head: bytes, body: bytes) -> Asked:
    if head.startswith(b"POST /jsonrpc"):
        call = json.loads(body)
        return Asked(True, call["method"], json.dumps(call["id"]).encode() + b"}")
    _, method = xmlrpc.client.loads(body.decode())
    return Asked(False, str(method), b"")


def attend(host: Host, tls: ssl.SSLContext, listener: socket.socket, bytes_per_s: float) -> None:
    """Accept connections for ever."""
    while True:
        inner, _ = listener.accept()
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Conversation(host, inner, tls, bytes_per_s).start()


def main() -> None:
    """Make the replies, say where they are to be had (a line of JSON), and serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--vms", type=int, required=True)
    options = parser.parse_args()
    addresses = ("127.0.0.1",)
    spec = PoolSpec(
        hosts=options.hosts, vms=options.vms, user=USER, password=PASSWORD, addresses=addresses
    )
    host = Host(spec)
    size = host.prepare()
    certificate = self_signed("bench", seed=1, addresses=addresses)
    tls = certificate.server_context()
    urls = []
    for bytes_per_s in (math.inf, size / (REAL_S * host.objects / REAL_OBJECTS)):
        listener = socket.create_server(("127.0.0.1", 0))
        urls.append(f"https://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(
            target=attend, args=(host, tls, listener, bytes_per_s), daemon=True
        ).start()
    told = {
        "urls": urls,
        "fingerprint": certificate.fingerprint,
        "classes": host.classes,
        "objects": host.objects,
        "bytes": size,
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()  # Its end is the word to stop, also when whoever started this is gone.


if __name__ == "__main__":
    main()
