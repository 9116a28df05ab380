"""What someone can do to a journal who recomputes all that needs no key: each changes its segments.

The segments are those of `tampering.sample`: the first has a checkpoint as its third frame, and the
last one is empty.
"""

from collections.abc import Callable

from msgspec.structs import replace

from recorder.journal.chain import leaf_hash
from recorder.journal.codec import redacted_item
from recorder.journal.frame import Flag
from recorder.journal.keys import VerifierKey
from recorder.journal.note import parse_note
from tests.journal.tampering import Part, Taken, genesis, listed, packed, plain

Forgery = Callable[[list[Taken]], None]


def edit_entry(segments: list[Taken]) -> None:
    replace_item(segments, 1, 0, 5, lambda item: packed([*listed(item)[:-1], b"{}"]))


def edit_time(segments: list[Taken]) -> None:
    replace_item(segments, 0, 0, 0, lambda item: packed([1, 5, *listed(item)[2:]]))


def drop_entry(segments: list[Taken]) -> None:
    change_part(segments, 1, 1, lambda part: replace(part, items=part.items[1:]))


def drop_first_entry(segments: list[Taken]) -> None:
    change_part(segments, 0, 0, lambda part: replace(part, items=part.items[1:]))


def drop_last_entry(segments: list[Taken]) -> None:
    change_part(segments, 3, 0, lambda part: replace(part, items=part.items[:-1]))


def swap_entries(segments: list[Taken]) -> None:
    change_part(
        segments,
        2,
        0,
        lambda part: replace(part, items=(part.items[1], part.items[0], *part.items[2:])),
    )


def repeat_entry(segments: list[Taken]) -> None:
    change_part(segments, 2, 0, lambda part: replace(part, items=(part.items[0], *part.items)))


def insert_frame(segments: list[Taken]) -> None:
    frame = segments[0].parts[0]
    segments[2] = replace(segments[2], parts=(frame, *segments[2].parts))


def drop_frame(segments: list[Taken]) -> None:
    segments[1] = replace(segments[1], parts=segments[1].parts[1:])


def swap_frames(segments: list[Taken]) -> None:
    one, two, *rest = segments[2].parts
    segments[2] = replace(segments[2], parts=(two, one, *rest))


def drop_first_segment(segments: list[Taken]) -> None:
    del segments[0]
    segments[0] = genesis(segments[0])


def drop_segment(segments: list[Taken]) -> None:
    del segments[1]


def swap_segments(segments: list[Taken]) -> None:
    segments[1], segments[2] = segments[2], segments[1]


def repeat_segment(segments: list[Taken]) -> None:
    segments.insert(1, segments[2])


def older_checkpoint(segments: list[Taken]) -> None:
    """A true checkpoint, signed and of this journal, in the place of a later one."""
    note = segments[0].parts[2].items[0]
    seal = listed(segments[2].parts[-1].items[0])
    parts = (*segments[2].parts[:-1], Part(Flag.SEAL, (packed([*seal[:6], plain(note)]),)))
    segments[2] = replace(segments[2], parts=parts)


def moved_checkpoint(segments: list[Taken]) -> None:
    one, two, note, *rest = segments[0].parts
    segments[0] = replace(segments[0], parts=(one, note, two, *rest))


def copied_checkpoint(segments: list[Taken]) -> None:
    note = segments[0].parts[2]
    segments[1] = replace(segments[1], parts=(note, *segments[1].parts))


def no_checkpoint(segments: list[Taken]) -> None:
    change_part(segments, 0, 2, lambda part: replace(part, items=(packed("nothing\n"),)))


def unsigned_checkpoint(segments: list[Taken]) -> None:
    text = parse_note(str(plain(segments[0].parts[2].items[0]))).text
    change_part(segments, 0, 2, lambda part: replace(part, items=(packed(text),)))


def no_seal(segments: list[Taken]) -> None:
    segments[1] = replace(segments[1], parts=segments[1].parts[:-1])


def seal_within(segments: list[Taken]) -> None:
    one, *rest, seal = segments[1].parts
    segments[1] = replace(segments[1], parts=(one, seal, *rest, seal))


def body_taken_away(segments: list[Taken]) -> None:
    """A snapshot becomes the leaf of its entry, and no entry says who took it."""
    replace_item(segments, 1, 0, 5, lambda item: redacted_item(plain(item), leaf_hash(item)))


def body_taken_away_for_another(segments: list[Taken]) -> None:
    """A snapshot becomes the leaf of another entry."""
    replace_item(segments, 1, 0, 5, lambda item: redacted_item(plain(item), bytes(32)))


def new_key(segments: list[Taken]) -> None:
    """An entry says that the key changed, and the old one does not vouch for it."""
    text = VerifierKey("somebody", bytes(32)).text
    mark = [0, 5, "mark", "", "key-changed", {"key": text, "endorsement": None}]
    change_part(segments, 1, 0, lambda part: replace(part, items=(*part.items, packed(mark))))


def other_keys(segments: list[Taken]) -> None:
    """From the second segment on the headers name another key than before."""
    text = VerifierKey("somebody", bytes(32)).text
    for at in range(1, len(segments)):
        header = replace(segments[at].header, keys=(text,))
        segments[at] = replace(segments[at], header=header)


def other_journal(segments: list[Taken]) -> None:
    for at, taken in enumerate(segments):
        segments[at] = replace(taken, header=replace(taken.header, journal_id=bytes(16)))


def change_part(
    segments: list[Taken], at: int, number: int, change: Callable[[Part], Part]
) -> None:
    parts = list(segments[at].parts)
    parts[number] = change(parts[number])
    segments[at] = replace(segments[at], parts=tuple(parts))


def replace_item(
    segments: list[Taken], at: int, number: int, index: int, change: Callable[[bytes], bytes]
) -> None:
    def changed(part: Part) -> Part:
        items = list(part.items)
        items[index] = change(items[index])
        assert items != list(part.items)
        return replace(part, items=tuple(items))

    change_part(segments, at, number, changed)


FORGERIES: tuple[Forgery, ...] = (
    edit_entry,
    edit_time,
    drop_entry,
    drop_first_entry,
    drop_last_entry,
    swap_entries,
    repeat_entry,
    insert_frame,
    drop_frame,
    swap_frames,
    drop_first_segment,
    drop_segment,
    swap_segments,
    repeat_segment,
    older_checkpoint,
    moved_checkpoint,
    copied_checkpoint,
    no_checkpoint,
    unsigned_checkpoint,
    no_seal,
    seal_within,
    body_taken_away,
    body_taken_away_for_another,
    new_key,
    other_keys,
    other_journal,
)
