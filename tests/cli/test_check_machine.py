"""`xentrail check` on the file, the journal and the machine."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.journal.scan import scan
from tests.cli.checks import Checked, check, configure
from tests.cli.programs import (
    WAIT_S_MAX,
    XENTRAIL,
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
)

LOW_LIMIT = 'ulimit -n 100; exec "$@"'


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    with simulator("--vms", "2", "--hosts", "1", "--activity", "0") as served:
        yield served


def test_every_mistake_of_the_file_is_a_finding_and_its_sound_pools_are_tried(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """One look shows all that is to be mended."""
    broken = 'nmae = "x"\naddresses = []'
    config = configure(tmp_path, pool_table(pool.url), broken)
    checked = check(config)
    texts = [one["text"] for one in checked.findings if one["subject"] == "configuration"]
    assert texts == [
        "unknown key pools[1].nmae; did you mean 'name'?",
        "pools[1].name: is missing",
    ]
    assert checked.about("login")["verdict"] == "ok"
    assert checked.code == 1


def test_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    """Also the first mistake of all is told as all others are."""
    checked = check(tmp_path / "none.toml", "--data", str(tmp_path))
    (found,) = [one for one in checked.findings if one["verdict"] == "error"]
    assert found["text"] == "cannot be read: No such file or directory"
    assert found["point"] == str(tmp_path / "none.toml")


def test_folder_that_cannot_be_made_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """The recorder makes its folder, but not where a file is in the way."""
    config = configure(tmp_path, pool_table(pool.url))
    (tmp_path / "file").touch()
    missing = check(config, "--data", str(tmp_path / "new" / "data"))
    assert missing.code == 0
    assert missing.about("folder", "journal")["text"] == (
        f"{tmp_path / 'new' / 'data'} is not there yet, and will be made in {tmp_path}"
    )
    blocked = check(config, "--data", str(tmp_path / "file" / "data"))
    assert blocked.ailing() == [("error", "folder")]
    assert blocked.about("folder", "journal")["text"] == f"{tmp_path / 'file'} is no folder"


def test_keys_that_others_can_read_are_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """A signature is worth as much as the key is secret; so is a password."""
    config = recorded(pool, tmp_path)
    assert check(config).code == 0
    key = tmp_path / "data" / "keys" / "journal.key"
    key.chmod(0o644)
    (tmp_path / "password").chmod(0o640)
    checked = check(config)
    assert checked.ailing() == [("error", "keys"), ("warning", "password")]
    assert f"run chmod 600 {key}" in checked.about("keys", "journal")["text"]
    assert checked.about("password")["advice"] == f"run chmod 600 {tmp_path / 'password'}"


def test_lost_key_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """A journal whose keys are gone is not started with others by surprise."""
    config = recorded(pool, tmp_path)
    for file in (tmp_path / "data" / "keys").iterdir():
        file.unlink()
    checked = check(config)
    assert checked.ailing() == [("error", "keys")]
    assert checked.about("keys", "journal")["advice"] == "put the folder back from a backup"


def test_another_pool_than_the_recorded_one_is_told(pool: SimulatedAt, tmp_path: Path) -> None:
    """The journal knows which pool has this name: another one would be refused."""
    recorded(pool, tmp_path)
    with simulator("--vms", "1", "--seed", "9", "--activity", "0") as other:
        checked = check(configure(tmp_path, pool_table(other.url)))
    assert checked.ailing() == [("error", "pool")]
    assert "the journal holds pool " in checked.about("pool")["text"]


def test_running_recorder_is_said_and_left_alone(pool: SimulatedAt, tmp_path: Path) -> None:
    """A check beside a recorder is no error, and does not disturb it."""
    config = configure(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        checked = check(config)
        stop(process)
    assert process.returncode == 0
    assert checked.code == 0
    assert checked.about("writer", "journal")["text"] == (
        f"process {process.pid} on {socket.gethostname()} is recording into it; a second recorder"
        " would be refused"
    )
    assert "as recorded before" in checked.about("pool")["text"]
    after = check(config)
    assert [one for one in after.findings if one["point"] == "writer"] == []


def test_damaged_journal_is_told_and_not_touched(pool: SimulatedAt, tmp_path: Path) -> None:
    """Damage in the newest segment is said, and so is a tear; the check mends nothing."""
    config = configure(tmp_path, pool_table(pool.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        process.kill()
    (segment,) = (tmp_path / "data" / "journal").glob("*.journal")
    raw = segment.read_bytes()
    early = raw.index(b"started")  # in the first frame: in the last one it could be a tear
    segment.write_bytes(raw[:early] + b"S" + raw[early + 1 :])
    damaged = segment.read_bytes()
    checked = check(config)
    assert checked.ailing() == [("error", "journal")]
    assert "segment 1 at byte " in checked.about("journal", "journal")["text"]
    assert checked.about("journal", "journal")["advice"] == "see xentrail verify"
    assert segment.read_bytes() == damaged
    segment.write_bytes(raw[:-3])
    torn = check(config)
    assert torn.code == 0
    assert "its end is torn, as a crash leaves it" in torn.about("journal", "journal")["text"]


def test_low_limit_of_open_files_is_told(tmp_path: Path) -> None:
    """A recorder that runs out of files loses pools: better to know before."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        tables = [
            pool_table(f"https://127.0.0.1:{free.getsockname()[1]}", f"pool-{n}") for n in range(3)
        ]
        config = configure(tmp_path, *tables)
        done = subprocess.run(
            [
                "sh",
                "-c",
                LOW_LIMIT,
                "sh",
                XENTRAIL,
                "check",
                "--config",
                config,
                "--format",
                "json",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S_MAX,
        )
    told = Checked(done.returncode, json.loads(done.stdout)["findings"])
    assert told.about("open files", "machine") == {
        "subject": "machine",
        "point": "open files",
        "verdict": "error",
        "text": "up to 100, and up to 112 for 3 pools",
        "advice": "raise the limit: LimitNOFILE=112 in the unit, or ulimit -n 112",
    }


def recorded(served: SimulatedAt, folder: Path) -> Path:
    """Record a pool for a moment, and stop cleanly; return the configuration."""
    config = configure(folder, pool_table(served.url))
    with recorder(config) as process:
        wait_for(process, ["recording"])
        stop(process)
    assert process.returncode == 0
    assert next(iter(scan(folder / "data" / "journal"))).seq == 1
    return config
