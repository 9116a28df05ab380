"""The page: what it says, that nothing in it runs or loads, and that it is the same each time."""

import re
from pathlib import Path

import msgspec

from query.report.integrity import Flaw, Integrity
from query.report.page import page
from query.report.vmpart import STAYS_MAX
from recorder.model import Mark, MarkName, Stream
from tests.history.journals import Pool, loaded
from tests.report.audit import audited
from tests.report.stories import (
    EVIL_NAMES,
    MAKER,
    NOTE,
    SOUND,
    VOUCHED,
    Days,
    a_day,
    page_of,
    reported,
    vm,
)


def test_page_says_first_what_it_may_lack(day: str) -> None:
    """Before anything else that is told of the period."""
    told = audited(day)
    assert told.troubles == []
    head = told.text.partition("Pool lab")[0]
    assert "This report may lack something:" in head
    assert re.search(r"pool lab was blind in 1 gap, for \S+ s in all", head)
    assert "up to entry @30: it is sound." in head
    assert "STILL BLIND" not in told.text


def test_page_without_gaps_says_that(tmp_path: Path) -> None:
    """Only then; the share is all, and no hatching is in the legends."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    days.quiet(3)
    with days.history(tmp_path) as history:
        told = audited(page_of(history))
    assert "No gap touches this period: nothing was missed." in told.text
    assert "All of the period was seen (" in told.text
    assert "not known" not in told.text
    assert "was not verified for this report (--no-verify)" in told.text


def test_open_gap_and_last_states_are_said_at_the_top(tmp_path: Path) -> None:
    """In words, for each pool; the pools are listed with their share."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    east = Pool(days.told, "east")
    east.register(Stream.FROM)
    east.chunk("vm", {"db1": vm("db1", "Running")}, low=0, high=0)
    east.done()
    days.quiet(2)
    days.lab.lose()
    with loaded(tmp_path / "history.duckdb", days.told.entries) as history:
        told = audited(page_of(history))
    head = told.text.partition("Pool lab")[0]
    assert "in all and is STILL BLIND" in head
    assert 'pool east has stream = "from": states in between may be missing' in head
    assert ["pool", "seen", "gaps", "VMs", "tasks", "failed"] in told.rows
    assert {"#pool-1", "#pool-2"} <= told.links
    assert any(row[3] == "STILL OPEN" for row in told.rows if len(row) == 8)


