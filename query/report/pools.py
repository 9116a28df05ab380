"""What a pool was at the end of a period: its names, its master, its version, how many objects."""

from datetime import datetime

import msgspec

from recorder.instant import Instant
from recorder.model import Stream

from ..history.database import History
from ..questions.states import State, states_of_class
from ..records import Json
from .period import Period

_CLASSES_MAX = 8


class PoolFacts(msgspec.Struct, frozen=True):
    """A pool as it was known at the end of a period; what nothing tells is None.

    `seq` is the entry that told of the pool, `host_seq` that of its master. `doubt` says why this
    is not known for certain. `streams` are those it was followed by. `classes` has the largest
    classes, `objects` counts those of all.
    """

    pool: str
    uuid: str | None
    label: str | None
    master: str | None
    product: str | None
    hosts: int
    objects: int
    classes: dict[str, int]
    streams: list[str]
    seq: int | None
    host_seq: int | None
    first_at: datetime
    first_seq: int
    doubt: str | None

    @property
    def last_states_only(self) -> bool:
        """True if it was followed, if only for a while, by a stream without states in between."""
        return Stream.FROM in self.streams


class _Recorded(msgspec.Struct):
    pool_uuid: str | None
    first_at: datetime
    first_seq: int
    streams: list[str]


_RECORDED = """
WITH own AS (
    SELECT epoch, since, stream, lead(since) OVER (ORDER BY epoch) AS until
    FROM epochs WHERE pool = $pool
)
SELECT pool_uuid, coalesce((SELECT min(since) FROM own), p.first_at) AS first_at,
    coalesce((SELECT min(epoch) FROM own), p.first_seq) AS first_seq,
    coalesce((
        SELECT list_sort(list(DISTINCT stream)) FROM own
        WHERE stream IS NOT NULL AND since <= make_timestamptz($end)
            AND coalesce(until > make_timestamptz($begin), true)
    ), []) AS streams
FROM pools p WHERE pool = $pool
"""


class _Class(msgspec.Struct, rename={"cls": "class"}):
    cls: str
    objects: int


_CLASSES = """
SELECT class, count(*) AS objects FROM objects
WHERE pool = $pool AND first_at <= make_timestamptz($end)
    AND NOT (gone AND last_at <= make_timestamptz($end))
GROUP BY class ORDER BY objects DESC, class
"""


def facts_of(history: History, pool: str, period: Period) -> PoolFacts:
    """Return what is known of a pool at the end of a period."""
    row = history.first(
        _Recorded, _RECORDED, {"pool": pool, "begin": period.begin_us, "end": period.end_us}
    )
    assert row is not None, "the pool is one of those of the history"
    counts = history.all(_Class, _CLASSES, {"pool": pool, "end": period.end_us})
    known = {one.cls for one in counts}
    at = Instant(at_us=period.end_us)
    record = _first(history, "pool", at, pool) if "pool" in known else None
    hosts = states_of_class(history, "host", at, pool=pool).states if "host" in known else []
    master_ref = _text(record, "master")
    master = next((host for host in hosts if host.ref == master_ref), None)
    return PoolFacts(
        pool=pool,
        uuid=row.pool_uuid or (record.uuid if record else None),
        label=record.name if record else None,
        master=master.name if master else master_ref,
        product=_product(master),
        hosts=len(hosts),
        objects=sum(one.objects for one in counts),
        classes={one.cls: one.objects for one in counts[:_CLASSES_MAX]},
        streams=row.streams,
        seq=record.seq if record else None,
        host_seq=master.seq if master else None,
        first_at=row.first_at,
        first_seq=row.first_seq,
        doubt=record.reason if record else "no record of the pool itself was read",
    )


def _first(history: History, cls: str, at: Instant, pool: str) -> State | None:
    return next(iter(states_of_class(history, cls, at, pool=pool).states), None)


def _text(state: State | None, field: str) -> str | None:
    value = None if state is None else state.fields.get(field)
    return value if isinstance(value, str) and value else None


def _product(host: State | None) -> str | None:
    """Return product and version of a host, as `XCP-ng 8.3.0`."""
    told = None if host is None else host.fields.get("software_version")
    versions: dict[str, Json] = told if isinstance(told, dict) else {}
    words = [versions.get(name) for name in ("product_brand", "product_version")]
    return " ".join(word for word in words if isinstance(word, str) and word) or None
