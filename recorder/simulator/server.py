"""Simulated pools on loopback: the master of each listens on 127.0.0.1, its members beside it."""

import errno
import functools
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio
from msgspec.structs import replace

from ..errors import TransportError
from .capacity import TCP_CONNECTIONS_MAX, UNIX_CONNECTIONS_MAX, attend
from .front import Front
from .inventory import PoolSpec
from .pool import SimulatedPool
from .sessions import Sessions
from .tls import Certificate, self_signed

_FIRST_ADDRESS = ipaddress.IPv4Address("127.0.0.1")
_BACKLOG = 128
_EPHEMERAL_TRIES = 8
"""How often another port is tried when the one of the master is taken at a member's address."""


class Sockets(msgspec.Struct, frozen=True):
    """Where to listen: port 0 is any free one, None means no TLS, and `folder` is for unix sockets.

    Further pools get the following ports. A unix socket is named after its pool (`pool-1.sock`).
    """

    port: int = 0
    tls_port: int | None = None
    folder: Path | None = None


class Served(msgspec.Struct, frozen=True):
    """A pool that accepts connections, and what a client needs to know of it.

    `url` is the master's, `members` are the URLs of the other hosts, which answer HOST_IS_SLAVE;
    `front` has the ways to disturb connections.
    """

    name: str
    url: str
    tls_url: str | None
    members: tuple[str, ...]
    unix_socket: Path | None
    user: str
    password: str
    certificate: Certificate
    pool: SimulatedPool
    front: Front

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, as openssl prints it."""
        return self.certificate.fingerprint

    @property
    def sessions(self) -> Sessions:
        """Who is logged in; `expire` and `expire_all` end sessions."""
        return self.front.sessions


class _Opening(msgspec.Struct, frozen=True):
    """A listening socket and the host that answers there."""

    listener: trio.abc.Listener[trio.abc.Stream]
    address: str
    local: bool = False


class Listening(msgspec.Struct, frozen=True):
    """A pool whose sockets are open but not yet answered."""

    served: Served
    openings: Sequence[_Opening]

    async def close(self) -> None:
        """Close the sockets, which nobody but the kernel noticed until now."""
        for opening in self.openings:
            await opening.listener.aclose()


async def serve(
    specs: Sequence[PoolSpec],
    sockets: Sockets,
    *,
    now_s: Callable[[], float],
    task_status: trio.TaskStatus[list[Served]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve pools until cancelled; `started()` delivers them once they accept connections.

    Raises TransportError if a port can't be had. For the rest see `listen` and `answer`.
    """
    await answer(await listen(specs, sockets, now_s=now_s), task_status=task_status)


async def listen(
    specs: Sequence[PoolSpec], sockets: Sockets, *, now_s: Callable[[], float]
) -> list[Listening]:
    """Build pools and open their sockets; `answer` takes them over.

    The addresses of the specs are replaced by those on loopback. Raises TransportError if a port
    can't be had; nothing stays open then.
    """
    pools: list[Listening] = []
    try:
        for number, spec in enumerate(specs):
            pools.append(await _open(spec, _shifted(sockets, number), now_s))
    except TransportError:
        for pool in pools:
            await pool.close()
        raise
    return pools


