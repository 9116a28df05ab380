"""The rules in force and how often each has struck; asked in order, the first that strikes wins."""

from collections.abc import Callable, Iterator

import msgspec

from ...errors import ConfigError
from .rule import Plan, Rule, Tally, covers, strikes
from .strike import Strike

RULES_MAX = 10_000


class Entry(msgspec.Struct):
    """A rule in force. `name` is its own, or made of its number; `dice` seeds its chances."""

    name: str
    rule: Rule
    dice: str
    tally: Tally = msgspec.field(default_factory=Tally)

    def strike(self) -> Strike:
        """Return what the rule does now."""
        dice = f"{self.dice}/noise/{self.tally.fired}"
        return Strike(self.name, self.rule.effect, self.rule.when.delay_s, dice)


class Occasion(msgspec.Struct, frozen=True):
    """Something that a rule may match: a call, a connection or an event.

    `is_object` says whether a text names the object that it is about; it is asked last.
    """

    name: str
    user: str | None
    hosts: frozenset[str]
    is_object: Callable[[str], bool]


class Ledger:
    """All rules of one pool."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._entries: dict[str, Entry] = {}
        self._numbers = 0
        self.seed = 1

    def take(self, plan: Plan) -> list[Entry]:
        """Add the rules of a plan that are for this pool, and its seed. Raises ConfigError."""
        self.seed = plan.seed
        return [entry for rule in plan.rules if (entry := self.add(rule)) is not None]

    def add(self, rule: Rule) -> Entry | None:
        """Add a rule after the others; None if it is for another pool. Raises ConfigError."""
        self._numbers += 1
        name = rule.when.name or f"rule-{self._numbers}"
        if rule.when.pool not in ("", self._pool):
            return None
        if name in self._entries:
            raise ConfigError(f"there is a rule {name} already: remove it or choose another name")
        if len(self._entries) >= RULES_MAX:
            raise ConfigError(f"there are {RULES_MAX} rules already: remove some")
        dice = f"faults of {self._pool}/{self.seed}/{self._numbers}"
        entry = self._entries[name] = Entry(name, rule, dice)
        return entry

    def remove(self, name: str) -> None:
        """Take a rule away. Raises ConfigError."""
        if self._entries.pop(name, None) is None:
            known = ", ".join(self._entries) or "none"
            raise ConfigError(f"there is no rule {name}; known: {known}")

    def clear(self) -> None:
        """Take all rules away."""
        self._entries.clear()

    def holds(self, entry: Entry) -> bool:
        """Say whether a rule is still in force."""
        return self._entries.get(entry.name) is entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def ask(
        self, occasion: Occasion, can: Callable[[Rule], bool], *, now_s: float
    ) -> Strike | None:
        """Return what strikes now; `can` says whether the effect of a rule is possible here."""
        for entry in self._entries.values():
            if not (_fits(entry.rule, occasion) and can(entry.rule)):
                continue
            if strikes(entry.rule.when, entry.tally, now_s=now_s, dice=entry.dice):
                return entry.strike()
        return None


def _fits(rule: Rule, occasion: Occasion) -> bool:
    when = rule.when
    return (
        not rule.timed
        and covers(when.match, occasion.name)
        and when.user in ("", occasion.user)
        and (not when.host or when.host in occasion.hosts)
        and (not when.object or occasion.is_object(when.object))
    )
