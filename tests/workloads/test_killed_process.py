"""`kill -9` of the real process that drives a run, over TLS, and `workload resume` after it."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recorder.journal.scan import scan
from recorder.model import Mark, MarkName
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
from tests.workloads.theatre import script, step

POOL = ("--hosts", "2", "--vms", "3", "--realtime", "0.1")


def marks(data: Path, *names: MarkName) -> list[Mark]:
    bodies = (entry.body for entry in scan(data / "journal"))
    return [body for body in bodies if isinstance(body, Mark) and body.name in names]


def config_of(folder: Path, pool: SimulatedAt) -> Path:
    tls = f'tls = {{ fingerprint = "{pool.fingerprint}" }}\n'
    return write_config(folder, pool_table(pool.tls_url, extra=tls))


@contextmanager
def workload(*args: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [XENTRAIL, "workload", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until_called(data: Path, count: int) -> str:
    """Wait until so many calls were made; return the name of the run."""
    late_s = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < late_s:
        if (data / "journal").exists() and any((data / "journal").glob("*.journal")):
            called = marks(data, MarkName.STEP_CALLED)
            if len(called) >= count:
                return str(called[0].detail["run"])
        time.sleep(0.02)
    raise AssertionError("the run made no calls")


def check_done(data: Path, out: str) -> None:
    """All that was planned was done once, and is told as done."""
    report = json.loads(out)
    assert (report["status"], report["held"]) == ("completed", True), report
    intended = marks(data, MarkName.STEP_INTENDED)
    keys = ("ref", "method", "round")
    places = Counter(tuple(one.detail[key] for key in keys) for one in intended)
    assert set(places.values()) == {1}
    outcomes = {one.detail["step"]: one.detail for one in marks(data, MarkName.STEP_ENDED)}
    assert len(outcomes) == len(intended)
    tasks = [one.detail["task"] for one in marks(data, MarkName.STEP_CALLED)]
    assert len(tasks) == len(set(tasks))


@pytest.mark.parametrize("calls", [pytest.param(1, marks=pytest.mark.soak), 4])
def test_killed_recorder_is_started_again_and_its_run_goes_on(tmp_path: Path, calls: int) -> None:
    """Who asked for the run is told that the recorder is gone; the log of the next says what to do.

    `workload runs` and `show` tell it, too.
    """
    file, data = tmp_path / "script.toml", tmp_path / "data"
    file.write_text(script(step("powercycle", vms={"names": ["*"], "count": 2})), encoding="utf-8")
    with simulator(*POOL) as pool:
        config = config_of(tmp_path, pool)
        with recorder(config) as process:
            wait_for(process, ["recording"])
            with workload("run", str(file), "--pool", "lab", "--data", str(data)) as run:
                name = until_called(data, calls)
                process.send_signal(signal.SIGKILL)
                _, errors = run.communicate(timeout=WAIT_S_MAX)
            process.wait()
        assert run.returncode == 10
        assert "the recorder is gone" in errors
        with recorder(config) as process:
            assert name in wait_for(process, ["run-without-end"])
            died = xentrail("workload", "runs", "--data", str(data))
            resumed = xentrail(
                *("workload", "resume", name[:17], "--data", str(data), "--format", "json")
            )
            stop(process)
    assert resumed.returncode == 0, resumed.stderr
    check_done(data, resumed.stdout)
    assert "died" in died.stdout
    assert f"xentrail workload resume {name} goes on" in died.stderr
    shown = xentrail("workload", "show", name, "--data", str(data))
    assert "completed; all that was expected held; resumed 1 x" in shown.stderr
    audited = xentrail("workload", "audit", name, "--data", str(data), "--format", "json")
    assert "contradicted" not in audited.stdout, audited.stdout
    assert "provable" in audited.stdout or "proven" in audited.stdout


def test_killed_command_that_recorded_by_itself_is_resumed_by_another(tmp_path: Path) -> None:
    """With no recorder that runs, the command with the configuration drives, and so does the next.

    What is over is not resumed once more.
    """
    file, data = tmp_path / "script.toml", tmp_path / "data"
    file.write_text(script(step("powercycle", vms={"names": ["*"], "count": 1})), encoding="utf-8")
    with simulator(*POOL) as pool:
        config = str(config_of(tmp_path, pool))
        with workload("run", str(file), "--pool", "lab", "--config", config) as run:
            name = until_called(data, 2)
            run.kill()
            run.wait()
        resumed = xentrail("workload", "resume", name, "--config", config, "--format", "json")
        again = xentrail("workload", "resume", name, "--config", config)
    assert resumed.returncode == 0, resumed.stderr
    check_done(data, resumed.stdout)
    assert again.returncode == 50
    assert again.stderr.splitlines()[-1] == (
        f"xentrail: run {name} is over: completed, all that could be done was"
    )
