"""`xentrail record` as an operator meets it: what works, and what is said when it does not."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.journal.scan import scan
from recorder.journal.verify import verify
from recorder.model import Mark, MarkName
from tests.cli.programs import (
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)

WRONG_FINGERPRINT = ":".join(["AB"] * 32)


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    with simulator("--vms", "4", "--activity", "0") as served:
        yield served


def refused(config: Path, code: int) -> str:
    """Run a recorder that cannot start, and return its last line on stderr."""
    done = xentrail("record", "--config", str(config))
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_recorder_with_everything_on_disk(
    pool: SimulatedAt, number: signal.Signals, tmp_path: Path
) -> None:
    """A stop is clean: exit code 0, sealed journal, a STOPPED mark as the last word."""
    config = write_config(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        stop(process, number)
    assert process.returncode == 0
    *_, last = scan(tmp_path / "data" / "journal")
    assert isinstance(last.body, Mark)
    assert last.body.name is MarkName.STOPPED
    assert verify(tmp_path / "data" / "journal").findings == ()


def test_pinned_certificate_is_accepted(pool: SimulatedAt, tmp_path: Path) -> None:
    """The fingerprint that the simulator prints is the one to pin."""
    extra = f'tls.fingerprint = "{pool.fingerprint}"'
    config = write_config(tmp_path, pool_table(pool.tls_url, extra=extra))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        stop(process)
    assert process.returncode == 0


def test_member_leads_to_the_master(pool: SimulatedAt, tmp_path: Path) -> None:
    """A host that is not the master names it, and is followed."""
    config = write_config(tmp_path, pool_table(pool.members[0]))
    with recorder(config) as process:
        assert pool.url in wait_for(process, ["connected"])
        stop(process)


def test_wrong_password_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """The line names address and user, says what to check, and not the password."""
    config = write_config(tmp_path, pool_table(pool.url), password="not-the-password")
    line = refused(config, 30)
    assert line == (
        f"xentrail: {pool.url} refuses user 'root' (Authentication failure);"
        " check user and password of this pool"
    )


def test_unreachable_address_is_told(tmp_path: Path) -> None:
    """The line names the address and what to check."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        config = write_config(tmp_path, pool_table(address))
        text = config.read_text(encoding="utf-8")
        config.write_text(text + "[limits]\nstart_timeout_s = 0.5\n", encoding="utf-8")
        line = refused(config, 10)
    assert line.startswith(f"xentrail: cannot reach {address}: connection refused")


def test_other_certificate_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """The line shows what was presented, so that it can be compared and pinned."""
    extra = f'tls.fingerprint = "{WRONG_FINGERPRINT}"'
    config = write_config(tmp_path, pool_table(pool.tls_url, extra=extra))
    line = refused(config, 10)
    assert pool.fingerprint in line
    assert WRONG_FINGERPRINT in line


def test_untrusted_certificate_is_told_with_its_fingerprint(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Without any tls key the refusal shows what to pin."""
    line = refused(write_config(tmp_path, pool_table(pool.tls_url)), 10)
    assert pool.fingerprint in line
    assert "tls.fingerprint" in line


def test_another_pool_behind_a_known_address_is_refused(pool: SimulatedAt, tmp_path: Path) -> None:
    """A pool keeps its name: another one under it would be a lie in the journal."""
    config = write_config(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        stop(process)
    with simulator("--vms", "1", "--seed", "99") as other:
        config = write_config(tmp_path, pool_table(other.url))
        line = refused(config, 30)
    assert "but the journal holds pool" in line
    assert "give the other pool a name of its own" in line


def test_second_recorder_is_refused(pool: SimulatedAt, tmp_path: Path) -> None:
    """A journal has one writer; the other is told which folder is taken."""
    config = write_config(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        line = refused(config, 40)
        stop(process)
    assert line.startswith(f"xentrail: process {process.pid} on ")
    assert "is writing to the journal in" in line


def test_repaired_journal_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """A tail that was cut off, or damage that was found, is a log line with where it is kept."""
    config = write_config(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        process.kill()
        process.wait()
    segment = max((tmp_path / "data" / "journal").glob("*.journal"))
    with segment.open("ab") as journal:
        journal.write(b"torn")
    with recorder(config) as process:
        line = wait_for(process, ["journal-repaired"])
        wait_for(process, ["gap-closed"])
        stop(process)
    assert "reason=torn-tail" in line
    assert "bytes=4" in line
    assert "kept_in=" in line


def test_unknown_key_is_told_with_the_nearest(tmp_path: Path) -> None:
    """A typing error in the configuration is named with the key that was meant."""
    config = tmp_path / "r.toml"
    config.write_text('pols = "x"\n', encoding="utf-8")
    assert refused(config, 2) == f"xentrail: {config}: unknown key pols; did you mean 'pools'?"


def test_data_of_a_demo_is_refused(tmp_path: Path) -> None:
    """What a demo left behind is swept away by the next one: no place for a real record."""
    config = write_config(tmp_path, pool_table("https://xen1.example.com"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".xentrail-demo").touch()
    assert refused(config, 2) == (
        f"xentrail: {tmp_path / 'data'} holds what a demo left behind;"
        " delete it, or choose another folder with --data"
    )


def test_missing_configuration_is_told(tmp_path: Path) -> None:
    """A file that is not there is named."""
    line = refused(tmp_path / "none.toml", 2)
    assert line == f"xentrail: {tmp_path / 'none.toml'}: cannot be read: No such file or directory"


def test_not_a_xapi_server_is_told(tmp_path: Path) -> None:
    """Something else behind the address is said to be no XAPI."""
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        config = write_config(tmp_path, pool_table(address))
        text = config.read_text(encoding="utf-8")
        config.write_text(text + "[limits]\nstart_timeout_s = 0.5\n", encoding="utf-8")
        line = refused(config, 20)
        server.shutdown()
        thread.join()
    assert address in line
