"""`xentrail status`, `follow` and `reload` against a real recorder in a process of its own."""

import csv
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder.control import endpoint
from recorder.journal.scan import scan
from recorder.model import GapCause, GapOpened
from tests.cli.programs import (
    WAIT_S_MAX,
    XENTRAIL,
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)
from tests.cli.test_completion import offered

UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    with simulator("--vms", "4", "--activity", "120", "--realtime", "0") as served:
        yield served


@dataclass(frozen=True)
class Running:
    """A recorder, its configuration and its data."""

    process: "subprocess.Popen[str]"
    config: Path
    data: Path


@contextmanager
def running(folder: Path, *tables: str) -> Iterator[Running]:
    """Record pools, the first of which can be reached, until the end of the context."""
    config = write_config(folder, *tables)
    with recorder(config) as process:
        wait_for(process, ["recording"])
        yield Running(process, config, folder / "data")
        if process.poll() is None:
            stop(process)
            assert process.returncode == 0


@contextmanager
def following(data: Path, *args: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `xentrail follow`; whoever uses it ends it, or it is killed."""
    command = [XENTRAIL, "follow", "--data", str(data), *args]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def lines_of(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def said(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """Return the one line of a command that ended with this code and printed nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


# -- status ------------------------------------------------------------------------------------


def test_status_of_live_pools_exits_with_0(pool: SimulatedAt, tmp_path: Path) -> None:
    """As a table, as JSON and as CSV; the socket is its owner's, and goes with the recorder."""
    place = tmp_path / "data" / "control.sock"
    with running(tmp_path, pool_table(pool.url)) as one:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        table = xentrail("status", "--data", str(one.data))
        told = xentrail("status", "--data", str(one.data), "--format", "json")
        rows = xentrail("status", "--data", str(one.data), "--format", "csv")
    assert [done.returncode for done in (table, told, rows)] == [0, 0, 0]
    first, second, heading, row = table.stdout.splitlines()
    assert first.startswith(f"recorder 0.1.0, process {one.process.pid}, up ")
    assert " entries, the last @" in second
    assert heading.split()[:4] == ["pool", "state", "master", "epoch"]
    assert row.split()[:3] == ["lab", "live", pool.url]
    report = json.loads(told.stdout)
    assert report["recorder"]["pid"] == one.process.pid
    (lab,) = report["pools"]
    (flat,) = csv.DictReader(rows.stdout.splitlines())
    assert (flat["pool"], flat["state"], flat["master"]) == ("lab", "live", pool.url)
    assert flat["epoch"] == str(lab["epoch"])
    assert (flat["gap_seq"], flat["error"]) == ("", "")
    assert flat["baseline_objects"] == str(lab["baseline"]["objects"])
    assert not place.exists()


def test_status_with_a_pool_that_is_not_live_exits_with_1(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """What is not well stands below the table, in full."""
    tables = (pool_table(pool.url), pool_table(UNREACHABLE, "away"))
    with running(tmp_path, *tables) as one:
        done = xentrail("status", "--data", str(one.data))
    assert done.returncode == 1
    assert "away  connecting  -" in done.stdout
    assert f"away: cannot reach {UNREACHABLE}: connection refused" in done.stdout


def test_watching_is_for_people(tmp_path: Path) -> None:
    """A program asks again."""
    done = xentrail("status", "--watch", "--format", "json", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "--watch shows a table" in done.stderr


@pytest.mark.parametrize("command", ["status", "follow", "reload"])
def test_no_recorder_is_said_in_a_line(command: str, tmp_path: Path) -> None:
    """Nothing was started, or it was killed and left its socket: exit code 10."""
    place = tmp_path / "control.sock"
    expected = (
        f"xentrail: no recorder runs on {tmp_path}: nothing listens at {place};"
        " --data names its folder, and xentrail record starts one"
    )
    assert said(xentrail(command, "--data", str(tmp_path)), 10) == expected
    endpoint.listen(tmp_path).close()
    assert said(xentrail(command, "--data", str(tmp_path)), 10) == expected


# -- follow ------------------------------------------------------------------------------------


def test_follow_tells_events_as_json_lines_until_ctrl_c(pool: SimulatedAt, tmp_path: Path) -> None:
    """Each is in the journal under its number, as it is told; Ctrl-C ends it with 0."""
    with running(tmp_path, pool_table(pool.url)) as one:
        args = ("--format", "json", "--kind", "event", "--class", "vm", "--object", "vm-00")
        with following(one.data, *args) as process:
            told = [json.loads(line) for line in lines_of(process, 5)]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=WAIT_S_MAX)
    assert (process.returncode, errors) == (0, "")
    entries = {entry.seq: entry.body for entry in scan(one.data / "journal")}
    for line in told:
        body = entries[line["seq"]]
        assert (line["kind"], line["pool"], line["class"]) == ("event", "lab", "vm")
        assert line["name"].startswith("vm-00")
        snapshot = getattr(body, "snapshot", b"")
        assert line["snapshot"] == json.loads(snapshot)
        assert line["event_id"] == getattr(body, "id", None)


def test_follow_ends_with_the_recorder(pool: SimulatedAt, tmp_path: Path) -> None:
    """Its last words are told, and that it stopped; that is a good end."""
    with (
        running(tmp_path, pool_table(pool.url)) as one,
        following(one.data, "--kind", "gap", "--kind", "mark") as process,
    ):
        assert lines_of(process, 1)[0].split() == [
            "received", "entry", "pool", "what", "how", "object"
        ]  # fmt: skip
        stop(one.process)
        out, errors = process.communicate(timeout=WAIT_S_MAX)
    assert (process.returncode, errors) == (0, "xentrail: the recorder stopped\n")
    gap, stopped = out.splitlines()
    assert gap.split()[2:5] == ["lab", "gap", "opened"]
    assert "recorder-stopped" in gap
    assert stopped.split()[2:] == ["stopped", "mark"]


def test_follow_says_when_the_recorder_was_killed(pool: SimulatedAt, tmp_path: Path) -> None:
    """That is no good end: the journal will tell of a gap."""
    with (
        running(tmp_path, pool_table(pool.url)) as one,
        following(one.data) as process,
    ):
        lines_of(process, 1)
        one.process.kill()
        _, errors = process.communicate(timeout=WAIT_S_MAX)
    assert process.returncode == 10
    expected = "xentrail: the recorder is gone without a word: it was killed, or has failed\n"
    assert errors == expected


def test_follow_ends_when_nobody_reads_on(pool: SimulatedAt, tmp_path: Path) -> None:
    """`xentrail follow | head` ends as `tail -f | head` does, without a complaint."""
    with running(tmp_path, pool_table(pool.url)) as one:
        done = subprocess.run(
            ["sh", "-c", f"'{XENTRAIL}' follow --format json --data '{one.data}' | head -n 2"],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S_MAX,
        )
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")


def test_follow_of_an_unknown_pool_is_refused(pool: SimulatedAt, tmp_path: Path) -> None:
    """A typing error would be followed for ever, in silence; the shell knows the names."""
    with running(tmp_path, pool_table(pool.url)) as one:
        done = xentrail("follow", "--pool", "lap", "--data", str(one.data))
        assert offered("follow", "--pool", "l", data=one.data) == ["lab"]
    assert offered("follow", "--pool", "l", data=one.data) == []
    assert said(done, 2) == "xentrail: no pool 'lap' is recorded; did you mean 'lab'?"


# -- reload ------------------------------------------------------------------------------------


def epochs(data: Path) -> dict[str, int | None]:
    told = json.loads(xentrail("status", "--format", "json", "--data", str(data)).stdout)
    return {one["pool"]: one["epoch"] for one in told["pools"]}


def test_reload_adds_and_removes_pools_and_leaves_the_others(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Told pool by pool; the one that stays keeps its epoch and has no gap."""
    with running(tmp_path, pool_table(pool.url)) as one:
        before = epochs(one.data)
        write_config(tmp_path, pool_table(pool.url), pool_table(UNREACHABLE, "new"))
        text = one.config.read_text(encoding="utf-8")
        one.config.write_text(text + "[limits]\ncensus_s = 7.0\n", encoding="utf-8")
        added = xentrail("reload", "--data", str(one.data))
        between = epochs(one.data)
        write_config(tmp_path, pool_table(pool.url))
        removed = xentrail("reload", "--data", str(one.data), "--format", "json")
        after = epochs(one.data)
        gaps = [entry for entry in scan(one.data / "journal") if isinstance(entry.body, GapOpened)]
    assert added.returncode == 0
    assert added.stdout == "lab: goes on\nnew: is recorded from now on\n"
    assert added.stderr == (
        "xentrail: limits.census_s has changed and needs a restart of the recorder\n"
    )
    assert json.loads(removed.stdout) == {
        "pools": [{"pool": "lab", "action": "kept"}, {"pool": "new", "action": "removed"}],
        "needs_restart": [],
        "schedules": [],
    }
    assert (before, between, after) == (before, before | {"new": None}, before)
    assert gaps == []


def test_reload_of_a_file_with_mistakes_tells_all_of_them(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Nothing is changed, and the recorder goes on."""
    with running(tmp_path, pool_table(pool.url)) as one:
        before = epochs(one.data)
        text = one.config.read_text(encoding="utf-8").replace('password"', 'passwort"')
        one.config.write_text("colour = 1\n" + text, encoding="utf-8")
        done = xentrail("reload", "--data", str(one.data))
        assert epochs(one.data) == before
        one.config.write_text("", encoding="utf-8")
        single = xentrail("reload", "--data", str(one.data))
    assert done.returncode == 2
    first, *mistakes = done.stderr.splitlines()
    assert first == "xentrail: 2 mistakes; nothing was changed:"
    assert mistakes[0].startswith(f"  {one.config}: unknown key colour; known: pools,")
    assert mistakes[1].startswith(f"  pool lab: password file {tmp_path / 'passwort'} cannot be")
    assert said(single, 2) == (
        f"xentrail: {one.config}: no pool to record: add a [[pools]] table; nothing was changed"
    )


def test_sighup_reloads(pool: SimulatedAt, tmp_path: Path) -> None:
    """The log tells what was done; a recorder without its terminal is not ended by it."""
    with running(tmp_path, pool_table(pool.url)) as one:
        write_config(tmp_path, pool_table(pool.url, "renamed"))
        one.process.send_signal(signal.SIGHUP)
        assert "added=renamed removed=lab" in wait_for(one.process, ["reloaded"])
        wait_for(one.process, ["recording"])
    bodies = {entry.pool: entry.body for entry in scan(one.data / "journal") if entry.pool}
    for name in ("lab", "renamed"):
        last = bodies[name]
        assert isinstance(last, GapOpened)
        assert last.cause is GapCause.RECORDER_STOPPED


# -- two recorders -----------------------------------------------------------------------------


def test_second_recorder_takes_nothing_from_the_first(pool: SimulatedAt, tmp_path: Path) -> None:
    """It is refused, and the first one still answers; a killed one is replaced."""
    with running(tmp_path, pool_table(pool.url)) as one:
        done = xentrail("record", "--config", str(one.config))
        assert done.returncode == 40
        assert list(epochs(one.data)) == ["lab"]
        os.kill(one.process.pid, signal.SIGKILL)
        one.process.wait(WAIT_S_MAX)
        assert (one.data / "control.sock").is_socket()
        with recorder(one.config) as again:
            wait_for(again, ["gap-closed"])
            assert list(epochs(one.data)) == ["lab"]
            stop(again)
        assert not (one.data / "control.sock").exists()
