"""What of a line of the audit trail is secret, and is replaced before the line is journaled.

Lines hold no values of setters. They do hold the names and texts that some calls are given, what
failed calls say, and, where somebody calls a method of a session, the reference of that session.
"""

import re

from ...redaction.redact import PoolRedactor

_CALL = re.compile(rb"' '(?:API|HTTP)' '([\w/.]+)' \(")
_ERROR = re.compile(rb"'ERROR:([A-Z0-9_]*): \[ (session; )?", re.IGNORECASE)
_REFERENCE = re.compile(rb"OpaqueRef:[0-9a-f-]{36}")
_WITH_TEXTS = frozenset({b"message.create", b"task.create"})


class Cleaner:
    """Takes the secrets out of the lines of one pool; the same line always becomes the same."""

    def __init__(self, redactor: PoolRedactor) -> None:
        self._redactor = redactor

    def clean(self, line: bytes) -> bytes:
        """Return the line without secrets: `line` itself if it has none."""
        calls, errors = [*_CALL.finditer(line)], [*_ERROR.finditer(line)]
        # All of them, for a name or a header can imitate one: then more is replaced, never less.
        if _name_sessions(calls, errors):
            line = _REFERENCE.sub(lambda found: self._redactor.session(found[0]), line)
            calls, errors = [*_CALL.finditer(line)], [*_ERROR.finditer(line)]
        texts = [call.end() for call in calls if call[1] in _WITH_TEXTS]
        starts = [*texts, *(error.end() for error in errors)]
        return self._from(line, min(starts)) if starts else self._redactor.bare(line)

    def _from(self, line: bytes, start: int) -> bytes:
        """Return a line whose texts behind `start` have no secret in them."""
        # As Latin-1 every byte is a character, and comes back as it was.
        text = line[start:].decode("latin-1")
        clean = self._redactor.text(text)
        return self._redactor.bare(line[:start]) + clean.encode("latin-1")


def _name_sessions(calls: "list[re.Match[bytes]]", errors: "list[re.Match[bytes]]") -> bool:
    """Tell whether a line may hold the reference of a session."""
    return any(call[1].startswith(b"session.") for call in calls) or any(
        error[1].startswith(b"SESSION") or error[2] for error in errors
    )