async def answer(
    pools: Sequence[Listening],
    *,
    task_status: trio.TaskStatus[list[Served]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run pools and answer their clients until cancelled; closes the sockets in the end.

    One nursery holds the pools, the listeners and the connections; being cancelled ends them all
    at once, as a power cut would.
    """
    try:
        async with trio.open_nursery() as nursery:
            for pool in pools:
                await nursery.start(pool.served.front.run)
                for opening in pool.openings:
                    nursery.start_soon(_attend, pool.served.front, opening)
            task_status.started([pool.served for pool in pools])
    finally:
        for pool in pools:
            if pool.served.unix_socket:
                pool.served.unix_socket.unlink(missing_ok=True)


async def _attend(front: Front, opening: _Opening) -> None:
    handler = functools.partial(front.serve_stream, address=opening.address, local=opening.local)
    most = UNIX_CONNECTIONS_MAX if opening.local else TCP_CONNECTIONS_MAX
    await attend(handler, opening.listener, connections_max=most)


def _shifted(sockets: Sockets, by: int) -> Sockets:
    return replace(
        sockets,
        port=sockets.port and sockets.port + by,
        tls_port=sockets.tls_port and sockets.tls_port + by,
    )


async def _open(spec: PoolSpec, sockets: Sockets, now_s: Callable[[], float]) -> Listening:
    addresses = tuple(str(_FIRST_ADDRESS + number) for number in range(spec.host_count))
    pool = SimulatedPool.build(replace(spec, addresses=addresses), now_s=now_s)
    certificate = self_signed(spec.name, seed=spec.seed, addresses=addresses)
    unix_socket = sockets.folder / f"{spec.name}.sock" if sockets.folder else None
    openings: list[_Opening] = []
    try:
        port = await _listen(addresses, sockets.port, openings, tls=None)
        tls_port = None
        if sockets.tls_port is not None:
            tls = certificate.server_context()
            tls_port = await _listen(addresses, sockets.tls_port, openings, tls=tls)
        if unix_socket:
            listener = await _unix_listener(unix_socket)
            openings.append(_Opening(listener, addresses[0], local=True))
    except TransportError:
        for opening in openings:
            await opening.listener.aclose()
        raise
    served = Served(
        name=spec.name,
        url=f"http://{addresses[0]}:{port}",
        tls_url=f"https://{addresses[0]}:{tls_port}" if tls_port else None,
        members=tuple(f"http://{address}:{port}" for address in addresses[1:]),
        unix_socket=unix_socket,
        user=spec.user,
        password=spec.password,
        certificate=certificate,
        pool=pool,
        front=Front(pool, now_s=now_s),
    )
    return Listening(served, openings)


async def _listen(
    addresses: Sequence[str],
    port: int,
    openings: list[_Opening],
    *,
    tls: ssl.SSLContext | None,
) -> int:
    """Listen on one port at the addresses of all hosts, note it in `openings`, return the port."""
    for listener, address in zip(await _bind(addresses, port), addresses, strict=True):
        port = listener.socket.getsockname()[1]
        secured = trio.SSLListener(listener, tls, https_compatible=True) if tls else listener
        openings.append(_Opening(secured, address))
    return port


async def _bind(addresses: Sequence[str], port: int) -> list[trio.SocketListener]:
    """Return a listener for each address, all with the same port."""
    for attempt in range(_EPHEMERAL_TRIES):
        listeners: list[trio.SocketListener] = []
        try:
            for address in addresses:
                chosen = listeners[0].socket.getsockname()[1] if listeners else port
                listeners.append(await _tcp_listener(address, chosen))
        except OSError as error:
            for listener in listeners:
                await listener.aclose()
            if port or error.errno != errno.EADDRINUSE or attempt == _EPHEMERAL_TRIES - 1:
                raise _refused(addresses[len(listeners)], port, error) from error
        else:
            return listeners
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _tcp_listener(address: str, port: int) -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(port, host=address, backlog=_BACKLOG)
    return listener


def _refused(address: str, port: int, error: OSError) -> TransportError:
    if error.errno == errno.EADDRINUSE:
        return TransportError(
            f"port {port} of {address} is in use: stop the program that listens there or choose "
            "another port"
        )
    reason = error.strerror or str(error)
    return TransportError(f"can't listen on {address}:{port} ({reason}): choose another port")


async def _unix_listener(path: Path) -> trio.SocketListener:
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await listening.bind(str(path))
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise TransportError(f"can't listen on {path} ({reason}): remove the file") from error
    listening.listen(_BACKLOG)
    return trio.SocketListener(listening)
