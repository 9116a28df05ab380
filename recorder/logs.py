"""Log lines for operators: a time, a level, a constant name, and fields. Nothing secret is a field.

`log` means this and only this; what the recorder writes about pools is the journal.
"""

import logging
from datetime import UTC, datetime

_LOGGER = logging.getLogger("xentrail")
_LOGGER.addHandler(logging.NullHandler())


class _LineFormatter(logging.Formatter):
    """`2026-11-23T21:48:24Z info gap-opened pool=lab cause=events-lost`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields: dict[str, object] = getattr(record, "fields", {})
        shown = [f"{key}={_quoted(value)}" for key, value in fields.items() if value is not None]
        return " ".join([at, record.levelname.lower(), record.getMessage(), *shown])


def _quoted(value: object) -> str:
    text = str(value)
    plain = text and not any(character.isspace() or character in '"=' for character in text)
    if plain and text.isprintable():
        return text
    # Texts of a server end up here: nothing in them may begin a line or drive a terminal.
    shown = "".join(character if character.isprintable() else " " for character in text)
    return '"' + shown.replace('"', "'") + '"'


def to_stderr() -> None:
    """Send log lines to stderr; without this call they go wherever `logging` is set up to."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


def info(name: str, /, **fields: object) -> None:
    """Log something that an operator may want to see."""
    _LOGGER.info(name, extra={"fields": fields})


def warning(name: str, /, **fields: object) -> None:
    """Log something that an operator should look at."""
    _LOGGER.warning(name, extra={"fields": fields})


def error(name: str, /, **fields: object) -> None:
    """Log something that an operator has to act on."""
    _LOGGER.error(name, extra={"fields": fields})
