"""Instants that only a history can place: `@event:4711`, an event by the server's number."""

import re
from datetime import datetime, tzinfo

import msgspec

from recorder.instant import BadInstant, Instant, parse_instant, time_text, us_of

from ..history.database import History

_EVENT = re.compile(r"@event:(\d{1,18})")
_CHOICES_MAX = 5


def read_instant(text: str, *, now_ns: int, zone: tzinfo) -> Instant | None:
    """Read an instant that needs no history; None if it needs one. Raises BadInstant."""
    if _EVENT.fullmatch(text.strip()):
        return None
    return parse_instant(text, now_ns=now_ns, zone=zone)


class _Place(msgspec.Struct):
    seq: int
    pool: str
    received_at: datetime


def place_of(history: History, text: str, *, pool: str | None) -> Instant:
    """Return the entry that holds an event, as an instant.

    Event ids start anew with the toolstack and in each pool: if several events of `pool`, or of all
    pools, had this one, BadInstant names the newest of them.
    """
    match = _EVENT.fullmatch(text.strip())
    assert match is not None, "what needs no history was read before"
    sql = """
        SELECT seq, pool, received_at FROM events
        WHERE event_id = $id AND ($pool IS NULL OR pool = $pool) ORDER BY seq DESC
    """
    places = history.all(_Place, sql, {"id": int(match[1]), "pool": pool})
    if not places:
        of_pool = "" if pool is None else f" of pool {pool}"
        raise BadInstant(f"no event{of_pool} with the id {match[1]} is recorded")
    if len(places) > 1:
        named = [
            f"@{place.seq} ({place.pool}, {time_text(us_of(place.received_at))})"
            for place in places[:_CHOICES_MAX]
        ]
        more = f" and {len(places) - len(named)} more" if len(places) > len(named) else ""
        raise BadInstant(
            f"{len(places)} events had the id {match[1]}, which starts anew with the toolstack:"
            f" ask for one of {', '.join(named)}{more}"
        )
    return Instant(seq=places[0].seq)
