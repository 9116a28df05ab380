"""`xentrail demo`: one command that records, survives, verifies, loads and tells."""

from pathlib import Path

from recorder.journal.verify import verify
from tests.cli.programs import xentrail


def test_demo_tells_the_whole_story_twice(tmp_path: Path) -> None:
    """Every chapter is printed, every expectation holds, and a second run sweeps the first away."""
    data = tmp_path / "demo"
    for _ in range(2):
        done = xentrail("demo", "--data", str(data))
        assert done.returncode == 0, done.stdout + done.stderr
    for text in (
        "what was recorded",
        "events-lost",
        "session-lost",
        "inferred across gap @",
        "power_state: Halted → Running",
        "described after the lost session",
        "VM_BAD_POWER_STATE",
        "try next",
    ):
        assert text in done.stdout, text
    assert "EVENTS_LOST, survived" in done.stderr
    assert verify(data / "journal").findings == ()


def test_demo_leaves_data_that_answers(tmp_path: Path) -> None:
    """The commands that it proposes work on what it left behind."""
    data = str(tmp_path / "demo")
    xentrail("demo", "--data", data)
    for command in (
        ("history", "north/vm-003"),
        ("at", "-10s", "--class", "vm"),
        ("gaps",),
        ("tasks", "--failed"),
        ("sql", "SELECT class, count(*) AS events FROM events GROUP BY class"),
        ("verify",),
    ):
        done = xentrail(*command, "--data", data)
        assert done.returncode == 0, done.stderr
        assert done.stdout


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
