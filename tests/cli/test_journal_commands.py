"""The commands about the journal itself: exact output, exact errors, exit codes."""

import json
import os
import pwd
from pathlib import Path

import pytest

from recorder.commands import journal as commands
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import RECORDER, Draft, Heartbeat, Mark, MarkName
from tests.cli.programs import xentrail
from tests.journal.samples import abandon, clock, drafts, event, files


def write(data: Path, *, sealed: bool = True, entries: int = 3) -> Journal:
    """Write a journal under a data folder and close it, or leave it as a killed recorder does."""
    journal = Journal.open(data / "journal", now_ns=clock(), keys=data / "keys")
    journal.append([event(number, 10) for number in range(entries)])
    if sealed:
        journal.close()
    else:
        abandon(journal)
    return journal


def run(data: Path, *args: str) -> tuple[int, str, str]:
    """Run a command on a data folder; return exit code, output and errors."""
    done = xentrail(*args, "--data", str(data))
    return done.returncode, done.stdout, done.stderr


def test_head_is_a_checkpoint_to_keep_elsewhere(tmp_path: Path) -> None:
    """stdout is the note and nothing else: `head > FILE` and `verify --checkpoint FILE` fit."""
    journal = write(tmp_path)
    code, note, said = run(tmp_path, "head")
    assert code == 0
    origin, size, _root, blank, signature = note.splitlines()
    assert (size, blank) == ("3", "")
    assert origin.startswith("xentrail/")
    assert signature.startswith(f"— {origin} ")
    assert said == "vouches for entries up to @3; nothing since then\n"
    code, told, _ = run(tmp_path, "head", "--format", "json")
    found = json.loads(told)
    assert (found["note"], found["signed_seq"], found["last_seq"]) == (note, 3, 3)
    assert found["keys"] == list(journal.notary.keys)
    assert run(tmp_path, "head", "--keys")[1] == f"{journal.notary.keys[0]}\n"


def test_head_without_a_checkpoint_says_when_one_comes(tmp_path: Path) -> None:
    """Nothing is printed that could be taken for one."""
    write(tmp_path, sealed=False)
    code, note, said = run(tmp_path, "head")
    assert (code, note) == (0, "")
    assert "one comes within a minute of traffic" in said


def test_verify_follows_a_journal_from_a_noted_checkpoint(tmp_path: Path) -> None:
    """It must go on from there; another journal, or one without its end, does not."""
    data, anchor = tmp_path / "data", tmp_path / "anchor"
    write(data)
    anchor.write_text(run(data, "head")[1])
    write(data)
    code, told, _ = run(data, "verify", "--checkpoint", str(anchor))
    assert code == 0
    assert "it goes on from each of the 1 checkpoints noted elsewhere" in told
    newer = tmp_path / "newer"
    newer.write_text(anchor.read_text() + run(data, "head")[1])
    assert run(data, "verify", "--checkpoint", str(newer))[0] == 0
    for path in files(data / "journal")[1:]:
        path.unlink()
    code, told, _ = run(data, "verify", "--checkpoint", str(newer))
    assert code == 1
    assert "this one has lost its end" in told
    other = tmp_path / "other"
    write(other)
    code, told, _ = run(other, "verify", "--checkpoint", str(anchor))
    assert code == 1
    assert "anchor-missed: " in told


def test_rewritten_journal_is_convicted_by_a_noted_checkpoint(tmp_path: Path) -> None:
    """Whoever has disk and key can write another past; it is not the one that was noted."""
    true, forged, anchor = tmp_path / "true", tmp_path / "forged", tmp_path / "anchor"
    write(true)
    anchor.write_text(run(true, "head")[1])
    (forged / "journal").mkdir(parents=True)
    (true / "keys").rename(forged / "keys")
    first = files(true / "journal")[0].read_bytes()
    head_bytes = 20 + int.from_bytes(first[8:12], "little")
    (forged / "journal" / "0000000001.journal").write_bytes(first[:head_bytes])
    with Journal.open(forged / "journal", now_ns=clock(), keys=forged / "keys") as journal:
        journal.append([event(number, 11) for number in range(3)])
    assert run(forged, "verify")[0] == 0, "by itself it is as good as the true one"
    code, told, _ = run(forged, "verify", "--checkpoint", str(anchor))
    assert code == 1
    assert "the checkpoint of 3 entries that was noted elsewhere is of other entries" in told


def test_verify_wants_the_key_that_is_named(tmp_path: Path) -> None:
    """A journal that this key never signed for is not the one."""
    journal = write(tmp_path / "data")
    other = write(tmp_path / "other")
    assert run(tmp_path / "data", "verify", "--key", journal.notary.keys[0])[0] == 0
    code, told, _ = run(tmp_path / "data", "verify", "--key", other.notary.keys[0])
    assert code == 1
    assert f"key-change: this journal never had the key {other.notary.keys[0]}" in told


def test_verify_in_json_has_what_the_table_has(tmp_path: Path) -> None:
    """One document, with the findings and what vouches for the rest."""
    journal = write(tmp_path)
    code, told, _ = run(tmp_path, "verify", "--format", "json")
    report = json.loads(told)
    assert code == 0
    assert report["findings"] == []
    assert (report["entries"], report["signed_seq"], report["checkpoints"]) == (3, 3, 1)
    assert report["keys"] == list(journal.notary.keys)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--checkpoint", "/nonexistent"], "/nonexistent: cannot be read: No such file"),
        (["--checkpoint", "README.md"], "README.md: does not hold signed checkpoints: "),
        (["--key", "nonsense"], "--checkpoint or --key: the key of nonsense has no id"),
    ],
)
def test_verify_refuses_what_is_no_checkpoint_or_key(
    tmp_path: Path, args: list[str], text: str
) -> None:
    """A wrong word on the command line is exit code 2, and says which."""
    write(tmp_path)
    code, _, said = run(tmp_path, "verify", *args)
    assert code == 2
    assert text in said


