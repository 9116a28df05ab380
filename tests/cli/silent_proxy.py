"""A TCP proxy that can fall silent: connections stay open, are taken, and nothing gets through."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager


class SilentProxy:
    """Hands bytes on both ways; while it is silent it keeps them, as a firewall that drops does."""

    def __init__(self, listener: socket.socket, behind: tuple[str, int]) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._behind = behind
        self._speaks = threading.Event()
        self._speaks.set()

    def silence(self) -> None:
        """Let nothing through from now on."""
        self._speaks.clear()

    def speak(self) -> None:
        """Let everything through again, also what was kept."""
        self._speaks.set()

    def accept(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._speaks.wait()
        with near:
            try:
                far = socket.create_connection(self._behind)
            except OSError:
                return  # What is behind is gone: so is the connection to it.
            with far:
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far)
                back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._speaks.wait()
                sink.sendall(data)
            self._speaks.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # either side went away: so does the other


@contextmanager
def silent_proxy(url: str) -> Iterator[SilentProxy]:
    """Run a proxy on loopback before a URL such as `https://127.0.0.1:8443`."""
    host, _, port = url.rpartition("://")[2].rpartition(":")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        proxy = SilentProxy(listener, (host, int(port)))
        threading.Thread(target=proxy.accept, daemon=True).start()
        yield proxy
        proxy.speak()
        listener.shutdown(socket.SHUT_RDWR)
