"""What opening a journal finds at its end, and what it does about it before anything is appended.

Only the last frame can be torn, because a frame is written only once the one before it is durable:
a whole frame behind the damage proves that the damage came later, and damage is never cut off.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

import msgspec

from ..errors import JournalDamaged
from ..model import Body, Detail, Mark, MarkName, rest_of
from .chain import GENESIS
from .codec import BadEntry, telling
from .files import Disk
from .frame import ChainBroken, Flag, FrameDamaged, Head, SealBroken, SeqBroken, find_frames
from .header import FORMAT_VERSION, Damage, HeaderDamaged
from .merkle import MerkleTree
from .names import QUARANTINE, find_segment, is_packed, segment_numbers, segment_path
from .segment import Cursor
from .tails import Tails
from .writer import SegmentWriter

TORN_TAIL = "torn-tail"
DAMAGE = "damage"


class Recovered(msgspec.Struct):
    """Where the next entry goes. `writer` is None if a new segment is to be created.

    `tree` is that over all entries, of which the first `signed_size` are in a checkpoint; `keys`
    are those of the checkpoints.
    """

    journal_id: bytes
    last_number: int = 0
    next_seq: int = 1
    chain: bytes = GENESIS
    tree: MerkleTree = msgspec.field(default_factory=MerkleTree)
    signed_size: int = 0
    keys: tuple[str, ...] = ()
    tails: Tails = msgspec.field(default_factory=lambda: Tails({}))
    writer: SegmentWriter | None = None
    damage: Damage | None = None
    repairs: list[Detail] = msgspec.field(default_factory=list)


def recover(folder: Path, disk: Disk) -> Recovered:
    """Bring the end of the journal in order and return where it goes on.

    Raises JournalDamaged if no segment can be built upon, NewerFormat, OSError.
    """
    repairs: list[Detail] = []
    numbers = segment_numbers(disk.names(folder))
    lost: list[int] = []  # segments behind the last one with a header, which are left as they are
    while numbers:
        try:
            with Cursor.of(folder, numbers[-1], disk, rooted=True) as cursor:
                return _build_on(folder, disk, cursor, lost, repairs)
        except HeaderDamaged as error:
            trouble = error
            number = numbers.pop()
            if not lost and is_unborn(folder, number, disk):
                _discard(folder, disk, number, repairs)
            else:
                lost.insert(0, number)
    if lost:
        raise JournalDamaged(
            f"no segment in {folder} has a header that can be used ({trouble}):"
            " move the folder away to record anew"
        )
    return Recovered(disk.fresh_id(), repairs=repairs)


def _discard(folder: Path, disk: Disk, number: int, repairs: list[Detail]) -> None:
    """Remove a last segment that was never born."""
    path = segment_path(folder, number)
    if data := _read(disk, path):
        repairs.append(_quarantine(folder, disk, number, 0, data, TORN_TAIL))
    disk.remove(path)
    disk.sync_folder(folder)


def _build_on(
    folder: Path, disk: Disk, cursor: Cursor, lost: list[int], repairs: list[Detail]
) -> Recovered:
    number = cursor.header.number
    recovered = Recovered(
        cursor.header.journal_id,
        lost[-1] if lost else number,
        signed_size=cursor.header.tree_size,
        keys=cursor.header.keys,
        tails=Tails(cursor.header.tails),
        repairs=repairs,
    )
    trouble = _replay(cursor, recovered)
    recovered.next_seq, recovered.chain = cursor.next_seq, cursor.chain
    recovered.tree = _tree(folder, disk, cursor)
    if trouble is not None and is_packed(cursor.path):
        raise JournalDamaged(
            f"{cursor.path}: {trouble}; it is the last segment, and nothing can go on behind it:"
            " put back a good copy, or move the folder away to record anew"
        )
    rest = cursor.rest()
    if lost:
        _leave_lost(folder, disk, recovered, lost)
    elif trouble is not None and _is_damage(cursor, trouble, rest):
        _leave(folder, disk, recovered, number, cursor.offset, rest)
    else:
        if trouble is not None:
            repairs.append(_quarantine(folder, disk, number, cursor.offset, rest, TORN_TAIL))
            _truncate(disk, cursor)
        else:
            _remember_cut(folder, disk, cursor, repairs)
        if not is_packed(cursor.path):
            _write_last_again(folder, disk, cursor)
        recovered.writer = None if cursor.sealed else SegmentWriter.resume(cursor, disk)
    return recovered


def _replay(cursor: Cursor, recovered: Recovered) -> FrameDamaged | None:
    assert cursor.tree is not None
    try:
        while (frame := cursor.next()) is not None:
            if frame.head.flags != Flag.DATA:
                recovered.signed_size = cursor.tree.size
                continue
            for entry in telling(frame.items):
                body = rest_of(entry.body)
                recovered.tails.take(entry.seq, entry.received_at_ns, entry.pool, body)
                recovered.keys += key_in(entry.body)
    except FrameDamaged as error:
        return error
    except BadEntry as error:
        # Every digest is right, so this was written on purpose: not for us to repair.
        raise JournalDamaged(f"{cursor.path} at byte {cursor.last_offset}: {error}") from error
    return None


def key_in(body: Body) -> tuple[str, ...]:
    """Return the verifier key that an entry makes known, if it does."""
    if isinstance(body, Mark) and body.name is MarkName.KEY_CHANGED:
        return (str(body.detail.get("key")),)
    return ()


def _tree(folder: Path, disk: Disk, last: Cursor) -> MerkleTree:
    """Return the tree over all entries up to the end of the last segment.

    A journal of format 1 has none: all of it is read, once, when it is first written to.
    """
    assert last.tree is not None
    if last.header.format == FORMAT_VERSION:
        return last.tree
    tree = MerkleTree()
    for number in segment_numbers(disk.names(folder)):
        try:
            with Cursor.of(folder, number, disk) as cursor:
                while cursor.offset < last.offset or number < last.header.number:
                    frame = cursor.next()
                    if frame is None:
                        break
                    if frame.head.flags == Flag.DATA:
                        tree.add(frame.leaves)
        except (FrameDamaged, HeaderDamaged):
            continue  # What cannot be read is in no tree; `verify` tells of it.
    return tree


def _is_damage(cursor: Cursor, trouble: FrameDamaged, rest: bytes) -> bool:
    if isinstance(trouble, ChainBroken | SeqBroken | SealBroken):
        return True  # a whole frame: no tear leaves one
    return frames_follow(rest, cursor.next_seq)


def is_unborn(folder: Path, number: int, disk: Disk) -> bool:
    """Say whether the last segment, which lacks its header, died before that was durable.

    Then its blocks may hold anything, even what an earlier segment left in them; but no entry that
    is newer than those of the segments before it. Raises OSError.
    """
    path = segment_path(folder, number)
    if not disk.exists(path):
        return False  # only what was sealed is packed
    earlier = [other for other in segment_numbers(disk.names(folder)) if other < number]
    next_seq = _next_seq(folder, earlier, disk)
    frames = find_frames(_read(disk, path), first_seq_min=next_seq, first_seq_max=1 << 63)
    return not _are_newer(frames, next_seq)


def _next_seq(folder: Path, numbers: list[int], disk: Disk) -> int:
    """Return the number behind the last good entry of these segments."""
    for number in reversed(numbers):
        try:
            with Cursor.of(folder, number, disk) as cursor:
                with suppress(FrameDamaged):
                    while cursor.next() is not None:
                        pass
                return cursor.next_seq
        except HeaderDamaged:
            continue
    return 1


def frames_follow(rest: bytes, next_seq: int) -> bool:
    """Say whether a whole frame begins behind the first byte: then no crash left these bytes so."""
    return _are_newer(_later(rest, next_seq, 1), next_seq)


def _are_newer(frames: Iterator[tuple[int, Head]], next_seq: int) -> bool:
    # A seal or checkpoint with the very next number may be what a file system left of the segment
    # before, in a block that it used again. Behind a frame of this one it has a later number.
    return any(head.flags == Flag.DATA or head.first_seq > next_seq for _, head in frames)


def _later(rest: bytes, next_seq: int, start: int) -> Iterator[tuple[int, Head]]:
    # An entry takes more than one byte, so that no honest frame can be further than that.
    return find_frames(
        rest, start=start, first_seq_min=next_seq, first_seq_max=next_seq + len(rest)
    )


def _leave(
    folder: Path, disk: Disk, recovered: Recovered, number: int, offset: int, rest: bytes
) -> None:
    """Go on in a new segment; numbers that later frames may have used are not used again."""
    recovered.repairs.append(_quarantine(folder, disk, number, offset, rest, DAMAGE))
    if recovered.damage is None:
        recovered.damage = Damage(number, offset, len(rest), sha256(rest).digest())
    for _, head in _later(rest, recovered.next_seq, 0):
        recovered.next_seq = max(recovered.next_seq, head.next_seq)


def _leave_lost(folder: Path, disk: Disk, recovered: Recovered, lost: list[int]) -> None:
    for number in lost:
        data = _read(disk, find_segment(folder, number, disk))
        _leave(folder, disk, recovered, number, 0, data)


def _truncate(disk: Disk, cursor: Cursor) -> None:
    fd = disk.open_append(cursor.path)
    try:
        disk.truncate(fd, cursor.offset)
        disk.sync(fd)
    finally:
        disk.close(fd)


def _remember_cut(folder: Path, disk: Disk, cursor: Cursor, repairs: list[Detail]) -> None:
    """Report a tail that an open cut at this very place before it died, unable to say so."""
    number = cursor.header.number
    place = _place(number + 1, 0) if cursor.sealed else _place(number, cursor.offset)
    for name in sorted(disk.names(folder / QUARANTINE)):
        if name.startswith(place) and not any(name in str(done["kept_in"]) for done in repairs):
            size = len(_read(disk, folder / QUARANTINE / name))
            at = (number + 1, 0) if cursor.sealed else (number, cursor.offset)
            repairs.append(_detail(TORN_TAIL, *at, size, name))


def _write_last_again(folder: Path, disk: Disk, cursor: Cursor) -> None:
    """Make the last frame durable, for certain.

    After a failed sync the kernel may show bytes that the disk never got, and calls them clean:
    only writing them anew makes a sync mean something. Earlier frames were synced before this one.
    """
    with disk.open_read(cursor.path) as file:
        file.seek(cursor.last_offset)
        data = file.read(cursor.offset - cursor.last_offset)
    disk.rewrite(cursor.path, cursor.last_offset, data)
    disk.sync_folder(folder)


def _quarantine(
    folder: Path, disk: Disk, number: int, offset: int, data: bytes, reason: str
) -> Detail:
    """Keep a durable copy of `data` under a name of its own."""
    quarantine = folder / QUARANTINE
    disk.make_folder(quarantine)
    taken = disk.names(quarantine)
    name = _free(_place(number, offset), taken) + reason
    fd = disk.create(quarantine / name)
    try:
        disk.write_all(fd, data)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.sync_folder(quarantine)
    return _detail(reason, number, offset, len(data), name)


def _free(place: str, taken: Sequence[str]) -> str:
    # Not one more than there are: a crash may have left the second copy and not the first.
    copies = (f"{place}{copy}." for copy in count(1))
    return next(name for name in copies if not any(other.startswith(name) for other in taken))


def _place(number: int, offset: int) -> str:
    return f"{number:010d}-{offset:010d}-"


def _detail(reason: str, number: int, offset: int, size: int, name: str) -> Detail:
    return {
        "reason": reason,
        "segment": number,
        "offset": offset,
        "bytes": size,
        "kept_in": f"{QUARANTINE}/{name}",
    }


def _read(disk: Disk, path: Path) -> bytes:
    with disk.open_read(path) as file:
        return file.read()
