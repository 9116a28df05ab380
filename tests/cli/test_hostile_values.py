"""Names and values are words of others: what the commands do with the worst of them."""

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
import unicodedata
from pathlib import Path

import pytest

from recorder.printable import json_shown, shown
from tests.cli.programs import XENTRAIL, xentrail
from tests.cli.questions import Program
from tests.history.journals import Pool, Told, record, ref_of, write_journal

WAIT_S_MAX = 30.0
HOSTILE = {
    "escape": "a\x1b[2J\x1b[31mred",
    "link": "a\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "title": "a\x1b]0;owned\x07",
    "c1": "a\x9b2J\x9d0;owned\x9c",
    "bell": "a\x07\x08\x08b",
    "return": "good\rEVIL",
    "lines": "a\nxentrail: all is well\nb",
    "tab": "a\tb\x0bc\x0cd",
    "nul": "a\x00b",
    "delete": "a\x7fb",
    "bidi": "a\u202egnp.exe\u2066b\u2069",
    "separators": "a\u2028b\u2029c",
    "hidden": "a\u200bb\ufeffc\u00add\U000e0041",
    "html": "<script>alert(1)</script>&amp;",
    "formula": "=cmd|'/C calc'!A0",
    "quotes": "a\"b'c,d;e",
    "markup": "[bold red]a[/] :smile: {x} %s $(id) `id`",
    "wide": "日本語の仮想マシン😀👨\u200d👩\u200d👧",
    "spaces": "  a  b  ",
    "escaped": r"a\x1b[2Jb\n",
    "long": "x" * 100_000,
}
"""Names of VMs, as any administrator of a pool could choose them."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VMs and tasks of all these names, whose fields hold them, too."""
    told = Told()
    lab = Pool(told)
    lab.register()
    vms = {name: record(text, uuid=name, other={text: text}) for name, text in HOSTILE.items()}
    lab.chunk("vm", vms)
    lab.done()
    for name, text in HOSTILE.items():
        operations = {ref_of(f"t-{name}"): text}
        lab.event(
            "mod", "vm", name, {**vms[name], "description": text, "current_operations": operations}
        )
        task = record(text, status="failure", error_info=[text, text], uuid=f"t-{name}")
        lab.event("add", "task", f"t-{name}", task)
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


LISTS = [
    ("events", "--class", "vm", "--limit", "1000"),
    ("at", "now", "--class", "vm", "--field", "description"),
    ("tasks",),
    ("diff", "@25", "now", "--class", "vm"),
    ("sql", "SELECT * FROM objects WHERE class = 'vm' ORDER BY first_seq"),
    ("sql", "SELECT seq, name, snapshot FROM events WHERE class = 'vm' ORDER BY seq"),
    ("sql", "SELECT name, description FROM (SELECT name, new AS description FROM changes)"),
]
LIVES: list[tuple[str, ...]] = [
    ("history", name) for name in ("escape", "c1", "bell", "lines", "bidi", "long")
]
LIVES += [("at", "now", f"vm:{name}") for name in ("link", "title", "return", "tab", "long")]


def strings_of(document: object) -> set[str]:
    """Return every text of a JSON document, keys included."""
    match document:
        case str():
            return {document}
        case list():
            return {text for item in document for text in strings_of(item)}
        case dict():
            return {text for pair in document.items() for item in pair for text in strings_of(item)}
        case _:
            return set()


