"""`xentrail sql`: one statement, several from standard input, and a prompt on a real terminal."""

import fcntl
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from query.load.loader import refresh
from tests.cli.programs import XENTRAIL
from tests.cli.questions import Program
from tests.history.journals import Pool, Told, record, write_journal

WAIT_S_MAX = 20.0
PROMPT = "xentrail>"
TYPED = "\x1b[?2004l"
"""What the library tells the terminal when a statement was typed to its end."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.event("add", "vm", "web1", record("web1"))
    lab.lose()
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def test_table_has_a_limit_and_says_what_it_left_out(run: Program) -> None:
    """JSON and CSV have every row."""
    ran = run("sql", "SELECT range AS n FROM range(7)", "--limit", "2")
    assert ran.out == "n\n0\n1\n"
    assert ran.err == "xentrail: the first 2 rows; 5 more are left out: --limit shows more\n"
    ran = run("sql", "SELECT range AS n FROM range(5000)")
    assert len(ran.out.splitlines()) == 1001
    ran = run("sql", "SELECT range AS n FROM range(200000)", "--limit", "1")
    assert "more than 100000 more are left out" in ran.err
    ran = run("sql", "SELECT range AS n FROM range(5000)", "--format", "json", "--limit", "2")
    assert (json.loads(ran.out)[-1], ran.err) == ({"n": 4999}, "")
    assert run("sql", "SELECT 1 AS n WHERE false", "--format", "json").out == "[]\n"


def test_wide_answer_fits_the_terminal(run: Program) -> None:
    """Columns give way, the widest first; no line is longer than the screen."""
    ran = run("sql", "SELECT repeat('a', 5000) AS long, repeat('b', 100) AS less, 1 AS n")
    assert [len(line.rstrip()) <= 120 for line in ran.out.splitlines()] == [True, True]
    assert ran.out.splitlines()[1].split()[2] == "1"


@pytest.fixture
def ask_by_stdin(run: Program, monkeypatch: pytest.MonkeyPatch) -> object:
    def ask(text: str, *words: str) -> tuple[str, str, int]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        ran = run("sql", *words)
        return ran.out, ran.err, ran.code

    return ask


def test_statements_come_from_standard_input(ask_by_stdin: object) -> None:
    """Each is answered; the first that is wrong ends it."""
    assert callable(ask_by_stdin)
    text = "SELECT 1 AS a; -- one; not two\nSELECT ';' AS b;\n"
    assert ask_by_stdin(text) == ("a\n1\n\nb\n;\n", "", 0)
    out, _, _ = ask_by_stdin(text, "--format", "json")
    assert out == '[\n  {"a":1}\n]\n[\n  {"b":";"}\n]\n'
    out, err, code = ask_by_stdin("SELECT 1 AS a; SELECT b; SELECT 2")
    assert (out, code) == ("a\n1\n\n", 60)
    assert err.startswith("xentrail: Binder Error: ")
    out, err, code = ask_by_stdin(text, "--format", "csv")
    assert (out, code) == ("", 2)
    assert "several answers make no CSV" in err
    assert ask_by_stdin("\n")[2] == 2


def test_statement_that_does_something_is_refused(run: Program) -> None:
    """Before the history is even opened."""
    ran = run("sql", "DELETE FROM events")
    assert (ran.out, ran.code) == ("", 60)
    assert ran.err.startswith("xentrail: the history can only be asked: write SELECT, ")


def test_strict_is_about_the_whole_history(run: Program) -> None:
    """Nobody can tell which part of it a statement depends on."""
    ran = run("sql", "SELECT 1 AS one", "--strict")
    assert (ran.out, ran.code) == ("one\n1\n", 1)
    assert ran.err.startswith("xentrail: gap @4 of pool lab (connection-lost)")
    ran = run("sql", "SELECT 1 AS one")
    assert (ran.err, ran.code) == ("", 0)


def test_schema_is_printed_column_by_column(run: Program) -> None:
    """Name, type and what it says."""
    lines = run("sql", "--schema").out.splitlines()
    at = lines.index("loads (table)")
    assert lines[at + 2].split(maxsplit=2) == [
        *("last_seq", "BIGINT", "seq of the last entry that it loaded")
    ]


# -- the prompt, in a terminal -----------------------------------------------------------------


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words: list[str], environ: dict[str, str]) -> None:
        mine, theirs = pty.openpty()
        termios.tcsetwinsize(mine, (40, 100))
        self._mine = mine
        self._seen = ""
        self.process = subprocess.Popen(
            words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
            preexec_fn=_takes_the_terminal,  # noqa: PLW1509  # no thread holds a lock
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._mine, text.encode())

    def wait_for(self, text: str) -> str:
        """Read until a text was seen; return what came before it and forget both."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while text not in self._seen:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"no {text!r} in {self._seen!r}"
            if select.select([self._mine], [], [], left_s)[0]:
                self._seen += os.read(self._mine, 65536).decode()
        before, _, self._seen = self._seen.partition(text)
        return before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._mine)


def _takes_the_terminal() -> None:
    """Let Ctrl-C on the terminal reach the process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def at_prompt(data: Path, tmp_path: Path) -> Iterator[Terminal]:
    environ = {
        **os.environ,
        "XENTRAIL_DATA": str(data),
        "XDG_STATE_HOME": str(tmp_path),
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "TERM": "xterm",
    }
    terminal = Terminal([XENTRAIL, "sql"], environ)
    try:
        terminal.wait_for(PROMPT)
        yield terminal
    finally:
        terminal.close()


def test_prompt_answers_goes_on_after_errors_and_ends(
    at_prompt: Terminal, data: Path, tmp_path: Path
) -> None:
    """Many lines up to a semicolon; Ctrl-C ends the question, Ctrl-D the prompt."""
    at_prompt.type("SELECT 40 +\r2 AS n;\r")
    at_prompt.wait_for("42")
    at_prompt.type("SELECT n;\r")
    at_prompt.wait_for("xentrail: Binder Error: ")
    at_prompt.wait_for(PROMPT)
    loaded = refresh(data)  # The file is nobody's while the prompt waits.
    assert loaded.warnings == ()
    at_prompt.type("SELECT count(*) FROM range(1000000) a, range(1000000) b")
    at_prompt.type(" WHERE a.range + b.range < 0;\r")
    at_prompt.wait_for(TYPED)
    time.sleep(0.2)  # Wherever it is by then, Ctrl-C ends the question and not the prompt.
    at_prompt.type("\x03")
    at_prompt.wait_for("xentrail: interrupted")
    at_prompt.wait_for(PROMPT)
    at_prompt.type(".schema loads\r")
    at_prompt.wait_for("seq of the last entry")
    at_prompt.wait_for(PROMPT)
    at_prompt.type("\x04")
    assert at_prompt.process.wait(WAIT_S_MAX) == 0
    typed = tmp_path / "xentrail" / "sql_history"
    assert typed.stat().st_mode & 0o777 == 0o600
    assert "+SELECT 40 +\n+2 AS n;\n" in typed.read_text(encoding="utf-8")
