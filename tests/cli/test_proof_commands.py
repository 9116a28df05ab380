"""Writing a proof, and checking it where there is no journal: exact output, exit codes."""

import json
import subprocess
from pathlib import Path

import pytest

from recorder.journal.store import Journal
from recorder.model import Draft, Event, Operation
from tests.cli.programs import xentrail
from tests.cli.test_journal_commands import run, write
from tests.journal.samples import abandon

UNTRUSTED = (
    "only the proof itself names this key, which proves nothing about who signed: compare it with"
    " `xentrail head --keys` of the recorder, and give it with --key\n"
)


def draft_with(ref: str) -> Draft:
    """An event of an object with any reference."""
    return Draft(1, "lab", Event(1, 1.0, "vm", Operation.MOD, ref, b"{}"))


def proven(data: Path, seq: int = 2) -> tuple[Path, Journal]:
    """Write a journal and the proof of one of its entries; return the file of that."""
    journal = write(data)
    file = data / "proof.json"
    code, told, said = run(data, "prove", str(seq), "--output", str(file))
    assert (code, told) == (0, "")
    how = f"`xentrail check-proof {file}` checks it"
    assert said == f"entry {seq} is proven by the checkpoint of 3 entries; {how}\n"
    return file, journal


def check(file: Path, *args: str) -> tuple[int, str, str]:
    """Check a proof; return exit code, output and errors."""
    done: subprocess.CompletedProcess[str] = xentrail("check-proof", str(file), *args)
    return done.returncode, done.stdout, done.stderr


def test_proof_is_checked_with_no_journal_at_hand(tmp_path: Path) -> None:
    """It says what was proven, and plainly that nobody vouches for a key that nobody gave."""
    file, journal = proven(tmp_path)
    assert run(tmp_path, "prove", "2")[1] == file.read_text()
    file = file.rename(tmp_path.parent / f"{tmp_path.name}.json")
    head = run(tmp_path, "head")[1]
    origin = head.splitlines()[0]
    for path in (tmp_path / "journal").glob("*.journal"):
        path.unlink()
    (key,) = journal.notary.keys
    code, told, said = check(file)
    fact = (
        "proven: entry 2 (event vm mod OpaqueRef:1 of pool lab, received at 2023-11-14T22:13:20Z)"
        f" is leaf 1 (from 0) of the 3 entries of {origin}\nsigned by {key}\n"
    )
    assert (code, told, said) == (0, fact + UNTRUSTED, "")
    keys, noted = tmp_path / "keys" / "journal.pub", tmp_path / "noted"
    noted.write_text(head)
    for given in (key, str(keys)):
        assert check(file, "--key", given) == (0, f"{fact}this is a key that you trust\n", "")
    code, told, _ = check(file, "--checkpoint", str(noted))
    assert (code, told) == (
        0,
        f"{fact}its checkpoint is one that was noted elsewhere\n{UNTRUSTED}",
    )


def test_verdict_in_json_is_one_document(tmp_path: Path) -> None:
    """With the entry in words, and whether a key was trusted."""
    file, journal = proven(tmp_path)
    code, told, _ = check(file, "--format", "json")
    verdict = json.loads(told)
    assert code == 0
    assert (verdict["proven"], verdict["redacted"], verdict["key_trusted"]) == (True, False, False)
    assert (verdict["leaf_index"], verdict["tree_size"]) == (1, 3)
    assert verdict["entry"] == json.loads(file.read_text())["entry"]
    assert verdict["signed_by"] == journal.notary.keys[0]
    told = check(file, "--format", "json", "--key", verdict["signed_by"])[1]
    assert json.loads(told) == verdict | {"key_trusted": True}


def test_proof_that_is_not_good_is_exit_code_1(tmp_path: Path) -> None:
    """With one line that says what is wrong; another key, or another checkpoint, is wrong too."""
    file, journal = proven(tmp_path / "one")
    other, stranger = proven(tmp_path / "two")
    noted = tmp_path / "noted"
    noted.write_text(json.loads(other.read_text())["checkpoint"])
    (key,), (strange,) = journal.notary.keys, stranger.notary.keys
    assert check(file, "--key", strange)[:2] == (
        1,
        f"not proven: it is signed by {key}, which is not the key that is trusted\n",
    )
    code, told, _ = check(file, "--checkpoint", str(noted))
    assert code == 1
    assert told.startswith("not proven: no checkpoint noted elsewhere is of xentrail/")
    file.write_text(file.read_text().replace('"lab"', '"\\u001b[2Jlob"'))
    text = "the entry in words is not what the item says"
    assert check(file) == (1, f"not proven: {text}\n", "")
    code, told, _ = check(file, "--format", "json")
    assert (code, json.loads(told)) == (1, {"proven": False, "trouble": text})


