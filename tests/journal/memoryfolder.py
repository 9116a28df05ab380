"""One folder of a MemoryDisk: names that readers see, and changes on their way to the disk."""

from collections.abc import Mapping
from random import Random

from tests.journal.memoryfile import MemoryFile


class MemoryFolder:
    """Names and what they stand for. A change of them is durable once the folder was synced."""

    __slots__ = ("_changes", "_on_disk", "mode", "seen")

    def __init__(self, names: "Mapping[str, Node] | None" = None, mode: int = 0o750) -> None:
        self.mode = mode
        self.seen = dict(names or {})
        self._on_disk = dict(self.seen)
        self._changes: list[Change] = []

    def change(self, change: "Change") -> None:
        """Do what belongs together: a creation, a removal, a rename."""
        _apply(self.seen, change)
        self._changes.append(change)

    def sync(self) -> None:
        """Bring all changes to the disk."""
        self._on_disk = dict(self.seen)
        self._changes.clear()

    def fail_sync(self, random: Random) -> None:
        """Fail: the disk has some of the changes, and a later sync brings the others."""
        self._on_disk = self.survivors(random)

    def survivors(self, random: Random) -> "dict[str, Node]":
        """Return the names as a power cut leaves them.

        A journaling file system writes changes in their order, so that a first part of them
        survives. POSIX does not ask for it: any of them may be there without the others, but a
        rename is one change and never half of it.
        """
        names = dict(self._on_disk)
        if random.random() < 0.5:
            survived = self._changes[: random.randint(0, len(self._changes))]
        else:
            share = random.choice((0.2, 0.5, 0.8))
            survived = [change for change in self._changes if random.random() < share]
        for change in survived:
            _apply(names, change)
        return names


Node = MemoryFile | MemoryFolder
Change = Mapping[str, Node | None]
"""What names stand for from now on; None for a name that is gone."""


def _apply(names: dict[str, Node], change: Change) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
