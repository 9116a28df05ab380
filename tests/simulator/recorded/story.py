"""A recording of operations: the requests that acted, and what a listener heard of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import trio

from recorder.simulator.faults.reading import plan_of

from .comparison import events_of
from .listing import said
from .names import TOKEN
from .recordings import Exchange, read
from .replay import FIRST_STAMP, Played, played_of, stage_for
from .stage import Stage
from .trees import Tree

LISTENING = ("event.next", "event.from")
_QUIET_S = 0.1
"""Between two operations, which were recorded one close to the other, too."""


@dataclass(slots=True)
class Story:
    """What became of a recording: requests with replies, and what was heard by both ways.

    `known` has the records as they were in the beginning, by their references; `heard` and `polled`
    all replies to event.next and event.from since then.
    """

    known: Mapping[str, Tree]
    acts: list[Played] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    polled: list[bytes] = field(default_factory=list)


async def tell(folder: str) -> tuple[Story, Stage]:
    """Act as recorded and return what came of it."""
    every = read(folder)
    first, second = [item for item in every if item.method == "event.from"][:2]
    async with trio.open_nursery() as nursery:
        stage = await stage_for(
            folder, nursery, first=first.name, next_stamp=FIRST_STAMP, speed=1.0
        )
        stage.pool.hub.beating = False  # No recording took so long that the pool had a heartbeat.
        _take_storage_away(stage)
        begun = tables([stage.names.undated(first.reply)])
        story = Story({ref: record for rows in begun.values() for ref, record in rows.items()})
        listeners = {
            first: (_poll, second, story.polled),
            _one(every, "event.register"): (_listen, _one(every, "event.next"), story.heard),
        }
        for item in every:
            if item.method not in LISTENING or item is first:
                await _wait_for(stage, item)
                story.acts.append(played_of(stage, item, await stage.ask(item.request)))
            if item in listeners:
                listen, request, into = listeners[item]
                nursery.start_soon(listen, stage, request, into)
                await trio.sleep(_QUIET_S)
        await trio.sleep(_QUIET_S)
        nursery.cancel_scope.cancel()
    return story, stage


def recorded(folder: str, method: str) -> Iterator[bytes]:
    """Yield the replies there to event.next, or to event.from after the first, in their order."""
    replies = (item.reply for item in read(folder) if item.method == method)
    return replies if method == "event.next" else islice(replies, 1, None)


def tables(replies: Iterable[bytes]) -> dict[str, dict[str, Tree]]:
    """Return what remains when events are laid over each other: records by class and reference."""
    found: dict[str, dict[str, Tree]] = defaultdict(dict)
    for event in (event for reply in replies for event in events_of(reply)):
        cls, operation, ref = said(event)
        assert isinstance(event, dict)
        if operation == "del":
            found[cls].pop(ref, None)
        else:
            found[cls][ref] = event["snapshot"]
    return found


def _take_storage_away(stage: Stage) -> None:
    """Let calls to storage fail: that server had none, whatever its rows said."""
    (sr,) = stage.pool.database.refs("SR")
    refused: dict[str, object] = {
        "effect": "task_failure",
        "code": "SR_NOT_ATTACHED",
        "params": [sr],
        "progress": 0.0,
        "lasts_s": 0.0,
    }
    rules = [{"match": match, **refused} for match in ("VDI.set_name_*", "SR.set_name_*")]
    stage.front.faults.take(plan_of({"fault": rules}, "story"))


async def _listen(stage: Stage, item: Exchange, into: list[bytes]) -> None:
    while True:
        into.append(await stage.ask(item.request, patience_s=1e6))


async def _poll(stage: Stage, item: Exchange, into: list[bytes]) -> None:
    request = item.request
    while True:
        into.append(await stage.ask(request))
        request = TOKEN.sub(TOKEN.findall(into[-1])[-1], item.request)


async def _wait_for(stage: Stage, item: Exchange) -> None:
    """Let things calm down before a request, or a task end where it was seen to have ended."""
    if not item.method.startswith("task."):
        await trio.sleep(_QUIET_S)
    elif item.method == "task.get_status" and b"pending" not in item.reply:
        task = stage.names.translate(item.subject.encode()).decode()
        await stage.pool.tasks.ended(task).wait()


def _one(every: tuple[Exchange, ...], method: str) -> Exchange:
    return next(item for item in every if item.method == method)
