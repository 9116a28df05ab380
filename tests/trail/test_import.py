"""Copies of trails: every line once, however the file came about; what is none is told."""

import gzip
import json
from pathlib import Path

import pytest

from recorder.journal.retention import drop
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import RECORDER, AuditLine, Detail, Draft, Mark, MarkName
from recorder.pools.trail.own import trackid_of
from recorder.redaction.policy import Policy
from tests.cli.programs import pool_table, write_config, xentrail
from tests.journal.samples import EPOCH_NS, abandon, clock, event
from tests.trail.test_ends import captured
from tests.trail.test_own_and_secret import OTHER, READING, TOKEN, line

JUNK = b"Nov 23 17:00:00 host1 rsyslogd: no line of an audit trail"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose journal knows the pool `lab`."""
    with Journal.open(tmp_path / "journal", now_ns=clock(), keys=tmp_path / "keys") as journal:
        journal.append([event(1)])
    return tmp_path


def run(data: Path, *args: str | Path) -> tuple[int, str, str]:
    done = xentrail("import-audit", *map(str, args), "--data", str(data))
    return done.returncode, done.stdout, done.stderr


def lines(data: Path, *, after_seq: int = 0) -> list[AuditLine]:
    entries = scan(data / "journal", after_seq=after_seq)
    return [entry.body for entry in entries if isinstance(entry.body, AuditLine)]


def trail() -> list[bytes]:
    """Lines of a real xapi, with those of others between them."""
    return [one for one in captured() if b"|audit||" in one]


def test_file_is_imported_verbatim_and_twice_is_once(data: Path) -> None:
    """Repeats in the file are repeats of the trail; the file again adds nothing."""
    wanted = [*trail(), line("VM.start"), line("VM.start")]
    file = data / "audit.log"
    file.write_bytes(b"\n".join([JUNK, *wanted, b""]))
    code, told, said = run(data, file)
    assert (code, said) == (0, "")
    assert told.splitlines()[0] == (
        f"{len(wanted)} of {len(wanted) + 1} lines in 1 files are added to pool lab"
    )
    assert lines(data) == [AuditLine("audit.log", one, True) for one in wanted]
    code, told, _ = run(data, file, "--format", "json")
    found = json.loads(told)
    assert (code, found["new"], found["known"], found["others"]) == (0, 0, len(wanted), 1)
    assert len(lines(data)) == len(wanted)


def test_rotated_and_packed_files_come_in_the_order_of_their_lines(data: Path) -> None:
    """Whatever they are called, and in whatever order they are named."""
    parts = [trail()[:5], trail()[5:9], trail()[9:12]]
    parts = [sorted(part) for part in sorted(parts, key=min)]
    names = ["audit.log.2.gz", "audit.log.1", "audit.log"]
    for name, part in zip(names, parts, strict=True):
        raw = b"".join(one + b"\n" for one in part)
        (data / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    run(data, data / names[2], data / names[0], data / names[1], "--host", "10.0.0.1")
    assert [one.line for one in lines(data)] == [one for part in parts for one in part]
    assert {one.host for one in lines(data)} == {"10.0.0.1"}


def test_line_that_was_polled_is_known_in_the_format_of_any_syslog(data: Path) -> None:
    """Another server puts another time and host in front; the line is the same."""
    bare = line("VM.start").partition(b"xapi: ")[2]
    with Journal.open(data / "journal", now_ns=clock(), keys=data / "keys") as journal:
        polled = AuditLine("10.0.0.1", line("VM.start"), False)
        journal.append([Draft(EPOCH_NS, "lab", polled)])
    (data / "from-syslog").write_bytes(
        b"2026-11-23T17:22:44.806498+00:00 vm xapi: " + bare + b"\n<182>xapi: " + bare + b"\n"
    )
    _, told, _ = run(data, data / "from-syslog", "--format", "json")
    assert (json.loads(told)["new"], json.loads(told)["known"]) == (1, 1)


def test_lines_of_our_own_are_left_out_and_secrets_replaced(data: Path) -> None:
    """As in what is polled."""
    with Journal.open(data / "journal", now_ns=clock(), keys=data / "keys") as journal:
        detail: Detail = {"hosts": "{}", "sessions": trackid_of(TOKEN), "own": 0}
        journal.append([Draft(EPOCH_NS, "lab", Mark(MarkName.AUDIT_TRAIL_READ, detail))])
    secret = line("session.set_other_config", f"(('self' '' '' '{OTHER}'))")
    (data / "audit.log").write_bytes(READING + b"\n" + secret + b"\n" + line("VM.start")[:-9])
    _, told, _ = run(data, data / "audit.log")
    assert told.splitlines() == [
        "2 of 3 lines in 1 files are added to pool lab",
        "1 only say that the recorder looked, and are not kept",
        "1 of those that are added are not all there: syslog cut them",
    ]
    (first, second) = lines(data)
    assert OTHER.encode() not in first.line
    assert second.line == line("VM.start")[:-9]


def test_damaged_file_is_told_before_anything_is_added(data: Path) -> None:
    """A good one beside it is not half of an import."""
    raw = b"".join(one + b"\n" for one in trail())
    (data / "good").write_bytes(raw)
    (data / "cut.gz").write_bytes(gzip.compress(raw)[:-20])
    code, _, said = run(data, data / "good", data / "cut.gz")
    assert code == 2
    assert f"{data / 'cut.gz'} is damaged" in said
    assert "nothing was imported" in said
    code, _, said = run(data, data / "good", data / "missing")
    assert code == 2
    assert f"{data / 'missing'} cannot be read (No such file or directory)" in said
    assert lines(data) == []


def test_pool_has_to_be_one_that_is_recorded(data: Path) -> None:
    """A journal of several is asked which; a name that nobody knows is a mistake."""
    with Journal.open(data / "journal", now_ns=clock(), keys=data / "keys") as journal:
        journal.append([event(1, pool="other")])
    (data / "audit.log").write_bytes(line("VM.start"))
    for args in ([], ["--pool", "lba"]):
        code, _, said = run(data, data / "audit.log", *args)
        assert code == 2
        assert "--pool: name one of the pools in this journal: lab, other" in said
    assert run(data, data / "audit.log", "--pool", "other")[0] == 0
    assert run(data / "nothing", data / "audit.log")[0] == 2


def test_import_is_refused_while_a_recorder_writes(data: Path) -> None:
    """There is one writer."""
    (data / "audit.log").write_bytes(line("VM.start"))
    journal = Journal.open(data / "journal", now_ns=clock(), keys=data / "keys")
    code, _, said = run(data, data / "audit.log")
    abandon(journal)
    assert code == 40
    assert "is writing to the journal" in said
    assert lines(data) == []


SECRET = line("message.create", "(('body' 'badge=4711' '' ''))")


def config_with(data: Path, words: str) -> Path:
    """Write the configuration of a recorder to which these words are secret."""
    config = write_config(data, pool_table("https://127.0.0.1"))
    redaction = f"[redaction]\nwords = {words}\n"
    config.write_text(config.read_text(encoding="utf-8") + redaction, encoding="utf-8")
    return config


def say_rules(data: Path, *words: str) -> None:
    """Let a recorder say that it started, and to which words it hides the values."""
    rules = Policy.of(fields={}, words=words).name
    with Journal.open(data / "journal", now_ns=clock(), keys=data / "keys") as journal:
        journal.append([Draft(EPOCH_NS, RECORDER, Mark(MarkName.STARTED, {"redaction": rules}))])


def test_lines_are_cleaned_as_the_recorder_would(data: Path) -> None:
    """By the rules of its configuration, which has to be named: here a word that is secret."""
    say_rules(data, "badge")
    (data / "audit.log").write_bytes(SECRET)
    other = config_with(data, '["pass", "badger"]')
    for words in ((), ("--config", other)):
        code, _, said = run(data, data / "audit.log", *words)
        assert code == 2
        assert "name the configuration that it runs with by --config" in " ".join(said.split())
        assert lines(data) == []
    assert run(data, data / "audit.log", "--config", config_with(data, '["badge"]'))[0] == 0
    (only,) = lines(data)
    assert b"'badge=" in only.line
    assert b"4711" not in only.line


def test_built_in_rules_are_enough_where_the_recorder_has_no_others(data: Path) -> None:
    """Nobody has to name a configuration that says nothing of secrets."""
    say_rules(data)
    (data / "audit.log").write_bytes(line("VM.start"))
    assert run(data, data / "audit.log")[0] == 0
    assert len(lines(data)) == 1


def test_rules_have_to_be_named_where_the_journal_tells_them_no_more(data: Path) -> None:
    """A recorder may run for longer than what it said at its start is kept."""
    say_rules(data, "badge")
    with Journal.open(data / "journal", now_ns=clock(), keys=data / "keys") as journal:
        journal.begin_segment()
        journal.append([event(2)])
        drop(journal, 2)
    (data / "audit.log").write_bytes(SECRET)
    code, _, said = run(data, data / "audit.log")
    assert code == 2
    assert "name its configuration by --config" in " ".join(said.split())
    assert lines(data, after_seq=2) == []
    assert run(data, data / "audit.log", "--config", config_with(data, '["badge"]'))[0] == 0
    assert b"4711" not in lines(data, after_seq=2)[0].line
