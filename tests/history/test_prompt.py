"""The prompt: what Tab offers, when Enter ends, what is kept; on a terminal made of pipes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from query.errors import BadSql
from query.prompt import HISTORY_BYTES_MAX, Commands, SqlCompleter, history_file, is_complete, run

COLUMNS = {"events": ["seq", "pool", "snapshot"], "moves": ["seq", "from_host"]}
DOWN = "\x1b[B"


def offers(text: str) -> list[str]:
    completer = SqlCompleter(COLUMNS)
    return [one.text for one in completer.get_completions(Document(text), CompleteEvent())]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("SELECT * FROM ", ["events", "moves"]),
        ("SELECT * FROM events JOIN mo", ["moves"]),
        ("SELECT events.s", ["events.seq", "events.snapshot"]),
        ("SELECT * FROM moves AS m WHERE m.f", ["m.from_host"]),
        ("SELECT * FROM moves WHERE po", []),
        ("SELECT snap", ["snapshot"]),
        ("sel", ["select"]),
        ("SEL", ["SELECT"]),
        (".s", [".schema"]),
        (".schema ev", ["events"]),
        ("DESCRIBE m", ["moves"]),
    ],
)
def test_tab_offers_what_may_stand_there(typed: str, offered: list[str]) -> None:
    """Tables where one comes, columns of the tables that are named, keywords as they were begun."""
    assert offers(typed) == offered


@pytest.mark.parametrize(
    ("typed", "ended"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT ';", False),
        ("SELECT ';';", True),
        ("SELECT 1\nFROM", False),
        ("SELECT 'a\n", True),
        (".tables", True),
        (r"\d", True),
        ("", True),
    ],
)
def test_enter_ends_what_is_complete(typed: str, ended: bool) -> None:
    """A semicolon that is no part of a text, or an empty line, whatever came before."""
    assert is_complete(typed) is ended


class Prompted:
    """A prompt on a terminal that is two pipes, and what it had done."""

    def __init__(self, pipe: PipeInput) -> None:
        self._pipe = pipe
        self.done: list[str] = []
        self.refusal: BaseException | None = None

    def put(self, text: str) -> None:
        self.done.append(f"put {text}")
        if self.refusal is not None:
            raise self.refusal

    def type(self, *lines: str) -> list[str]:
        self._pipe.send_text("".join(f"{line}\r" for line in lines) + "\x04")
        commands = Commands(
            put=self.put,
            describe=lambda name: self.done.append(f"describe {name}"),
            list_tables=lambda: self.done.append("list"),
            refresh=lambda: self.done.append("refresh"),
            say=lambda text: self.done.append(f"said {text}"),
        )
        run(commands, COLUMNS, source=self._pipe, screen=DummyOutput())
        return self.done


@pytest.fixture
def prompted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompted]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with create_pipe_input() as pipe:
        yield Prompted(pipe)


def test_lines_are_statements_and_commands(prompted: Prompted) -> None:
    """With a backslash, too, as other prompts have them; an empty line is nothing."""
    assert prompted.type(
        *("SELECT", "1;", "", ".tables", ".schema events;", ".schema", r"\d moves", ".refresh"),
        *(".nonsense", ";"),
    ) == [
        *("put SELECT\n1;", "list", "describe events", "list", "describe moves", "refresh"),
        "said there is no .nonsense; .help lists what there is",
    ]


def test_word_ends_the_prompt(prompted: Prompted, capsys: pytest.CaptureFixture[str]) -> None:
    """As Ctrl-D does; what is typed after it is not read."""
    assert prompted.type(".help", ".quit", "SELECT 1;") == []
    assert ".schema [TABLE]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("refusal", "said"),
    [(BadSql("no such thing"), "no such thing"), (KeyboardInterrupt(), "interrupted")],
)
def test_prompt_goes_on(prompted: Prompted, refusal: BaseException, said: str) -> None:
    """After an error, and after Ctrl-C."""
    prompted.refusal = refusal
    one = ["put SELECT 1;", f"said {said}"]
    assert prompted.type("SELECT 1;", "SELECT 1;") == one * 2


def test_what_was_typed_is_kept_for_its_owner_only(prompted: Prompted, tmp_path: Path) -> None:
    """Whatever others left there; of a file that grew too long the newer half stays."""
    file = tmp_path / "xentrail" / "sql_history"
    file.parent.mkdir()
    old = "\n# 2026-01-01 00:00:00.000000\n+SELECT 'old';\n"
    file.write_text(old * (HISTORY_BYTES_MAX // len(old) + 2), encoding="utf-8")
    file.chmod(0o644)
    prompted.type("SELECT 'new';")
    assert file.stat().st_mode & 0o777 == 0o600
    kept = file.read_text(encoding="utf-8")
    assert kept.startswith(old)
    assert kept.endswith("+SELECT 'new';\n")
    assert HISTORY_BYTES_MAX * 0.4 < len(kept) < HISTORY_BYTES_MAX * 0.6


def test_folder_that_cannot_be_written_is_said(prompted: Prompted, tmp_path: Path) -> None:
    """The prompt works without it."""
    (tmp_path / "xentrail").write_text("no folder", encoding="utf-8")
    said, put = prompted.type("SELECT 1;")
    assert said.startswith("said what you type is not kept: ")
    assert put == "put SELECT 1;"


def test_state_home_is_the_user_s() -> None:
    """A relative one is no valid one."""
    assert history_file({"XDG_STATE_HOME": "/x"}) == Path("/x/xentrail/sql_history")
    home = Path.home() / ".local" / "state" / "xentrail" / "sql_history"
    assert history_file({}) == history_file({"XDG_STATE_HOME": "here"}) == home
