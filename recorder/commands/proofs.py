"""The commands about proofs: write one, and check one with no journal at hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..instant import time_text
from ..printable import shown
from .options import SEQ_HELP, DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from ..journal.keys import VerifierKey
    from ..journal.proof import Proven

_TELLING = ("kind", "class", "operation", "ref", "name", "cause")


def prove(
    seq: Annotated[int, typer.Argument(metavar="SEQ", help=SEQ_HELP)],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where it is written, instead of stdout."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Write the proof, in JSON, that an entry is in the journal; anyone can check it without."""
    from ..journal.files import Disk
    from ..journal.prove import prove as prove_entry

    proof = prove_entry(data_folder(data) / "journal", seq, Disk())
    if output is None:
        print(proof.text(), end="")
        return
    try:
        output.write_text(proof.text(), "utf-8")
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written: {error.strerror}") from error
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"entry {seq} is proven by the checkpoint of {proof.tree_size:,} entries;"
        f" `xentrail check-proof {output}` checks it"
    )


def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `xentrail prove` wrote.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY|FILE", help="The verifier key that you trust, or a file of them."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Checkpoints noted elsewhere, which must have that of the proof among them.",
        ),
    ] = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Check a proof with no journal at hand; exit 1 if it is not good."""
    from ..journal.proof import BadProof, NoProof, check, read_proof

    trusted = () if key is None else _keys(key)
    noted = None if checkpoint is None else notes_in(checkpoint)
    proven, trouble = None, None
    try:
        proven = check(read_proof(_bytes_of(file)), trusted=trusted, noted=noted)
    except NoProof as error:
        raise ConfigError(f"{file}: is no proof: {error}") from error
    except BadProof as error:
        trouble = str(error)
    if form is ReportFormat.JSON:
        print(json.dumps(_plain(proven, trouble, bool(trusted), noted is not None), indent=2))
        raise typer.Exit(1 if proven is None else 0)
    lines = [f"not proven: {trouble}"]
    if proven is not None:
        lines = list(_lines(proven, key_trusted=bool(trusted), noted=noted is not None))
    for line in lines:
        print(shown(line))  # A forged proof says what it likes.
    raise typer.Exit(1 if proven is None else 0)


def notes_in(file: Path) -> list[str]:
    """Return the signed notes in a file. Raises ConfigError."""
    from ..journal.note import BadNote, split_notes

    try:
        return split_notes(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except BadNote as error:
        raise ConfigError(f"{file}: does not hold signed checkpoints: {error}") from error


def _bytes_of(file: Path) -> bytes:
    from ..journal.proof import PROOF_BYTES_MAX

    try:
        with file.open("rb") as opened:
            data = opened.read(PROOF_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > PROOF_BYTES_MAX:
        raise ConfigError(f"{file}: is no proof: it is over {PROOF_BYTES_MAX:,} bytes long")
    return data


def _keys(option: str) -> list["VerifierKey"]:
    """Return the key that an option is, or those in the file that it names."""
    from ..journal.keys import VerifierKey
    from ..journal.note import BadNote

    try:
        return [VerifierKey.parse(option.strip())]
    except BadNote as error:
        trouble = error
    try:
        text = Path(option).read_bytes().decode()
        keys = [VerifierKey.parse(line) for line in text.splitlines()]
    except OSError as error:
        raise ConfigError(
            f"--key {option}: is neither a verifier key ({trouble}) nor a file that can be read"
            f" ({error.strerror})"
        ) from error
    except ValueError as error:
        raise ConfigError(f"--key {option}: does not hold verifier keys: {error}") from error
    if not keys:
        raise ConfigError(f"--key {option}: is empty")
    return keys


def _lines(proven: "Proven", *, key_trusted: bool, noted: bool) -> Iterator[str]:
    """Say what was proven, what was not, and on whose word."""
    checkpoint, what = proven.checkpoint, _what(proven)
    place = (
        f"leaf {proven.leaf_index} (from 0) of the {checkpoint.size} entries of {checkpoint.origin}"
    )
    if proven.redacted:
        yield f"proven: an entry with the leaf hash {proven.leaf.hex()} is {place}"
        yield (
            "its snapshot was taken out of the journal since; that it was"
            f" {what} is what the proof says, and not proven"
        )
    else:
        yield f"proven: {what} is {place}"
    yield f"signed by {proven.signed_by.text}"
    if noted:
        yield "its checkpoint is one that was noted elsewhere"
    if key_trusted:
        yield "this is a key that you trust"
    else:
        yield (
            "only the proof itself names this key, which proves nothing about who signed: compare"
            " it with `xentrail head --keys` of the recorder, and give it with --key"
        )


def _what(proven: "Proven") -> str:
    """Return an entry in a few words."""
    shown, entry = proven.shown, proven.entry
    words = [str(shown[name]) for name in _TELLING if shown.get(name) is not None]
    pool = f" of pool {entry.pool}" if entry.pool else ""
    return (
        f"entry {entry.seq} ({' '.join(words)}{pool}, received at"
        f" {time_text(entry.received_at_ns // 1000)})"
    )


def _plain(
    proven: "Proven | None", trouble: str | None, key_trusted: bool, noted: bool
) -> dict[str, object]:
    if proven is None:
        return {"proven": False, "trouble": trouble}
    return {
        "proven": True,
        "redacted": proven.redacted,
        "entry": proven.shown,
        "leaf": proven.leaf.hex(),
        "leaf_index": proven.leaf_index,
        "tree_size": proven.checkpoint.size,
        "root": proven.checkpoint.root.hex(),
        "origin": proven.checkpoint.origin,
        "signed_by": proven.signed_by.text,
        "key_trusted": key_trusted,
        "noted_elsewhere": noted,
    }
