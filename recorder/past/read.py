"""Reads the state of a pool at an instant out of a journal, and says what it is worth."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path

import msgspec

from ..errors import JournalError
from ..instant import Instant
from ..journal.scan import EntriesDropped, scan
from ..model import Entry
from ..simulator.datamodel import class_named, fields
from ..simulator.image import UNSERVED, PoolImage
from ..simulator.values import DateTime, Record, Value
from .story import Story
from .survey import Survey

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Past(msgspec.Struct, frozen=True):
    """A pool at an instant: `seq` is the last entry that counts, `caveats` say what is uncertain.

    No caveat: what is served is what was.
    """

    image: PoolImage
    seq: int
    caveats: tuple[str, ...]


def read_past(folder: Path, instant: Instant, *, pool: str | None = None) -> Past:
    """Return the state of a pool at an instant, out of the journal in a folder.

    The folder may also be the one that the journal lies in. Reads the journal twice: where the
    instant lies in it, then up to there. Raises QueryError if nothing can be known of that instant,
    or if several pools are recorded and none is named; JournalError as `scan` does.
    """
    journal = folder / "journal" if (folder / "journal").is_dir() else folder
    survey = Survey.of(_entries(journal), instant)
    name = survey.pool(pool)
    survey.check_known(name)
    story = Story(name)
    for entry in _entries(journal):
        story.take(entry)
        if entry.seq >= survey.position:
            break
    image = PoolImage.of(
        _tables(story), source=f"pool {name} at {instant}", generation=survey.position
    )
    return Past(image, survey.position, (*survey.caveats(name, instant), *_caveats(story)))


def image_of(
    objects: Iterable[tuple[str, str, Mapping[str, Json]]], *, source: str, seq: int
) -> Past:
    """Return a pool that somebody else has read out of the journal, as of its entry `seq`.

    `objects` are class (lower case), reference and record of each; `source` names where they are
    from, for errors. The caveats say what of them is left out. Raises ConfigError if they are no
    pool.
    """
    tables: dict[str, dict[str, Record]] = {}
    unknown = set[str]()
    for wire_name, ref, given in objects:
        cls = class_named(wire_name)
        if cls is None:
            unknown.add(wire_name)
        elif cls not in UNSERVED:
            tables.setdefault(cls, {})[ref] = _record(cls, given)
    image = PoolImage.of(tables, source=source, generation=seq)
    return Past(image, seq, tuple(_left_out(unknown)))


def _entries(journal: Path) -> Iterator[Entry]:
    """Yield the entries that there are: what was dropped from the beginning is no damage."""
    try:
        yield from scan(journal)
    except EntriesDropped as dropped:
        yield from scan(journal, after_seq=dropped.resume_after_seq or 0)


def _tables(story: Story) -> dict[str, dict[str, Record]]:
    """Return all objects by class and reference, as far as the simulator has their classes."""
    tables: dict[str, dict[str, Record]] = {}
    for wire_name, ref, snapshot in story.snapshots():
        cls = class_named(wire_name)
        if cls is not None and cls not in UNSERVED:
            tables.setdefault(cls, {})[ref] = record_of(cls, snapshot)
    return tables


def _caveats(story: Story) -> Iterator[str]:
    """Say what of the pool is not there, or not up to date."""
    if story.skipped:
        yield f"could not be read since the last gap: {', '.join(story.skipped)}"
    yield from _left_out({cls for cls, _, _ in story.snapshots() if class_named(cls) is None})


def _left_out(unknown: Set[str]) -> Iterator[str]:
    if unknown:
        yield f"left out, for the simulator has no such class: {', '.join(sorted(unknown))}"


def record_of(cls: str, snapshot: bytes) -> Record:
    """Return a recorded snapshot as a record, times marked as such. Raises JournalError."""
    try:
        given: Json = msgspec.json.decode(snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalError(f"the journal holds a {cls} that cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise JournalError(f"the journal holds a {cls} that is no record")
    return _record(cls, given)


def _record(cls: str, given: Mapping[str, Json]) -> Record:
    known = fields(cls)
    return {
        name: _value(known[name].type if name in known else "", value)
        for name, value in given.items()
    }


def _value(kind: str, given: Json) -> Value:
    """Return a JSON value as the type of its field has it; what does not fit stays as it is."""
    outer, _, inner = kind.partition(":")
    if isinstance(given, list):
        return [_value(inner, item) for item in given]
    if isinstance(given, dict):
        item_kind = inner.partition(":")[2]
        return {key: _value(item_kind, item) for key, item in given.items()}
    if given is None:
        return ""
    convert = _CONVERSIONS.get((outer, type(given)))
    return given if convert is None else convert(given)


def _number(text: Json) -> Value:
    assert isinstance(text, str)
    return int(text) if text.removeprefix("-").isdecimal() else text


def _float(number: Json) -> Value:
    assert isinstance(number, int)
    return float(number)


_CONVERSIONS: Mapping[tuple[str, type], Callable[[Json], Value]] = {
    ("datetime", str): DateTime,
    ("float", int): _float,
    ("int", str): _number,
}
