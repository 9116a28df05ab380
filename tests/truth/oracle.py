"""Whether the promises of DESIGN.md were kept, judged by what a simulation wrote down of itself.

P1 is in `durability`, P2 in `tampering`, P3 and P4 in `reader`, the causes of gaps in `causes`,
what is said of a database that went back in `rollbacks`, P5 in `punctuality`, and that the recorder
only reads in `modesty`, called P6 here.
"""

from collections.abc import Iterator
from itertools import pairwise

from recorder.journal.verify import verify
from recorder.model import (
    BaselineRecord,
    Entry,
    Event,
    GapCause,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    Stream,
)
from recorder.xapi.subscription import TRANSIT_MAX_NS
from tests.truth.chronicle import Chronicle
from tests.truth.machine import DATA
from tests.truth.matching import Matcher
from tests.truth.reader import Reader
from tests.truth.simulate import Outcome
from tests.truth.verdict import claim

READING = frozenset(
    {
        "session.login_with_password",
        "session.logout",
        "system.listMethods",
        "event.register",
        "event.next",
        "event.from",
        "event.inject",
        "task.create",
        "event.get_current_id",
    }
)
"""What the recorder calls, beside `get_all_records` of each class."""

AFTERMATH_S = 225.0
"""What a trouble left behind is noticed by then: silence after 95 s, a call that hangs after 120 s,
and a login takes its time."""


def check(outcome: Outcome) -> None:
    """Raise Broken, which says which promise was not kept and how."""
    claim(not outcome.bugs, f"the simulator has bugs: {outcome.bugs}")
    tampering(outcome)
    entries = outcome.entries()
    durability(outcome.chronicle, entries)
    punctuality(outcome.chronicle)
    modesty(outcome.chronicle)
    for name in outcome.truths:
        own = [entry for entry in entries if entry.pool == name]
        reader = Reader(name, outcome)
        if outcome.plan.shape.stream is Stream.REGISTER:
            reader.read(own)
        else:
            reader.read_last_states(own)
        causes(outcome.chronicle, own, Matcher(name, outcome))
        rollbacks(own)


def durability(chronicle: Chronicle, entries: list[Entry]) -> None:
    """P1: what was called durable is in the journal, as it was."""
    twice = chronicle.told_twice
    claim(not twice, f"P1: two entries each were called durable as {twice}")
    held = {entry.seq: entry for entry in entries}
    for seq, (_, draft) in chronicle.acknowledged.items():
        entry = held.get(seq)
        claim(entry is not None, f"P1: entry {seq} was called durable and is gone: {draft}")
        assert entry is not None
        same = (entry.received_at_ns, entry.pool, entry.body)
        told = (draft.received_at_ns, draft.pool, draft.body)
        claim(same == told, f"P1: entry {seq} was called durable as {told} and is {same}")
    claim(list(held) == list(range(1, len(held) + 1)), "P1: sequence numbers have holes")


def tampering(outcome: Outcome) -> None:
    """P2: verify finds nothing, for nobody but the recorder has written."""
    report = verify(DATA / "journal", disk=outcome.disk, processes=1)
    claim(not report.findings, f"P2: verify finds {report.findings}")


def causes(chronicle: Chronicle, entries: list[Entry], matcher: Matcher) -> None:
    """P4: no gap is declared without a trouble that explains it, shortly before."""
    for number, entry in enumerate(entries):
        if not isinstance(entry.body, GapOpened) or entry.body.cause is GapCause.AUDIT_TRAIL:
            continue
        at_s = chronicle.durable_s(entry.seq)
        explained = any(
            entry.body.cause in trouble.causes
            and trouble.began_s <= at_s
            and (trouble.over_s is None or at_s <= trouble.over_s + AFTERMATH_S)
            for trouble in chronicle.troubles
        )
        if entry.body.cause is GapCause.CENSUS_MISMATCH and not explained:
            explained = only_a_baseline_saw(entries[:number], matcher)
        claim(explained, f"P4: a gap without a cause at {at_s:.3f} s: {entry.body}")


def only_a_baseline_saw(entries: list[Entry], matcher: Matcher) -> bool:
    """Say whether the last epoch read an object that no answer of last states tells to be gone.

    `event.from` is silent about what was born after the token that it is given and is gone: an
    object that a baseline caught in between lives on until the server's count does not fit.
    """
    read, registered_ns = set[tuple[str, str]](), 0
    for entry in entries:
        match entry.body:
            case Mark(MarkName.REGISTERED, {"stream": Stream.FROM.value}):
                read, registered_ns = set(), entry.received_at_ns
            case BaselineRecord(cls, ref):
                read.add((cls, ref))
            case Event(_, _, cls, Operation.DEL, ref):
                read.discard((cls, ref))
            case _:
                pass
    if not registered_ns:
        return False  # A stream of every write tells of every deletion.
    born = {
        (change.cls, change.ref): matcher.at_ns(index)
        for index, change in enumerate(matcher.changes)
        if change.operation == "add"
    }
    gone = {(change.cls, change.ref) for change in matcher.changes if change.operation == "del"}
    return any(born.get(key, 0) > registered_ns - TRANSIT_MAX_NS for key in read & gone)


def rollbacks(entries: list[Entry]) -> None:
    """P3: a database that is older than at the session before is said to be, before it is read."""
    before = 0
    for entry, following in pairwise(entries):
        match entry.body:
            case Mark(MarkName.CONNECTED, {"generation": int(generation)}):
                goes_on = following.body
                untold = isinstance(goes_on, Mark) and goes_on.name is MarkName.REGISTERED
                told = f"P3: entry {entry.seq} goes back from {before} to {generation}, untold"
                claim(generation >= before or not untold, told)
                before = generation


def punctuality(chronicle: Chronicle) -> None:
    """P5: each stop is over in time, and a start is recording at once where nothing hinders it."""
    for name, spans in (("stop", chronicle.stops), ("start", chronicle.starts)):
        for span in spans:
            took = f"P5: a {name} took {span.took_s:.3f} s, {span.allowed_s:g} s are allowed"
            claim(span.took_s <= span.allowed_s, took)


def modesty(chronicle: Chronicle) -> None:
    """P6, as it were: the recorder needs a user who may only read, and calls nothing else."""
    claim(not chronicle.refused, f"P6: the recorder called what it may not: {chronicle.refused}")
    strange = sorted(_strange(chronicle))
    claim(not strange, f"P6: the recorder called what no reader calls: {strange}")


def _strange(chronicle: Chronicle) -> Iterator[str]:
    for method in chronicle.calls:
        if method not in READING and not method.endswith(".get_all_records"):
            yield method
