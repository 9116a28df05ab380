"""How the pool tells its network side what becomes of hosts; without a network, nobody hears."""

from typing import Protocol


class Presence(Protocol):
    """The network side of the pool, which shows clients what happens to hosts."""

    def toolstack_restarted(self) -> None:
        """The xapi of the master restarts: connections break without a reply, sessions end."""

    def master_moved(self) -> None:
        """Another host is the master now; the old one is a slave from here on."""

    def host_down(self, host: str) -> None:
        """A host (a reference) does not answer any more."""

    def host_up(self, host: str) -> None:
        """A host (a reference) answers again."""


class Nobody:
    """Stands for the network side of a pool that has none."""

    def toolstack_restarted(self) -> None:
        """Nobody is connected."""

    def master_moved(self) -> None:
        """Nobody asks who the master is."""

    def host_down(self, host: str) -> None:
        """Nobody called it."""

    def host_up(self, host: str) -> None:
        """Nobody waited for it."""
