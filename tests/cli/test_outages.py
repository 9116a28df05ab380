"""Outages of a pool under a running recorder: real processes, real signals, real TLS.

All is real but the pool: in the first test the master that takes over is another simulator, which
serves the pool as the recorder had recorded it, behind a TLS front with a certificate of its own.
"""

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recorder.journal.digest_key import load_or_create
from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.journal.verify import verify
from recorder.model import Entry, GapCause, GapClosed, GapOpened
from recorder.past.story import Story
from recorder.redaction.policy import Policy
from recorder.redaction.redact import Redactor
from tests.cli.programs import (
    PASSWORD,
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
)
from tests.cli.silent_proxy import silent_proxy
from tests.cli.tls_front import tls_front

SILENCE_S = 3.0
LIMITS = f"[limits]\nsilence_s = {SILENCE_S}\nconnect_timeout_s = 1.0\n"
"""A pool that changes several times a second is given up after seconds, not after minutes."""

OUT_S = 3.0
SOON_S = 5.0
"""Looking for a pool takes half a second; a busy machine needs some time itself."""

CLASSES = ("VM", "VBD", "VIF", "host", "network", "pool", "SR")


def call(url: str, method: str, *params: object) -> object:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(f"{url}/jsonrpc", body)  # noqa: S310 - our own loopback
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return json.loads(reply.read())["result"]


@contextmanager
def changing(pool: SimulatedAt) -> Iterator[None]:
    """Change VMs of a pool several times a second, past whatever stands before it."""
    session = call(pool.url, "session.login_with_password", "root", PASSWORD)
    vms = call(pool.url, "VM.get_all", session)
    assert isinstance(vms, list)
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.wait(0.2):
            number += 1
            vm = vms[number % len(vms)]
            call(pool.url, "VM.set_name_description", session, vm, f"change {number}")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        call(pool.url, "session.logout", session)


def entries_of(data: Path) -> list[Entry]:
    return [entry for entry in scan(data / "journal") if entry.pool == "lab"]


def only_gap(data: Path, cause: GapCause, recovered_ns: int) -> None:
    """There was one gap, which was closed and vouches for nothing of the outage, and then the stop.

    What a killed host had in its audit trail is lost with it here, and may be a gap of that.
    Nobody answered before `recovered_ns`, on the clock of this machine, which all processes share.
    """
    entries = entries_of(data)
    opened, stopped = (
        entry
        for entry in entries
        if isinstance(entry.body, GapOpened) and entry.body.cause is not GapCause.AUDIT_TRAIL
    )
    assert isinstance(opened.body, GapOpened)
    assert isinstance(stopped.body, GapOpened)
    assert [opened.body.cause, stopped.body.cause] == [cause, GapCause.RECORDER_STOPPED]
    (closed,) = (entry.body for entry in entries if isinstance(entry.body, GapClosed))
    assert closed.opened_seq == opened.seq
    assert closed.blind_until_ns >= recovered_ns
    assert opened.body.complete_until_ns is not None
    assert opened.body.complete_until_ns < opened.received_at_ns
    if cause is GapCause.SERVER_SILENT:
        # It was silent for this long before it was given up: none of that may be vouched for.
        assert opened.received_at_ns - opened.body.complete_until_ns >= SILENCE_S * 1e9
    assert verify(data / "journal").findings == ()


def check_contents(data: Path, url: str) -> None:
    """The last recorded state of each object is what the pool holds, but for secrets."""
    redactor = Redactor(Policy.of(fields={}), load_or_create(data / "keys", Disk()))
    story = Story("lab")
    for entry in scan(data / "journal"):
        story.take(entry)
    recorded = {(cls, ref): json.loads(raw) for cls, ref, raw in story.snapshots()}
    session = call(url, "session.login_with_password", "root", PASSWORD)
    for cls in CLASSES:
        records = call(url, f"{cls}.get_all_records", session)
        assert isinstance(records, dict)
        real = {
            ref: json.loads(redactor.record(cls.lower(), json.dumps(record).encode()))
            for ref, record in records.items()
        }
        known = {ref: record for (of, ref), record in recorded.items() if of == cls.lower()}
        assert known == real, cls
    call(url, "session.logout", session)


