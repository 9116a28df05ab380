"""One fault that strikes now: the effect of a rule, its delay, and the seed of its dice."""

from typing import get_args

import msgspec

from .effects import Effect, PoolEffect, ReplyEffect


class Strike(msgspec.Struct, frozen=True):
    """What a rule does this time; `rule` is the name of the rule."""

    rule: str
    effect: Effect
    delay_s: float
    dice: str

    @property
    def on_reply(self) -> ReplyEffect | None:
        """The effect if it is one of replies."""
        return self.effect if isinstance(self.effect, get_args(ReplyEffect)) else None

    @property
    def on_pool(self) -> PoolEffect | None:
        """The effect if it is one of the whole pool."""
        return self.effect if isinstance(self.effect, get_args(PoolEffect)) else None
