"""Chromium, started anew for each question and let go of: no network, an empty profile."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

REQUIRED = "XENTRAIL_REQUIRE_CHROMIUM"
"""With this set to 1 (as the checks before a change do) it is a failure if there is none."""
_WAIT_S_MAX = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--disable-features=NetworkTimeServiceQuerying,OptimizationHints,MediaRouter",
    "--disable-domain-reliability",
    "--hide-scrollbars",
    "--proxy-bypass-list=<-loopback>",  # so that not even this machine is asked but by the proxy
)
_NOBODY = "http://127.0.0.1:9"
"""A proxy that does not answer: whatever the browser itself would like to know, it stays here."""


def ready_chromium() -> str:
    """Return the path of Chromium; without one the test is skipped, or fails where it must not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return found or _do_without("chromium", "chromium")


def _do_without(program: str, package: str) -> NoReturn:
    reason = f"there is no {program} on the PATH; Debian's package {package} brings it"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}")
    pytest.skip(reason)


def printed(file: Path, pdf: Path) -> list[str]:
    """Print a page on paper, and return the text of each sheet, laid out as it is there."""
    reader = shutil.which("pdftotext") or _do_without("pdftotext", "poppler-utils")
    browse(file, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    command = [reader, "-layout", str(pdf), "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S_MAX, check=True)
    return done.stdout.split("\f")[:-1]


@dataclass
class Proxy:
    """Answers nobody, and notes what it was asked for: every request that left the browser."""

    url: str
    asked: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        """Return which hosts were asked for; the browser itself asks its maker's."""
        words = [line.split(" ")[1] for line in self.asked if line.count(" ") == 2]
        urls = [urlsplit(word if "//" in word else f"//{word}") for word in words]
        return {url.hostname for url in urls if url.hostname}


@contextmanager
def proxy() -> Iterator[Proxy]:
    """Serve a proxy on loopback until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        noted = Proxy(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(server, noted), daemon=True)
        thread.start()
        try:
            yield noted
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(_WAIT_S_MAX)


def _serve(server: socket.socket, noted: Proxy) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # The block has ended.
        with connection:
            connection.settimeout(_WAIT_S_MAX)
            noted.asked.append(connection.recv(4096).split(b"\r\n")[0].decode("latin-1"))
            connection.sendall(b"HTTP/1.1 502 Nobody\r\nContent-Length: 0\r\n\r\n")


def browse(file: Path, *flags: str, proxy_url: str = _NOBODY) -> str:
    """Open a file in Chromium with further flags, and return what it printed."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        own = (f"--user-data-dir={profile}", f"--proxy-server={proxy_url}")
        done = subprocess.run(
            [ready_chromium(), *_FLAGS, *own, *flags, file.as_uri()],
            capture_output=True,
            text=True,
            timeout=_WAIT_S_MAX,
            check=True,
        )
    return done.stdout
