"""Whether a host writes down what is done: each question for its trail is a line of the trail."""

from enum import Enum, auto

TOLERATED = 2
"""So many questions may be missing from an answer: its own, which some versions write down when it
has ended, and one that syslog still holds."""

SILENT = 4
"""After so many questions in a row that were not seen, all lines are asked for: the clock of the
host may have gone back behind the time from which on it is asked."""

AGAIN = 60
"""How many answers later a host that stays silent is told of again."""


class Verdict(Enum):
    """What an answer says of the lines before it."""

    WHOLE = auto()  # what was asked before is in it
    WAITING = auto()  # it is not, which may have no meaning
    REREAD = auto()  # it is not: the whole trail has to be looked at
    LOST = auto()  # lines were not written, or cannot be read


class MasterWitness:
    """Counts the questions of one session to the master that were not seen in its trail yet."""

    def __init__(self) -> None:
        self._owed = 0

    def answered(self, seen: int) -> Verdict:
        """An answer has ended, with so many of our questions in it that were not seen before."""
        self._owed += 1 - seen
        if seen:
            lost = self._owed > TOLERATED
            self._owed = min(max(self._owed, 0), 1)
            return Verdict.LOST if lost else Verdict.WHOLE
        if self._owed == SILENT:
            return Verdict.REREAD
        since_reread = self._owed - SILENT
        return Verdict.LOST if since_reread > 0 and since_reread % AGAIN == 1 else Verdict.WAITING


class OtherWitness:
    """The same of a host that is asked seldom, and of which it is not known that it writes them.

    It is asked again at once until a question is seen, the third time for its whole trail. One in
    which none is seen then is taken to write none: `is_mute`.
    """

    def __init__(self) -> None:
        self.is_mute = False
        self._unseen = 0

    def answered(self, seen: int) -> Verdict:
        """An answer has ended; WHOLE if there is no reason to ask again at once."""
        if seen:
            self.is_mute, self._unseen = False, 0
            return Verdict.WHOLE
        self._unseen += 1
        if self._unseen == 2:
            return Verdict.REREAD
        self.is_mute = self._unseen > 2
        return Verdict.WHOLE if self.is_mute else Verdict.WAITING