def is_tame(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("words", [*LISTS, ("sql", "--schema"), ("gaps",)], ids=" ".join)
def test_table_keeps_its_lines_and_drives_no_terminal(run: Program, words: tuple[str, ...]) -> None:
    """A line a row, none wider than the screen, and nothing in it but what can be seen."""
    ran = run(*words)
    assert is_tame(ran.out)
    assert is_tame(ran.err)
    rows = ran.out.splitlines()
    if words[0] != "gaps" and words != ("sql", "--schema"):
        assert len(rows) > len(HOSTILE)
        assert {len(row.encode("utf-8")) < 1000 for row in rows} == {True}
        assert not [row for row in rows if row.startswith(("xentrail:", "EVIL"))]


@pytest.mark.parametrize("words", LIVES, ids=" ".join)
def test_one_object_is_shown_tamely(run: Program, words: tuple[str, ...]) -> None:
    """Its name is the headline, its fields the lines."""
    ran = run(*words)
    assert (ran.code, is_tame(ran.out), is_tame(ran.err)) == (0, True, True)
    assert shown(HOSTILE[words[-1].removeprefix("vm:")])[:20] in ran.out


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_json_has_every_value_exactly(run: Program, words: tuple[str, ...]) -> None:
    """And is as tame as a table."""
    ran = run(*words, "--format", "json")
    assert is_tame(ran.out)
    assert set(HOSTILE.values()) <= strings_of(json.loads(ran.out)) | {
        text for one in strings_of(json.loads(ran.out)) for text in _inner(one)
    }


def _inner(text: str) -> set[str]:
    """Return the texts of a value that is JSON text itself."""
    return strings_of(json.loads(text)) if text.startswith(("{", '"')) else set()


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_csv_has_every_value_exactly(run: Program, words: tuple[str, ...]) -> None:
    """As csv.reader reads it: into a file every byte goes as it is."""
    ran = run(*words, "--format", "csv")
    csv.field_size_limit(10_000_000)
    rows = list(csv.reader(io.StringIO(ran.out, newline="")))
    assert len({len(row) for row in rows}) == 1
    cells = {cell for row in rows for cell in row}
    assert set(HOSTILE.values()) <= cells | {text for cell in cells for text in _inner(cell)}


def on_terminal(data: Path, *words: str) -> str:
    """Run a command whose output goes to a terminal; return what came there."""
    mine, theirs = pty.openpty()
    environ = {**os.environ, "XENTRAIL_DATA": str(data), "TERM": "xterm", "COLUMNS": "100"}
    written = ""
    with subprocess.Popen(
        [XENTRAIL, *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environ
    ) as process:
        os.close(theirs)
        content = b""
        while select.select([mine], [], [], WAIT_S_MAX)[0]:
            try:
                content += os.read(mine, 65536)
            except OSError:  # The other end is closed.
                break
        written = content.decode()
        os.close(mine)
        process.wait(WAIT_S_MAX)
    return written


OUR_STYLES = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_nothing_raw_reaches_a_terminal(data: Path, form: str) -> None:
    """Not even of CSV, which is exact in files: on a screen it is read by people."""
    words = ("at", "now", "--class", "vm", "--field", "description", "--format", form)
    assert is_tame(OUR_STYLES.sub("", on_terminal(data, *words)).replace("red", ""))
    raw = xentrail(*words[:-1], "csv", "--data", str(data)).stdout
    assert HOSTILE["escape"] in raw


def test_errors_are_one_line_whatever_is_in_a_name(tmp_path: Path, run: Program) -> None:
    """Those that offer names, and those that repeat what was typed."""
    ran = run("history", "good\rEVI")
    assert (ran.code, ran.err.count("\n"), is_tame(ran.err)) == (60, 1, True)
    ran = run("gaps", "--pool", HOSTILE["lines"])
    assert (ran.code, ran.err.count("\n"), is_tame(ran.err)) == (60, 1, True)
    ran = run("sql", f"SELECT error('{HOSTILE['lines']}{HOSTILE['escape']}')")
    assert (ran.code, ran.err.count("\n"), is_tame(ran.err)) == (60, 1, True)


def test_choices_of_an_ambiguous_name_are_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name cannot add a choice."""
    told = Told()
    lab = Pool(told)
    lab.register()
    for ref in ("one", "two"):
        lab.event("add", "vm", ref, record(HOSTILE["lines"], uuid=f"abcd-{ref}"))
    write_journal(tmp_path / "journal", told.drafts())
    ran = Program(tmp_path, capsys, monkeypatch)("history", "abcd")
    assert ran.err.splitlines()[1:] == [
        rf"  lab/vm:a\nxentrail: all is well\nb (uuid abcd-{ref})" for ref in ("two", "one")
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_is_shown_on_one_line(text: str) -> None:
    """What can be seen stays as it is, what cannot is escaped."""
    assert shown(text).isprintable()
    assert text.isprintable() == (shown(text) == text)
    document = json.dumps({text: text}, ensure_ascii=False)
    assert json.loads(json_shown(document)) == {text: text}
    assert json_shown(document).isprintable()


def test_json_escapes_whatever_gives_orders() -> None:
    """Every character of Unicode that is a control, a format, or ends a line."""
    codes = [code for code in range(0x20, 0x110000) if not 0xD800 <= code < 0xE000]
    orders = {"Cc", "Cf", "Zl", "Zp"}
    text = "".join(one for one in map(chr, codes) if unicodedata.category(one) in orders)
    written = json_shown(f'"{text}"')
    assert json.loads(written) == text
    assert written.isascii()
