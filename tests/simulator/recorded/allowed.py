"""The list of differences that are allowed (differences.txt) and whether they occur."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from .trees import Difference

LIST = Path(__file__).with_name("differences.txt")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One line: patterns of a folder, a request and a difference, and why."""

    folder: str
    request: str
    path: str
    reason: str

    def covers(self, request: str, path: str) -> bool:
        """Say whether this allows a difference in the reply to a request of its folder."""
        return fnmatchcase(request, self.request) and fnmatchcase(path, self.path)


@cache
def allowed_in(folder: str) -> Sequence[Allowed]:
    """Return the lines for a folder."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    rows = (line.split(" | ") for line in lines if line and not line.startswith("#"))
    every = (Allowed(*row) for row in rows)
    return [entry for entry in every if fnmatchcase(folder, entry.folder)]


def check(folder: str, found: Iterable[tuple[str, Difference]]) -> None:
    """Raise AssertionError for differences that are not allowed, and for lines without any.

    `found` has the name of the request, without its number, with each difference.
    """
    entries = allowed_in(folder)
    used: set[Allowed] = set()
    refused: list[str] = []
    for request, difference in found:
        covering = [entry for entry in entries if entry.covers(request, difference.path)]
        used.update(covering)
        if not covering:
            refused.append(
                f"{request}: {difference.path}: {difference.theirs} here is {difference.ours}"
            )
    idle = [
        f"{entry.request}: {entry.path} is listed in vain" for entry in entries if entry not in used
    ]
    assert not refused + idle, "\n".join(refused + idle)
