"""Closed choices of the command line; light, so that `xentrail --help` is quick."""

from enum import StrEnum


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class ExportFormat(StrEnum):
    """How a file is written."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


class TaskStatus(StrEnum):
    """How a task can stand: as the server says, or `vanished`."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    VANISHED = "vanished"


class By(StrEnum):
    """What `top` counts together."""

    OBJECT = "object"
    CLASS = "class"
    FIELD = "field"
    POOL = "pool"
