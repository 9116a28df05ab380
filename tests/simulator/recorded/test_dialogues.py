"""Every request that was recorded with a real xapi gets the recorded reply, byte for byte.

What the pool made up by itself (references, uuids, dates) has other names here; what else may
differ is in differences.txt.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest
import trio.testing

from .allowed import check
from .comparison import compare, events_of, of_events
from .recordings import ARCHIVE, WIRE, archived, in_folder, read
from .replay import Played, replay
from .trees import Difference, Tree

ONE_BY_ONE = "v24.11.0"
"""Up to that version event.next answered at the first event, so that the number of events in a
reply was a matter of time: what each session heard in all is compared instead."""


def test_the_recordings_are_all_there() -> None:
    """No request is left out silently."""
    counts = {folder: len(read(folder)) for folder in ("v25.32.0", "v24.11.0")}
    assert counts == {"v25.32.0": 147, "v24.11.0": 147}


@pytest.mark.parametrize("folder", ["v25.32.0", "v24.11.0"])
async def test_replies_are_those_recorded(
    folder: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Envelope, header order, status, member order, types, encodings and errors, in XML-RPC and
    both kinds of JSON-RPC; and every difference that is listed is one."""
    played, names = await replay(folder)
    assert [item.exchange for item in played] == list(read(folder))
    theirs_of = {ours.decode(): theirs.decode() for theirs, ours in names.ours.items()}
    check(folder, _differences(folder, played, theirs_of))


@pytest.mark.skipif(not WIRE, reason="$XENTRAIL_WIRE names no folder with all recordings")
def test_the_archive_has_what_was_recorded() -> None:
    """tests/golden has the bytes of the recordings."""
    assert ARCHIVE.stat().st_size < 600_000
    assert archived() == in_folder()


def _differences(
    folder: str, played: list[Played], theirs_of: Mapping[str, str]
) -> Iterator[tuple[str, Difference]]:
    streams: dict[str, list[Played]] = defaultdict(list)
    for item in played:
        if folder == ONE_BY_ONE and _is_listening(item):
            streams[item.exchange.session].append(item)
            continue
        for difference in compare(item, theirs_of):
            yield item.exchange.name.partition("-")[2], difference
    for stream in streams.values():
        for difference in of_events(*_heard(stream)):
            yield "stream of event.next", difference


def _is_listening(item: Played) -> bool:
    return item.exchange.method == "event.next" and 77 <= int(item.exchange.number) <= 84


def _heard(stream: list[Played]) -> tuple[list[Tree], list[Tree]]:
    """Return the events that a session heard there, and as many of those it heard here."""
    theirs = [event for item in stream for event in events_of(item.theirs)]
    ours = [event for item in stream for event in events_of(item.ours)]
    return theirs, ours[: len(theirs)]