def test_forged_proof_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Anyone can make a proof of an entry with any text in it, by a key of their own."""
    journal = Journal.open(tmp_path / "journal", now_ns=lambda: 1, keys=tmp_path / "keys")
    with journal:
        journal.append([draft_with("\x1b[2Jproven\u202e\n")])
    file = tmp_path / "proof.json"
    assert run(tmp_path, "prove", "1", "--output", str(file))[0] == 0
    code, told, _ = check(file)
    assert code == 0
    assert told.startswith(
        r"proven: entry 1 (event vm mod \x1b[2Jproven\u202e\n of pool lab, received at "
    )


def test_redacted_entry_is_proven_by_its_leaf_only(tmp_path: Path) -> None:
    """What is left of it is not proven, and is said not to be."""
    write(tmp_path)
    leaf = json.loads(
        run(tmp_path, "redact", "2", "--reason", "a password", "--format", "json")[1]
    )["leaf"]
    file = tmp_path / "proof.json"
    file.write_text(run(tmp_path, "prove", "2")[1])
    code, told, _ = check(file)
    assert code == 0
    first, second, *_ = told.splitlines()
    assert first.startswith(f"proven: an entry with the leaf hash {leaf} is leaf 1 (from 0) of the")
    assert second == (
        "its snapshot was taken out of the journal since; that it was entry 2 (event vm mod"
        " OpaqueRef:1 of pool lab, received at 2023-11-14T22:13:20Z) is what the proof says, and"
        " not proven"
    )


def test_entry_that_cannot_be_proven_says_why(tmp_path: Path) -> None:
    """Exit code 40, and nothing on stdout; a file that cannot be written is exit code 2."""
    write(tmp_path)
    assert run(tmp_path, "prove", "4") == (
        40,
        "",
        "xentrail: there is no entry 4: the journal ends at 3\n",
    )
    code, _, said = run(tmp_path, "prove", "2", "--output", str(tmp_path / "no" / "file"))
    assert code == 2
    assert (
        said
        == f"xentrail: --output {tmp_path}/no/file: cannot be written: No such file or directory\n"
    )
    journal = Journal.open(tmp_path / "journal", now_ns=lambda: 1, keys=tmp_path / "keys")
    journal.append([draft_with("OpaqueRef:4")])
    abandon(journal)
    text = (
        "xentrail: entry 4 is in no signed checkpoint yet: one comes within a minute of traffic, or"
        " when the recorder stops\n"
    )
    assert run(tmp_path, "prove", "4") == (40, "", text)


@pytest.mark.parametrize(
    ("file", "args", "text"),
    [
        ("/nonexistent", [], "/nonexistent: cannot be read: No such file or directory"),
        ("README.md", [], "README.md: is no proof: it is not JSON: "),
        ("proof", ["--key", "x"], "--key x: is neither a verifier key (the key of x has no id"),
        ("proof", ["--key", "README.md"], "--key README.md: does not hold verifier keys: "),
        ("proof", ["--key", "/dev/null"], "--key /dev/null: is empty"),
        ("proof", ["--checkpoint", "README.md"], "README.md: does not hold signed checkpoints: "),
    ],
)
def test_what_cannot_be_used_is_exit_code_2(
    tmp_path: Path, file: str, args: list[str], text: str
) -> None:
    """A wrong file on the command line is not a proof that is not good."""
    proof, _ = proven(tmp_path)
    code, told, said = check(proof if file == "proof" else Path(file), *args)
    assert (code, told) == (2, "")
    assert said.startswith(f"xentrail: {text}")


def test_newer_proof_is_exit_code_40(tmp_path: Path) -> None:
    """It is neither good nor bad."""
    file, _ = proven(tmp_path)
    file.write_text(file.read_text().replace('"xentrail_proof": 1', '"xentrail_proof": 7'))
    assert check(file) == (
        40,
        "",
        "xentrail: the proof has version 7, this xentrail knows 1: upgrade\n",
    )
