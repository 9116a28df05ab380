"""JSON-RPC by nothing but the standard library."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import trio

from recorder.simulator.server import Served
from tests.simulator.network.support import PASSWORD


def _post(connection: http.client.HTTPConnection, request: dict[str, Any]) -> dict[str, Any]:
    connection.request("POST", "/jsonrpc", json.dumps(request))
    reply = connection.getresponse()
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    document = json.loads(reply.read())
    assert isinstance(document, dict)
    return document


def _dialogue(connection: http.client.HTTPConnection, extra: dict[str, str]) -> None:
    """Log in, read a record, set a field, fail once, log out: all on one connection."""

    def call(method: str, *params: object) -> dict[str, Any]:
        return _post(connection, {"method": method, "params": params, "id": 7, **extra})

    session = call("session.login_with_password", "root", PASSWORD)["result"]
    vm = call("VM.get_all", session)["result"][0]
    assert call("VM.set_name_label", session, vm, "né <&>")["result"] == ""
    record = call("VM.get_record", session, vm)["result"]
    assert record["name_label"] == "né <&>"
    assert call("VM.get_all_records", session)["result"][vm] == record
    failed = call("VM.get_record", session, "OpaqueRef:nope")
    if extra:
        assert failed["error"] == {
            "code": 1,
            "message": "HANDLE_INVALID",
            "data": ["VM", "OpaqueRef:nope"],
        }
    else:
        assert failed["error"] == ["HANDLE_INVALID", "VM", "OpaqueRef:nope"]
    assert call("session.logout", session)["id"] == 7
    connection.close()


async def _run(connection: http.client.HTTPConnection, extra: dict[str, str]) -> None:
    with trio.fail_after(10):
        await trio.to_thread.run_sync(_dialogue, connection, extra, abandon_on_cancel=True)


async def test_json_rpc_1(served: Served) -> None:
    """Without a `jsonrpc` member errors are arrays."""
    await _run(http.client.HTTPConnection(urlsplit(served.url).netloc), {})


async def test_json_rpc_2(served: Served) -> None:
    """With `"jsonrpc": "2.0"` errors are objects."""
    await _run(http.client.HTTPConnection(urlsplit(served.url).netloc), {"jsonrpc": "2.0"})


async def test_tls_shows_the_announced_certificate(served: Served) -> None:
    """The SHA-256 of the certificate on the wire is the announced fingerprint."""
    assert served.tls_url is not None
    parts = urlsplit(served.tls_url)
    assert parts.hostname is not None
    assert parts.port is not None
    address = (parts.hostname, parts.port)
    pem = await trio.to_thread.run_sync(ssl.get_server_certificate, address)
    assert pem == served.certificate.certificate_pem
    digest = served.certificate.fingerprint
    assert len(bytes.fromhex(digest.replace(":", ""))) == 32


async def test_tls_is_verified_by_the_certificate_as_authority(served: Served) -> None:
    """A client that trusts the certificate reaches the pool by address, with no check left out."""
    assert served.tls_url is not None
    context = ssl.create_default_context(cadata=served.certificate.certificate_pem)
    netloc = urlsplit(served.tls_url).netloc
    await _run(http.client.HTTPSConnection(netloc, context=context), {"jsonrpc": "2.0"})