def test_repair_cuts_a_torn_tail_and_keeps_it(tmp_path: Path) -> None:
    """What was cut is said, with where it is; the second time there is nothing to do."""
    write(tmp_path, sealed=False)
    (path,) = files(tmp_path / "journal")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"torn")
    assert run(tmp_path, "verify")[0] == 1
    code, told, _ = run(tmp_path, "repair")
    kept = tmp_path / "journal" / "quarantine" / f"0000000001-{size:010d}-1.torn-tail"
    assert code == 0
    assert (
        told
        == f"4 bytes of a torn tail were cut from segment 1 at byte {size} and kept in {kept}\n"
    )
    assert kept.read_bytes() == b"torn"
    assert run(tmp_path, "verify")[0] == 0
    code, told, _ = run(tmp_path, "repair")
    assert (code, told) == (
        0,
        "there is nothing to repair in the last segment; `xentrail verify` checks all of them\n",
    )


def test_repair_refuses_damage_and_says_what_to_do(tmp_path: Path) -> None:
    """Bytes that were durable once are never cut off."""
    journal = write(tmp_path, sealed=False)
    journal = Journal.open(tmp_path / "journal", now_ns=clock(), keys=tmp_path / "keys")
    journal.append(drafts())
    journal.append([Draft(1, RECORDER, Heartbeat())])
    abandon(journal)
    (path,) = files(tmp_path / "journal")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, told, said = run(tmp_path, "repair")
    assert (code, told) == (40, "")
    assert "This is no torn tail, so that nothing is cut off: put a good copy" in said
    assert path.read_bytes() == data


def test_redact_takes_a_snapshot_out(tmp_path: Path) -> None:
    """It says what it took, and refuses what cannot be taken, by name."""
    write(tmp_path)
    code, told, _ = run(tmp_path, "redact", "2", "--reason", "a password")
    assert code == 0
    assert told.startswith("entry 2 (vm OpaqueRef:1 of pool lab) has no snapshot now\n")
    assert run(tmp_path, "verify")[0] == 0
    assert "redacted: 1 entries, each recorded" in run(tmp_path, "verify")[1]
    for seq, text in [
        ("2", "redacted already"),
        ("4", "no record of a pool"),
        ("99", "no entry 99"),
    ]:
        code, _, said = run(tmp_path, "redact", seq, "--reason", "a password")
        assert code == 40
        assert text in said
    assert run(tmp_path, "redact", "1")[0] == 2
    assert run(tmp_path, "redact", "1", "--reason", " ")[0] == 2


def test_redact_by_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container a process may run as a number that no passwd file knows."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    write(tmp_path)
    commands.redact(2, "a password", tmp_path)
    entries = scan(tmp_path / "journal")
    marks = [entry.body for entry in entries if isinstance(entry.body, Mark)]
    (redacted,) = [mark for mark in marks if mark.name is MarkName.REDACTED]
    assert redacted.detail["by"] == f"uid {os.getuid()}"


def test_commands_that_write_are_refused_while_a_recorder_does(tmp_path: Path) -> None:
    """One journal has one writer; whoever it is is named."""
    journal = write(tmp_path, sealed=False)
    journal = Journal.open(tmp_path / "journal", now_ns=clock(), keys=tmp_path / "keys")
    for args in (["repair"], ["redact", "1", "--reason", "r"], ["rotate-key"]):
        code, _, said = run(tmp_path, *args)
        assert code == 40
        assert "is writing to the journal in" in said
    journal.close()


def test_commands_do_not_begin_a_journal(tmp_path: Path) -> None:
    """Where there is none, they say so, and leave nothing behind."""
    for args in (
        ["head"],
        ["repair"],
        ["redact", "1", "--reason", "r"],
        ["rotate-key"],
        ["verify"],
    ):
        code, _, said = run(tmp_path / "none", *args)
        assert code == 40
        assert f"there is no journal folder {tmp_path}/none/journal" in said
    assert not (tmp_path / "none").exists()


def test_rotated_key_is_vouched_for_by_the_old_one(tmp_path: Path) -> None:
    """The change is an entry; checkpoints of both keys are good, and verify has no finding."""
    journal = write(tmp_path)
    old = journal.notary.keys[0]
    code, told, _ = run(tmp_path, "rotate-key")
    assert code == 0
    assert run(tmp_path, "head", "--keys")[1] == f"{old}\n{told}"
    write(tmp_path)
    assert run(tmp_path, "verify", "--key", old)[0] == 0
    assert run(tmp_path, "verify", "--key", told.strip())[0] == 0


def test_lost_key_can_be_replaced_but_not_silently(tmp_path: Path) -> None:
    """The journal can go on; that nobody vouches for the new key is a finding for ever."""
    write(tmp_path)
    (tmp_path / "keys" / "journal.key").unlink()
    journal_error = run(tmp_path, "redact", "1", "--reason", "r")
    assert journal_error[0] == 40
    assert "xentrail rotate-key" in journal_error[2]
    assert run(tmp_path, "rotate-key")[0] == 0
    write(tmp_path)
    code, told, _ = run(tmp_path, "verify")
    assert code == 1
    assert "key-change: the key changed to" in told
