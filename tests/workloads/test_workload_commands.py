"""`xentrail workload`, as real processes: what is printed, and how it ends."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from recorder.journal.scan import scan
from recorder.model import Mark, MarkName
from tests.cli.programs import (
    WAIT_S_MAX,
    XENTRAIL,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)
from tests.cli.questions import Program
from tests.workloads.theatre import script, step

FAST = ("--hosts", "2", "--vms", "4", "--realtime", "0.05")


def marks(data: Path, name: MarkName) -> list[Mark]:
    bodies = (entry.body for entry in scan(data / "journal"))
    return [body for body in bodies if isinstance(body, Mark) and body.name is name]


def write(folder: Path, text: str) -> str:
    file = folder / "script.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_workload_without_a_recorder_is_recorded_while_it_runs(tmp_path: Path) -> None:
    """The pool is recorded from before the first call until after the last, and then no more.

    Who records may only read; who runs the workload is another.
    """
    file = write(tmp_path, script(step("powercycle", vms={"names": ["*"], "count": 2})))
    users = ("--user", "eye:xentrail:read-only", "--user", "hand:xentrail:pool-operator")
    login = f'workload = {{ user = "hand", password_file = "{tmp_path / "password"}" }}'
    with simulator(*FAST, *users) as pool:
        table = pool_table(pool.url, extra=f'user = "eye"\n{login}\n')
        config = str(write_config(tmp_path, table))
        (tmp_path / "eye").mkdir()
        table = pool_table(pool.url, extra='user = "eye"\n')
        reads = str(write_config(tmp_path / "eye", table))
        not_allowed = xentrail("workload", "run", file, "--pool", "lab", "--config", reads)
        dry = xentrail("workload", "run", file, "--pool", "lab", "--config", config, "--dry-run")
        done = xentrail(
            *("workload", "run", file, "--pool", "lab", "--config", config, "--format", "json")
        )
    assert not_allowed.returncode == 50
    assert not_allowed.stderr.splitlines()[-1] == (
        "xentrail: user 'eye' may not call VM.clean_shutdown, VM.resume, VM.start, VM.suspend on"
        " pool lab; name one who may in [pools.workload] of the pool"
    )
    assert (dry.returncode, done.returncode) == (0, 0), dry.stderr + done.stderr
    assert dry.stdout.startswith("a test on pool lab, seed 1: 2 VMs, ")
    report = json.loads(done.stdout)
    assert (report["status"], report["held"]) == ("completed", True)
    data = tmp_path / "data"
    (started,) = marks(data, MarkName.RUN_STARTED)
    (ended,) = marks(data, MarkName.RUN_ENDED)
    assert started.detail["run"] == ended.detail["run"] == report["run"]
    assert started.detail["user"] == "hand"
    assert {mark.detail["user"] for mark in marks(data, MarkName.CONNECTED)} == {"eye"}
    assert len(marks(data, MarkName.STOPPED)) == 2
    assert not (data / "control.sock").exists()


def test_ctrl_c_ends_a_run_in_good_order(tmp_path: Path) -> None:
    """The recorder cancels its tasks, and the command says how it ended: not well."""
    file = write(tmp_path, script(step("powercycle", iterations=1000)))
    with simulator(*FAST) as pool:
        config = write_config(tmp_path, pool_table(pool.url))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            command = [XENTRAIL, "workload", "run", file, "--pool", "lab"]
            with subprocess.Popen(
                [*command, "--data", str(tmp_path / "data")],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as run:
                wait_for(process, ["run-started"])
                assert run.stderr is not None
                assert run.stderr.readline().startswith("a test on pool lab")
                run.send_signal(signal.SIGINT)
                out, errors = run.communicate(timeout=WAIT_S_MAX)
            name = str(marks(tmp_path / "data", MarkName.RUN_STARTED)[0].detail["run"])
            back = xentrail(
                *("workload", "resume", name, "--restore", "--data", str(tmp_path / "data"))
            )
            stop(process)
    assert run.returncode == 50, errors
    assert "ending the run" in errors
    assert f"to go on with it: xentrail workload resume {name}; with --restore only" in errors
    assert back.returncode == 0, back.stderr
    assert f"run {name} restored after" in back.stdout
    assert "cancelled after" in out
    assert "NOT all that was expected held" in out
    ended, restored = marks(tmp_path / "data", MarkName.RUN_ENDED)
    assert ended.detail["status"] == "cancelled"
    assert restored.detail["status"] == "restored"
    outcomes = marks(tmp_path / "data", MarkName.STEP_ENDED)
    assert len(outcomes) == len(marks(tmp_path / "data", MarkName.STEP_INTENDED))


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    """The command line in this process, on a folder without a recorder."""
    return Program(tmp_path / "data", capsys, monkeypatch)


def test_what_cannot_be_run_is_one_error_with_what_to_do(tmp_path: Path, run: Program) -> None:
    """Mistakes of the script come first; then there has to be a recorder, or a configuration."""
    file = write(tmp_path, "name = 3\nstep = []")
    wrong = run("workload", "run", file, "--pool", "lab")
    assert (wrong.code, wrong.out) == (50, "")
    assert wrong.err.splitlines() == [
        f"xentrail: {file}: name: Expected `str`, got `int`",
        f"  {file}: unknown key step; did you mean 'steps'?",
        f"  {file}: steps: is missing",
    ]
    missing = run("workload", "run", f"{file}x", "--pool", "lab")
    assert missing.code == 50
    assert missing.err == f"xentrail: {file}x: cannot be read: No such file or directory\n"
    write(tmp_path, script(step()))
    nobody = run("workload", "run", file, "--pool", "lab")
    assert nobody.code == 10
    assert "give --config FILE to record the pool while the workload runs" in nobody.err
    config = str(write_config(tmp_path, pool_table("http://127.0.0.1:1")))
    other = run("workload", "run", file, "--pool", "lob", "--config", config)
    assert other.code == 2
    assert other.err == "xentrail: no pool is called 'lob' in the configuration; known: lab\n"


def test_pool_that_cannot_be_reached_is_the_error_of_its_workload(tmp_path: Path) -> None:
    """What ended the recorder is told, not that it is gone."""
    file = write(tmp_path, script(step()))
    config = write_config(tmp_path, pool_table("http://127.0.0.1:1"))
    config.write_text(
        config.read_text(encoding="utf-8") + "[limits]\nstart_timeout_s = 0.2\n", encoding="utf-8"
    )
    away = xentrail("workload", "run", file, "--pool", "lab", "--config", str(config))
    assert away.returncode == 10
    assert away.stderr.splitlines()[-1].startswith("xentrail: cannot reach http://127.0.0.1:1: ")


def test_list_tells_scripts_and_mistakes(tmp_path: Path, run: Program) -> None:
    """One that is wrong does not hide the others."""
    write(tmp_path, script(step("clone"), step("permute")))
    (tmp_path / "wrong.toml").write_text("name = 3", encoding="utf-8")
    listed = run("workload", "list", str(tmp_path))
    assert listed.out == f"{tmp_path}/script.toml  a test (clone, permute)\n"
    assert "wrong.toml: name: Expected `str`, got `int`" in listed.err
    empty = tmp_path / "empty"
    empty.mkdir()
    none = run("workload", "list", str(empty))
    assert (none.code, none.err) == (2, f"xentrail: {empty} holds no scripts (*.toml)\n")
