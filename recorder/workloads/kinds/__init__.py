"""The kinds of steps, a module each: `plan` decides what is to be done, `run` does it.

Third parties write steps of kind `custom`: see `custom`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ..forecast import Forecast
from ..plan import Lane
from ..scripts import Kind, Step
from . import clone, custom, evacuate, permute, powercycle, start_async

if TYPE_CHECKING:
    from ..work import Work

MakeLanes = Callable[[Step, Sequence[str], Forecast, int], tuple[list[Lane], Forecast]]
"""From a step, chosen objects, what is known and a seed: lanes, and what is known after them."""


class Recipe(msgspec.Struct, frozen=True):
    """How steps of one kind are planned, which is pure, and carried out."""

    plan: MakeLanes
    run: "Callable[[Work], Awaitable[None]]"


KINDS: dict[Kind, Recipe] = {
    Kind.POWERCYCLE: Recipe(powercycle.plan, powercycle.run),
    Kind.PERMUTE: Recipe(permute.plan, permute.run),
    Kind.CLONE: Recipe(clone.plan, clone.run),
    Kind.START_ASYNC: Recipe(start_async.plan, start_async.run),
    Kind.EVACUATE: Recipe(evacuate.plan, evacuate.run),
    Kind.CUSTOM: Recipe(custom.plan, custom.run),
}
