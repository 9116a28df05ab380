"""The stretches of time that a batch tells of: few, however far apart.

A batch is of the last seconds, as a rule. A line of an imported file is of last year, though, and
one of a host whose clock is wrong of any time: what lies in between is not worked out anew. Pure.
"""

from collections.abc import Iterable
from itertools import pairwise

import msgspec

HOUR_US = 3_600 * 10**6
STRETCHES_MAX = 8
"""Each costs a look at every table, some 50 ms: beyond that, the shortest pauses are ignored."""


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """From the first to the last microsecond since 1970 UTC, both within."""

    first_us: int
    last_us: int


def stretches_of(pieces: Iterable[Stretch]) -> list[Stretch]:
    """Return the stretches that cover all pieces, at most STRETCHES_MAX, in their order.

    Pieces that are less than an hour apart are in one; beyond that, the longest pauses part them.
    """
    merged: list[Stretch] = []
    for piece in sorted(pieces, key=lambda one: one.first_us):
        last = merged[-1] if merged else None
        if last is None or piece.first_us - last.last_us >= HOUR_US:
            merged.append(piece)
        elif piece.last_us > last.last_us:
            merged[-1] = Stretch(last.first_us, piece.last_us)
    if not merged:
        return []
    longest_first = sorted(
        range(1, len(merged)),
        key=lambda number: merged[number - 1].last_us - merged[number].first_us,
    )
    cuts = [0, *sorted(longest_first[: STRETCHES_MAX - 1]), len(merged)]
    return [
        Stretch(merged[begin].first_us, merged[end - 1].last_us) for begin, end in pairwise(cuts)
    ]
