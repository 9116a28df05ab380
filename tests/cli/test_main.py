"""The console script: what leaves it when something goes wrong that nobody foresaw."""

import pytest
import typer

from query import cli


def test_bug_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unforeseen error is said to be a bug, with an exit code of its own."""
    broken = typer.Typer()

    @broken.command()
    def fail() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr("sys.argv", ["xentrail"])
    monkeypatch.delenv("XENTRAIL_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 70
    assert capsys.readouterr().err == (
        "xentrail: internal error: ZeroDivisionError: by nothing; this is a bug in xentrail, please"
        " report it (XENTRAIL_TRACEBACK=1 shows where it happened)\n"
    )


def test_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reports the bug can see where it happened."""
    broken = typer.Typer()

    @broken.command()
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr("sys.argv", ["xentrail"])
    monkeypatch.setenv("XENTRAIL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()
