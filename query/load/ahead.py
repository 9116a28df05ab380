"""Reading a long journal in a process of its own: both ends of the pipe to the loader.

Reading, and comparing what can be compared within a batch, takes nearly half of a load, and no
interpreter does it beside anything else. What comes of it is a function of the journal alone: the
process knows nothing of the history, and if it is lost, the loader goes on by itself.
"""

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from recorder.errors import JournalDamaged, XentrailError
from recorder.journal.scan import begun
from recorder.model import Entry

from .batches import Batch, batches, prepared
from .reading import Reader

APART_ENTRIES_MIN = 100_000
"""Measured: so many take 4 s; the process is there after 0.2 s, or 1 s on a busy machine."""
PIPE_BYTES = 1 << 20
PART_ENTRIES = 1_000
_PROGRAM = """
import sys
sys.path[:] = sys.argv[3:]
from query.load.ahead import main
main(sys.argv[1], int(sys.argv[2]))
"""
"""What the process runs. `multiprocessing` would import the main module in it once more, which may
be a script that loads."""


def is_worth_it(reader: Reader) -> bool:
    """Tell whether there is much to read, and a processor to do it on. Raises JournalError."""
    if len(os.sched_getaffinity(0)) < 2:
        return False
    return begun(reader.folder) - reader.after_seq > APART_ENTRIES_MIN


# -- the end of the loader ---------------------------------------------------------------------


class Ahead(msgspec.Struct, frozen=True):
    """Has a process read what `reader` would; what that has met is in the reader all the same."""

    reader: Reader

    def batches(self) -> Generator[Batch, None, None]:
        """Yield all batches; the process ends with them, or when this is closed.

        Raises what reading raises, after the batches before it.
        """
        if not (yield from self._received()):
            # The system has killed it, or gives us none, for want of memory most likely: to read
            # here needs less.
            self.reader.go_on()
            yield from prepared(batches(self.reader))

    def _received(self) -> Generator[Batch, None, bool]:
        """Yield what the process reads; return whether that is all. Raises as `batches` does."""
        try:
            process = _start(self.reader)
        except OSError:
            return False
        is_complete = False
        with process:
            try:
                while (piece := _next(process)) is not None:
                    is_complete = piece.batch is None
                    for last, damage in piece.damages:
                        self.reader.damages.append((last, cast(JournalDamaged, damage.again())))
                    if piece.error is not None:
                        raise piece.error.again()
                    if piece.batch is None:
                        break
                    self.reader.last = piece.batch.entries[-1]
                    yield piece.batch
                    del piece  # Room for the next one.
            finally:
                if not is_complete:
                    process.kill()
        return is_complete


def _start(reader: Reader) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-c", _PROGRAM, str(reader.folder), str(reader.after_seq)]
    return subprocess.Popen(
        [*command, *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        bufsize=PIPE_BYTES,
        pipesize=PIPE_BYTES,
        process_group=0,  # Ctrl-C is for the loader, which ends this one.
    )


def _next(process: "subprocess.Popen[bytes]") -> "_Piece | None":
    """Return what comes next, None if the process has ended without a word."""
    entries: list[Entry] = []
    try:
        while isinstance(part := pickle.load(cast(BinaryIO, process.stdout)), list):  # noqa: S301  # of our own process
            entries += part
    except (EOFError, pickle.UnpicklingError):
        return None
    piece = cast(_Piece, part)
    if piece.batch is not None:
        piece.batch.entries.extend(entries)
    return piece


# -- the end of the process that reads ---------------------------------------------------------


class _Error(msgspec.Struct, frozen=True):
    """An error of ours on its way: pickle would ask its class for what is not in `args`."""

    cls: type[XentrailError]
    args: tuple[object, ...]
    attributes: dict[str, object]

    @staticmethod
    def of(error: XentrailError) -> "_Error":
        """Take an error apart."""
        return _Error(type(error), error.args, vars(error))

    def again(self) -> XentrailError:
        """Return it as it was."""
        error = self.cls.__new__(self.cls, *self.args)
        vars(error).update(self.attributes)
        return error


class _Piece(msgspec.Struct, frozen=True):
    """What is told at a time: a batch, the damages met since the one before, an error at the end;
    without a batch it is the last. The entries of a batch are sent before it."""

    batch: Batch | None
    damages: list[tuple[Entry | None, _Error]]
    error: _Error | None = None


def main(folder: str, after_seq: int) -> None:
    """Read the journal in `folder` and send what comes of it, as long as anybody wants it.

    What is no error of ours ends this process; the loader then meets it where it can be seen.
    """
    gc.disable()  # as the loader does, see there
    with suppress(BrokenPipeError), open(1, "wb", buffering=PIPE_BYTES) as pipe:
        for piece in _pieces(Reader(Path(folder), after_seq)):
            for part in _parts(piece):
                pickle.dump(part, pipe, pickle.HIGHEST_PROTOCOL)
            pipe.flush()
            del piece, part  # Room for the next one.


def _pieces(reader: Reader) -> Iterator[_Piece]:
    known, error = 0, None
    try:
        for batch in prepared(batches(reader)):
            damages, known = reader.damages[known:], len(reader.damages)
            yield _Piece(batch, _sent(damages))
            del batch
    except XentrailError as raised:
        error = _Error.of(raised)
    yield _Piece(None, _sent(reader.damages[known:]), error)


def _parts(piece: _Piece) -> Iterator[list[Entry] | _Piece]:
    """Cut a piece up: pickle notes all that it has met, which takes 20 MB for a whole batch."""
    if piece.batch is not None:
        entries = piece.batch.entries
        for first in range(0, len(entries), PART_ENTRIES):
            yield entries[first : first + PART_ENTRIES]
        piece = msgspec.structs.replace(piece, batch=Batch([], piece.batch.foreseen))
    yield piece


def _sent(
    damages: list[tuple[Entry | None, JournalDamaged]],
) -> list[tuple[Entry | None, _Error]]:
    return [(last, _Error.of(damage)) for last, damage in damages]
