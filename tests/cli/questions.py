"""The commands that ask a history, run in this process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from query import cli


@dataclass
class Ran:
    """What a command wrote, and its exit code."""

    out: str
    err: str
    code: int


@dataclass
class Program:
    """The command line, run in this process."""

    data: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *words: str) -> Ran:
        """Run one command on the data."""
        self.monkeypatch.setattr(sys, "argv", ["xentrail", *words])
        self.monkeypatch.setenv("XENTRAIL_DATA", str(self.data))
        self.monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = self.capsys.readouterr()
        code = ended.value.code
        return Ran(captured.out, captured.err, code if isinstance(code, int) else 0)
