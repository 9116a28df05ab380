"""`xentrail demo`: one command that records, survives, verifies, loads and tells."""

from pathlib import Path

import pytest

from recorder.journal.verify import verify
from tests.cli.programs import xentrail


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that was interrupted once and then run to its end."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    folder.mkdir()
    (folder / ".xentrail-demo").touch()
    (folder / "left by the demo before").touch()
    return folder


@pytest.fixture(scope="module")
def story(data: Path) -> str:
    """What the demo printed."""
    done = xentrail("demo", "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "EVENTS_LOST, survived" in done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "what was recorded",
        "events-lost",
        "session-lost",
        "inferred across gap @",
        "power_state: Halted → Running",
        "described after the lost session",
        "VM_BAD_POWER_STATE",
        "try next",
    ],
)
def test_demo_tells_the_whole_story(story: str, text: str) -> None:
    """Every chapter is printed, and every expectation held."""
    assert text in story


def test_demo_sweeps_away_the_one_before(story: str, data: Path) -> None:
    """A folder that a demo left behind is used again."""
    assert story
    assert not (data / "left by the demo before").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("history", "north/vm-003"),
        ("at", "-10s", "--class", "vm"),
        ("gaps",),
        ("tasks", "--failed"),
        ("sql", "SELECT class, count(*) AS events FROM events GROUP BY class"),
        ("verify",),
    ],
)
def test_demo_leaves_data_that_answers(story: str, data: Path, command: tuple[str, ...]) -> None:
    """The commands that it proposes work on what it left behind."""
    assert story
    done = xentrail(*command, "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert verify(data / "journal").findings == ()


def test_demo_does_not_sweep_away_what_is_not_its_own(tmp_path: Path) -> None:
    """A folder with anything else in it is left alone."""
    (tmp_path / "precious").touch()
    done = xentrail("demo", "--data", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        f"xentrail: {tmp_path} is not empty and not from a demo;"
        " choose another folder with --data DIR\n"
    )
    assert (tmp_path / "precious").exists()
