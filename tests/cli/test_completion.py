"""What the Tab key offers, by the protocol between a shell and the program."""

import os
import subprocess
from pathlib import Path

import pytest

from query.history.database import open_for_loading
from tests.cli.programs import (
    WAIT_S_MAX,
    XENTRAIL,
    modules_after,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)


def offered(*words: str, protocol: str = "bash", data: Path | None = None) -> list[str]:
    """Return what a shell would offer for the last of these words; nothing else may be said."""
    line = " ".join(["xentrail", *words])
    environ = {
        **os.environ,
        "_XENTRAIL_COMPLETE": f"complete_{protocol}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    if data is not None:
        environ["XENTRAIL_DATA"] = str(data)
    done = subprocess.run(
        [XENTRAIL], env=environ, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the history of a pool of two VMs."""
    folder = tmp_path_factory.mktemp("completion")
    with simulator("--vms", "2", "--hosts", "1", "--activity", "0") as pool:
        config = write_config(folder, pool_table(pool.url))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            stop(process)
    assert xentrail("events", "--data", str(folder / "data")).returncode == 0
    return folder / "data"


def test_commands_and_options_are_offered() -> None:
    """The words that the program knows by itself."""
    assert offered("ev") == ["events"]
    assert offered("check") == ["check", "check-proof"]
    assert offered("tasks", "--stat") == ["--status"]
    assert offered("tasks", "--status", "f") == ["failure"]


def test_objects_are_offered_by_the_beginning_of_their_name(data: Path) -> None:
    """Names of the history, with a qualifier that stays where it is."""
    assert offered("history", "--data", str(data), "vm-0")[:2] == ["vm-001", "vm-001 disk 0"]
    assert offered("history", "vm-002", data=data) == ["vm-002", "vm-002 disk 0"]
    assert offered("history", "lab/vm-002", data=data) == ["lab/vm-002", "lab/vm-002 disk 0"]
    assert offered("history", "lab/vm:vm-002", data=data) == ["lab/vm:vm-002"]
    assert offered("at", "now", "vm:vm-002", data=data) == ["vm:vm-002"]
    assert offered("events", "--class", "VDI", "vm-002", data=data) == ["vm-002 disk 0"]
    assert offered("history", "--pool", "other", "vm-002", data=data) == []


def test_shells_that_show_it_are_told_what_an_object_is(data: Path) -> None:
    """zsh and fish put the class and the pool beside a name."""
    assert '"vm-002":"vm of lab"' in " ".join(
        offered("history", "vm-002", protocol="zsh", data=data)
    )
    assert "vm-002\tvm of lab" in offered("history", "vm-002", protocol="fish", data=data)


def test_pools_and_classes_are_offered(data: Path) -> None:
    """Pools as they were recorded; classes in whatever case was begun with."""
    assert offered("gaps", "--data", str(data), "--pool", "l") == ["lab"]
    assert offered("events", "--class", "vm_m", data=data) == ["vm_metrics"]
    assert offered("events", "--class", "VM_m", data=data) == ["VM_metrics"]


def test_pools_of_the_configuration_are_offered_to_check(tmp_path: Path) -> None:
    """A check is about what is configured, recorded or not."""
    config = write_config(tmp_path, pool_table("https://a", "paris"), pool_table("https://b", "p2"))
    assert offered("check", "--config", str(config), "--pool", "p") == ["paris", "p2"]
    assert offered("check", "--config", str(tmp_path / "none.toml"), "--pool", "p") == []


def test_history_that_cannot_be_asked_offers_nothing(data: Path, tmp_path: Path) -> None:
    """No history, a broken one, one that is just being loaded: silence, and no new file."""
    assert offered("history", "vm", data=tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    (tmp_path / "history.duckdb").write_bytes(b"x" * 5000)
    assert offered("history", "vm", data=tmp_path) == []
    assert offered("gaps", "--pool", "l", data=tmp_path) == []
    with open_for_loading(data / "history.duckdb"):
        assert offered("history", "vm", data=data) == []


def test_words_are_offered_without_loading_what_is_slow() -> None:
    """Somebody waits: what is only needed to answer questions is not loaded to offer words."""
    slow = {"duckdb", "pyarrow", "trio", "cryptography", "altair", "vl_convert"}
    slow |= {"rich.progress", "importlib.metadata"}
    assert slow & modules_after("import query.cli") == set()


def test_script_for_the_shell_asks_by_the_same_protocol() -> None:
    """What --install-completion writes for the shell calls the program as these tests do."""
    done = subprocess.run(
        [XENTRAIL],
        env={**os.environ, "_XENTRAIL_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    )
    assert "_XENTRAIL_COMPLETE=complete_bash" in done.stdout
