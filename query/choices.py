"""Closed choices of the command line; light, so that `xentrail --help` is quick."""

from enum import StrEnum


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