def test_what_was_taken_out_is_said_at_the_top(tmp_path: Path) -> None:
    """Nothing was missed then, but something is known no more."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    detail: dict[str, str | int] = {"seq": 9, "received_at_ns": days.told.at_ns(9), "pool": "lab"}
    detail |= {"class": "vm", "ref": "OpaqueRef:web1", "reason": "a <password>"}
    days.told.write("", Mark(MarkName.REDACTED, detail))
    days.quiet(1)
    with days.history(tmp_path) as history:
        told = audited(page_of(history))
    head = told.text.partition("Pool lab")[0]
    assert "of pool lab 1 row of the ledger tells of what was redacted, dropped or damaged" in head
    assert "nothing was missed" not in told.text
    (row,) = [row for row in told.rows if len(row) == 8 and row[1] == "redacted"]
    assert row[-1] == "entry @9 (vm OpaqueRef:web1): a <password>"


def test_every_row_has_its_evidence(day: str) -> None:
    """Each table ends, or begins, with entries of the journal."""
    tables: dict[str, list[list[str]]] = {}
    for row in audited(day).rows:
        if row[0] in ("gap", "VM", "created", "object"):
            tables[row[0]] = []
        elif tables:
            list(tables.values())[-1].append(row)
    assert set(tables) == {"gap", "VM", "created", "object"}
    for rows in tables.values():
        assert rows
        for row in rows:
            assert re.search(r"@\d+", row[0] + row[-1]), row


def test_tasks_say_in_words_why_they_failed(day: str) -> None:
    """With the code, and names in place of references; the failed one is first."""
    rows = [row for row in audited(day).rows if len(row) == 6 and "Async" in row[1]]
    assert rows[0][3] == "failure: web2 is running, but has to be halted VM_BAD_POWER_STATE"
    assert (rows[0][0], rows[0][4]) == ("2023-11-14 22:13:40", "3 s")
    assert rows[1][3] == "success"


def test_page_shows_the_checkpoint_and_whom_it_does_not_cover(day: str) -> None:
    """Its text, its key, up to where it goes, and that this is not all of the period."""
    text = audited(day).text
    assert NOTE.strip() in text
    assert "It vouches for the entries up to @28: not all of this period." in text
    assert "key id0badc0de" in text
    assert "up to @28 by 2 checkpoints; 2 later entries not yet" in text


def test_page_says_when_the_journal_is_not_sound(tmp_path: Path) -> None:
    """At the top, with the findings beneath; never that it is sound."""
    flaw = Flaw("damaged-frame", "the bytes <are> not those", 3, 4711, 12)
    broken = msgspec.structs.replace(SOUND, flaws=[flaw])
    with a_day().history(tmp_path) as history:
        told = audited(page_of(history, Integrity(broken, NOTE, 28, "0badc0de", None)))
    assert told.troubles == []
    assert told.text.count("The journal is NOT sound: 1 finding.") == 2
    assert "it is sound" not in told.text
    row = ["damaged-frame", "the bytes <are> not those", "3", "4,711", "@12"]
    assert row in told.rows


def test_page_says_how_it_was_made(day: str) -> None:
    """Command line, version, zone and time."""
    text = audited(day).text
    assert "xentrail 1.2.3" in text
    assert "withxentrail report" in text
    assert "made at2023-11-14 22:13:20" in text


def test_page_is_the_same_bytes_but_for_the_time_it_was_made(tmp_path: Path) -> None:
    """The same history and arguments give the same report."""
    with a_day().history(tmp_path) as history:
        report, canvas = reported(history)
        first = page(report, VOUCHED, canvas, MAKER)
        again, canvas = reported(history)
        later = msgspec.structs.replace(MAKER, made_at_us=MAKER.made_at_us + 1_000_000)
        second = page(again, VOUCHED, canvas, later)
    assert first != second
    made_at = r'<time id="made-at">.*?</time>'
    assert re.sub(made_at, "", first) == re.sub(made_at, "", second)


def test_nothing_on_the_page_loads_or_runs(day: str, evil: str) -> None:
    """No address of anything, no script, no handler; a policy forbids them besides."""
    for html in (day, evil):
        assert audited(html).troubles == []
        assert "default-src &#x27;none&#x27;" in html
        assert not re.search(r"@import|@font-face|url\((?!#)", html.partition("</style>")[0])
    assert "http" not in day.replace("http-equiv", "")


def test_hostile_names_are_text_wherever_they_stand(evil: str) -> None:
    """In tables, pictures and attributes; what cannot be seen is written as a number."""
    told = audited(evil)
    pictures = [text for path, text in told.texts if path.endswith("/text")]
    assert any(text.startswith("<script>alert(1)") for text in pictures)
    assert any(text.startswith("\\u202egnp.exe\\u2066") for text in pictures)
    assert "bell\\u0007 nul\\u0000 escape\\u001b[31m\\r\\n\\u2028line" in told.text
    assert "<b>Odd</b>" in told.text
    assert all(char.isprintable() or char == "\n" for char in evil)
    assert len(evil) < 400_000


def test_hostile_texts_do_not_break_a_word_of_the_errors(evil: str) -> None:
    """Codes and parameters with braces and markup stay what they are, cut where they are long."""
    rows = [row for row in audited(evil).rows if len(row) == 6 and row[3].startswith("failure")]
    assert len(rows) == len(EVIL_NAMES)
    assert all("{0}{9}" in row[3] for row in rows)
    assert max(len(cell) for row in rows for cell in row) < 500


def test_table_beneath_a_picture_says_when_it_is_cut(tmp_path: Path) -> None:
    """Its first rows are there, and the title says of how many."""
    days = Days()
    days.begin(web1=("Halted", None))
    for _ in range(STAYS_MAX // 2 + 5):
        days.turn("web1", "Running")
        days.turn("web1", "Halted")
    with days.history(tmp_path) as history:
        told = audited(page_of(history))
    assert f"(the first {STAYS_MAX} of {STAYS_MAX + 10} rows)" in told.text
    assert "10 rows more: xentrail history VM tells of one." in told.text
    assert len([row for row in told.rows if row[0] == "web1"]) == STAYS_MAX


def test_vms_that_are_left_out_are_counted(tmp_path: Path) -> None:
    """The busiest are drawn, in pictures of a page each; the line says how many are not."""
    days = Days()
    days.begin(**{f"vm{i:03}": ("Running", "h1") for i in range(80)})
    days.quiet(1)
    with days.history(tmp_path) as history:
        report, canvas = reported(history, vms_max=50)
        html = page(report, VOUCHED, canvas, MAKER)
    assert "The 50 VMs that changed most; 30 others are left out (--vms N draws N)." in html
    pictures = re.findall(r'<svg class="wide"[^>]*aria-label="Power states of [^"]*"', html)
    assert len(pictures) == 2
    drawn = {text for path, text in audited(html).texts if path.endswith("/text")}
    assert {"vm000", "vm049"} <= drawn
    assert "vm050" not in drawn
