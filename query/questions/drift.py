"""Drift: how pools differ between two instants, whatever happened in between."""

from collections.abc import Sequence

import msgspec

from recorder.instant import BadInstant, Instant

from ..history.database import History
from ..load.compare import changes_between
from .certainty import Certainty, Verdict, moment_of, verdict_of
from .objects import Found, check_pool, number_of, pools
from .plain import check_class

VOLATILE_CLASSES = ("task",)
VOLATILE_FIELDS = frozenset(
    {
        ("*", "allowed_operations"),
        ("*", "current_operations"),
        ("*", "last_updated"),
        ("*", "physical_utilisation"),
        ("*", "io_read_kbs"),
        ("*", "io_write_kbs"),
        ("vm_guest_metrics", "memory"),
        ("vm_metrics", "memory_actual"),
        ("vm_metrics", "VCPUs_utilisation"),
        ("host_metrics", "memory_free"),
        ("host_cpu", "utilisation"),
        ("cluster_host", "last_update_live"),
        ("caller", "last_access"),
        ("session", "last_active"),
    }
)
"""What changes by itself while everything stays as it is: operations under way, measurements, and
when they were made. `*` is every class."""


class Difference(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """One object that came or went, or one field of an object that is another.

    `what` is `added`, `removed`, `changed`, or `untold` where a state was redacted. `old` and `new`
    are JSON text, None where the field is missing. `seq_before` and `seq_after` are the entries
    that told the two states, None where there was no object.
    """

    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    what: str
    field: str | None
    old: str | None
    new: str | None
    seq_before: int | None
    seq_after: int | None


class Drift(msgspec.Struct, frozen=True):
    """The differences between two instants, and how certain the two states are, pool by pool.

    A pool whose whole state is not known at one of them is in `not_compared`; no difference of it
    is told. `volatile` counts differences that were left out because they come by themselves.
    """

    before: str
    after: str
    differences: list[Difference]
    verdicts_before: list[Verdict]
    verdicts_after: list[Verdict]
    not_compared: list[str]
    volatile: int

    @property
    def is_certain(self) -> bool:
        """True if nothing can have been missed at either instant."""
        verdicts = [*self.verdicts_before, *self.verdicts_after]
        return not self.not_compared and all(one.is_certain for one in verdicts)


def drift(
    history: History,
    before: Instant,
    after: Instant,
    *,
    found: Found | None = None,
    cls: str | None = None,
    pool: str | None = None,
    everything: bool = False,
) -> Drift:
    """Compare the states at two instants: of one object, one class, one pool, or of all.

    `everything` tells what is volatile, too. Raises BadInstant beyond the journal, or if no pool
    that was asked for is known at both instants; NoSuchPool, NoSuchObject for unknown names.
    """
    check_pool(history, pool)
    check_class(history, cls)
    asked = [pool] if pool else [found.pool] if found else pools(history)
    first, second = (moment_of(history, instant, None) for instant in (before, after))
    verdicts_before = [verdict_of(history, name, first) for name in asked]
    verdicts_after = [verdict_of(history, name, second) for name in asked]
    blank = [
        one
        for one in (*verdicts_before, *verdicts_after)
        if one.certainty is Certainty.UNKNOWN or not one.complete
    ]
    compared = sorted({*asked} - {one.pool for one in blank})
    if not compared:
        why = "; ".join(sorted({one.reason or one.pool for one in blank})) or "nothing is recorded"
        raise BadInstant(f"{before} and {after} cannot be compared: {why}")
    pairs = _pairs(history, first.seq, second.seq, compared, found, cls)
    told = [one for pair in pairs for one in _differences(pair)]
    kept = [one for one in told if everything or found or not _is_volatile(one, cls)]
    return Drift(
        str(before),
        str(after),
        kept,
        verdicts_before,
        verdicts_after,
        sorted({one.pool for one in blank}),
        len(told) - len(kept),
    )


class _Pair(msgspec.Struct):
    """The last row of an object at each of two positions; operation None where it had none."""

    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    seq_before: int | None
    operation_before: str | None
    snapshot_before: str | None
    seq_after: int | None
    operation_after: str | None
    snapshot_after: str | None


# Only what has a row between the two positions can differ.
_PAIRS = """
WITH touched AS (
    SELECT DISTINCT object FROM events
    WHERE seq > least($first, $second) AND seq <= greatest($first, $second)
        AND list_contains($pools, pool)
        AND ($class IS NULL OR class = $class) AND ($object IS NULL OR object = $object)
), last AS (
    SELECT object,
        max(seq) FILTER (seq <= $first) AS seq_before,
        max(seq) FILTER (seq <= $second) AS seq_after
    FROM events SEMI JOIN touched USING (object)
    WHERE seq <= greatest($first, $second) GROUP BY ALL
)
SELECT o.pool, o.class AS cls, o.ref, o.uuid, o.name,
    l.seq_before, a.operation AS operation_before, a.snapshot AS snapshot_before,
    l.seq_after, b.operation AS operation_after, b.snapshot AS snapshot_after
FROM last l
    JOIN objects o ON o.first_seq = l.object
    LEFT JOIN events a ON a.object = l.object AND a.seq = l.seq_before
    LEFT JOIN events b ON b.object = l.object AND b.seq = l.seq_after
ORDER BY o.pool, o.class, o.name, o.ref
"""


def _pairs(
    history: History,
    first: int,
    second: int,
    asked: Sequence[str],
    found: Found | None,
    cls: str | None,
) -> list[_Pair]:
    params = {
        "first": first,
        "second": second,
        "pools": list(asked),
        "class": found.cls if found else cls and cls.lower(),
        "object": number_of(history, found) if found else None,
    }
    return history.all(_Pair, _PAIRS, params)


def _differences(pair: _Pair) -> list[Difference]:
    was, is_ = (
        operation is not None and operation != "del"
        for operation in (pair.operation_before, pair.operation_after)
    )
    if not was or not is_:
        what = "added" if is_ else "removed"
        return [] if was == is_ else [_difference(pair, what)]
    if pair.seq_before == pair.seq_after:
        return []
    if pair.snapshot_before is None or pair.snapshot_after is None:
        return [_difference(pair, "untold")]
    changes = changes_between(pair.snapshot_before.encode(), pair.snapshot_after.encode())
    return [_difference(pair, "changed", one.field, one.old, one.new) for one in changes]


def _difference(
    pair: _Pair,
    what: str,
    field: str | None = None,
    old: str | None = None,
    new: str | None = None,
) -> Difference:
    return Difference(
        pool=pair.pool,
        cls=pair.cls,
        ref=pair.ref,
        uuid=pair.uuid,
        name=pair.name,
        what=what,
        field=field,
        old=old,
        new=new,
        seq_before=pair.seq_before if what != "added" else None,
        seq_after=pair.seq_after if what != "removed" else None,
    )


def _is_volatile(one: Difference, cls: str | None) -> bool:
    """A class that was asked for by name is wanted, volatile or not."""
    if cls is None and one.cls in VOLATILE_CLASSES:
        return True
    return ("*", one.field) in VOLATILE_FIELDS or (one.cls, one.field) in VOLATILE_FIELDS
