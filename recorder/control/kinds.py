"""What kinds of entries can be followed; light, so that `xentrail --help` is quick."""

from enum import StrEnum


class Kind(StrEnum):
    """What kind of entry can be followed."""

    EVENT = "event"
    GAP = "gap"
    MARK = "mark"
    BASELINE = "baseline"
    AUDIT = "audit"


FOLLOWED = (Kind.EVENT, Kind.GAP, Kind.MARK)
"""What is shown unless asked otherwise: a baseline is a line for every object of a pool."""
