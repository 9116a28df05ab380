"""Simulations by the seed, each judged by the oracle; a failure is told with the way to redo it."""

import traceback
from collections.abc import Iterable

from recorder.model import Stream
from tests.truth.oracle import check
from tests.truth.plan import Plan, plan_of
from tests.truth.simulate import simulate
from tests.truth.verdict import Broken

AGAIN = ".venv/bin/python -m tests.truth.simulate"


def failures(seeds: Iterable[int], stream: Stream = Stream.REGISTER) -> str:
    """Return what went wrong, with the command that does it again; nothing if all went well."""
    told = ((seed, failure_of(plan_of(seed, stream=stream))) for seed in seeds)
    return "\n\n".join(
        f"{what}\nagain: {AGAIN} {seed} {stream.value}" for seed, what in told if what
    )


def failure_of(plan: Plan) -> str:
    """Return which promise was not kept, or which error ended the simulation, or nothing."""
    try:
        check(simulate(plan))
    except Broken as broken:
        what = str(broken)
    except Exception:  # noqa: BLE001 - told with its seed, and the other seeds go on
        what = traceback.format_exc()
    else:
        return ""
    return f"{plan}\n{what}"
