"""The short way of `xentrail record`: for nothing else, and no other than the long one."""

import gc
from pathlib import Path

import pytest

from query import cli, main
from query.main import Recording, plain_recording
from tests.cli.programs import modules_after

FILE = Path("r.toml")


@pytest.mark.parametrize(
    ("words", "recording"),
    [
        ("record --config r.toml", Recording(FILE, None)),
        ("record --config r.toml --data d", Recording(FILE, Path("d"))),
        ("record --data d --config r.toml", Recording(FILE, Path("d"))),
    ],
)
def test_what_a_supervisor_says_goes_the_short_way(words: str, recording: Recording) -> None:
    """In whichever order."""
    assert plain_recording(words.split(), {}) == recording


@pytest.mark.parametrize(
    "words",
    [
        "",
        "record",
        "record --help",
        "record --config",
        "record --config r.toml --help",
        "record --config r.toml --data",
        "record --config --data",
        "record --config=r.toml",
        "record --data d",
        "record --config r.toml --config s.toml",
        "record --config r.toml more",
        "record --config r.toml --colour red",
        "check --config r.toml",
        "--version",
    ],
)
def test_anything_else_is_for_the_command_line(words: str) -> None:
    """Also what is wrong: there is one place that says so."""
    assert plain_recording(words.split(), {}) is None


def test_the_folder_may_come_from_its_variable() -> None:
    """An option goes before it, and an empty one says nothing, as on the long way."""
    words = ["record", "--config", "r.toml"]
    assert plain_recording(words, {"XENTRAIL_DATA": "v"}) == Recording(FILE, Path("v"))
    assert plain_recording(words, {"XENTRAIL_DATA": ""}) == Recording(FILE, None)
    given = plain_recording([*words, "--data", "d"], {"XENTRAIL_DATA": "v"})
    assert given == Recording(FILE, Path("d"))


def test_who_completes_a_command_line_does_not_start_a_recorder() -> None:
    """The shell runs the words that were typed so far."""
    words = ["record", "--config", "r.toml"]
    assert plain_recording(words, {"_XENTRAIL_COMPLETE": "complete_bash"}) is None


def test_both_ways_fail_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same message, and the same exit code."""
    (tmp_path / "bad.toml").write_text("pools = 7")
    (tmp_path / ".xentrail-demo").touch()
    (tmp_path / "good.toml").write_text(
        f'data = "{tmp_path}"\n[[pools]]\nname = "p"\naddresses = ["https://h"]\nuser = "u"\n'
        'password_env = "P"\ntls.verify = false\n'
    )
    for name in ("none.toml", "bad.toml", "good.toml"):
        words = ["record", "--config", str(tmp_path / name)]
        monkeypatch.setattr("sys.argv", ["xentrail", *words])
        assert plain_recording(words, {}) is not None
        told = []
        for way in (main.main, cli.main):
            with pytest.raises(SystemExit) as left:
                way()
            told.append((left.value.code, capsys.readouterr()))
        gc.unfreeze()  # These tests are not a recorder.
        assert told[0] == told[1]
        assert told[0][0] == 2


def test_recorder_starts_without_what_it_does_not_need() -> None:
    """Neither what parses command lines, nor what asks the history, nor what plays a pool."""
    loaded = modules_after(
        "import gc; from query import main; main.import_recorder(); assert gc.isenabled()"
    )
    assert "recorder.service.daemon" in loaded
    slow = {"typer", "click", "rich", "duckdb", "pyarrow", "cryptography", "query.cli"}
    assert slow & loaded == set()
    assert not any(name.startswith("recorder.simulator") for name in loaded)
