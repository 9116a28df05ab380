"""The events of operations that were recorded with a real xapi, and the replies around them.

VMs are started and stopped, cloned, snapshotted and destroyed, networks made and thrown away and
fields set, while a session listens to everything. How many events share a reply is chance, so that
what it heard in all is compared: number, order, classes, changed fields, all values in the records.
"""

from collections.abc import Iterator

import pytest
import trio.testing

from recorder.simulator.datamodel import class_named

from . import listing
from .allowed import check
from .comparison import compare, events_of, of_records
from .recordings import read
from .stage import Stage
from .story import LISTENING, Story, recorded, tables, tell
from .trees import Difference, Tree

FOLDERS = ("v25.32.0-lifecycle", "v24.11.0-lifecycle")


@pytest.mark.parametrize("folder", FOLDERS)
async def test_operations_are_told_as_recorded(
    folder: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Replies and events are the recorded ones, but for the list of differences."""
    story, stage = await tell(folder)
    acts = [item for item in read(folder) if item.method not in LISTENING]
    assert [act.exchange for act in story.acts if act.exchange.method not in LISTENING] == acts
    names = stage.names.all()
    found = [*_in_replies(story, stage), *_in_events(folder, story, stage, names)]
    check(folder, [*found, *_in_states(folder, story, stage, names)])


@pytest.mark.parametrize("folder", FOLDERS)
async def test_ids_of_events_are_dense(folder: str, autojump_clock: trio.testing.MockClock) -> None:
    """Ids count on without a gap for a session that listens to everything, there and here."""
    story, _stage = await tell(folder)
    for replies in ([*recorded(folder, "event.next")], story.heard):
        ids = [_id(event) for event in _events(replies)]
        assert ids == [*range(ids[0], ids[0] + len(ids))]


def _in_replies(story: Story, stage: Stage) -> Iterator[tuple[str, Difference]]:
    theirs_of = {ours.decode(): theirs.decode() for theirs, ours in stage.names.ours.items()}
    for act in story.acts:
        for difference in compare(act, theirs_of):
            yield act.exchange.name.partition("-")[2], difference


def _in_events(
    folder: str, story: Story, stage: Stage, names: dict[str, str]
) -> Iterator[tuple[str, Difference]]:
    """Compare what event.next told, one by one; the names of new objects are added to `names`."""
    theirs = [stage.names.undated(reply) for reply in recorded(folder, "event.next")]
    ours = [stage.names.undated(reply) for reply in story.heard]
    heard = [[*listing.listing(_events(replies), story.known)] for replies in (theirs, ours)]
    for difference in listing.compare(heard[0], heard[1], names):
        yield "events", difference


def _in_states(
    folder: str, story: Story, stage: Stage, names: dict[str, str]
) -> Iterator[tuple[str, Difference]]:
    """Compare what event.from told, whose rhythm is chance: what all of it comes to."""
    theirs = tables(stage.names.undated(reply) for reply in recorded(folder, "event.from"))
    ours = tables(stage.names.undated(reply) for reply in story.polled)
    for cls in theirs | ours:
        renamed = listing.renamed_by(names, {**theirs[cls]})
        assert isinstance(renamed, dict)
        pair = [dict(sorted(rows.items())) for rows in (renamed, ours[cls])]
        for difference in of_records(class_named(cls) or cls, pair[0], pair[1]):
            yield "event.from", difference


def _events(replies: list[bytes]) -> Iterator[Tree]:
    return (event for reply in replies for event in events_of(reply))


def _id(event: Tree) -> int:
    assert isinstance(event, dict)
    return int(str(event["id"][1]))  # type: ignore[index]  # a leaf