def configure(folder: Path, pool: str) -> Path:
    config = write_config(folder, pool)
    config.write_text(config.read_text(encoding="utf-8") + LIMITS, encoding="utf-8")
    return config


def pinned(url: str, pool: SimulatedAt) -> str:
    return pool_table(url, extra=f'tls.fingerprint = "{pool.fingerprint}"')


def test_killed_master_and_another_that_takes_over(tmp_path: Path) -> None:
    """kill -9 of the master's process; the pool goes on elsewhere, with ids from 0 and no tasks."""
    data = tmp_path / "data"
    with simulator("--vms", "4", "--hosts", "1") as first:
        port = free_port()
        ends = datetime.now(UTC) + timedelta(days=9)
        with tls_front(f"http://127.0.0.1:{port}", tmp_path, ends=ends) as front:
            table = (
                f'name = "lab"\naddresses = ["{first.tls_url}", "{front.url}"]\n'
                f'tls.fingerprint = "{first.fingerprint}, {front.fingerprint}"'
            )
            config = configure(tmp_path, table)
            with recorder(config) as process:
                wait_for(process, ["recording"])
                with changing(first):
                    time.sleep(1.0)
                os.kill(first.pid, signal.SIGKILL)
                assert "cause=connection-lost" in wait_for(process, ["gap-opened"])
                past = ("--journal", str(data), "--at", "now", "--port", str(port))
                recovered_ns = time.time_ns()
                with simulator(*past) as second:
                    answers_s = time.monotonic()
                    assert front.url in wait_for(process, ["connected"])
                    assert time.monotonic() - answers_s < SOON_S
                    wait_for(process, ["gap-closed"])
                    with changing(second):
                        time.sleep(1.0)
                    time.sleep(0.5)
                    stop(process)
                    check_contents(data, second.url)
    only_gap(data, GapCause.CONNECTION_LOST, recovered_ns)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_master_that_is_held_still(tmp_path: Path) -> None:
    """SIGSTOP: the kernel keeps the connections open and takes new ones, and nobody answers."""
    data = tmp_path / "data"
    with simulator("--vms", "4", "--hosts", "1") as pool:
        config = configure(tmp_path, pinned(pool.tls_url, pool))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            with changing(pool):
                time.sleep(1.0)
                os.kill(pool.pid, signal.SIGSTOP)
                try:
                    assert "cause=server-silent" in wait_for(process, ["gap-opened"])
                    time.sleep(OUT_S)
                    recovered_ns = time.time_ns()
                finally:
                    os.kill(pool.pid, signal.SIGCONT)
                goes_on_s = time.monotonic()
                wait_for(process, ["gap-closed"])
                assert time.monotonic() - goes_on_s < SOON_S
                time.sleep(1.0)
            time.sleep(0.5)
            stop(process)
        check_contents(data, pool.url)
    only_gap(data, GapCause.SERVER_SILENT, recovered_ns)


def test_network_that_drops_everything(tmp_path: Path) -> None:
    """Connections stay open and nothing comes through: it is noticed, and the pool found again."""
    data = tmp_path / "data"
    with simulator("--vms", "4", "--hosts", "1") as pool, silent_proxy(pool.tls_url) as proxy:
        config = configure(tmp_path, pinned(f"https://127.0.0.1:{proxy.port}", pool))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            with changing(pool):
                time.sleep(1.0)
                proxy.silence()
                assert "cause=server-silent" in wait_for(process, ["gap-opened"])
                time.sleep(OUT_S)
                recovered_ns = time.time_ns()
                proxy.speak()
                speaks_s = time.monotonic()
                wait_for(process, ["gap-closed"])
                assert time.monotonic() - speaks_s < SOON_S
                time.sleep(1.0)
            time.sleep(0.5)
            stop(process)
        check_contents(data, pool.url)
    only_gap(data, GapCause.SERVER_SILENT, recovered_ns)
