"""What the command `workload replay` has done by the service: a run repeated, here or on a pool."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .workload import carry_out

if TYPE_CHECKING:
    from ..past.read import Past
    from ..past.rehearsal import Rehearsed
    from ..workloads.recorded import RecordedRun


def replay_on_pool(run: "RecordedRun", pool: str, folder: Path, config: Path | None) -> str:
    """Repeat a run on a pool and return the name of the new run. Raises as `carry_out`."""
    from ..control.protocol import Replay, Run

    wanted = Run(
        pool=pool,
        script=run.script,
        origin=f"run {run.run}",
        replay=Replay(run.run, run.plan.json()),
    )
    return carry_out(wanted, folder, config).run


def replay_simulated(run: "RecordedRun", past: "Past", keep: Path | None) -> "Rehearsed":
    """Repeat a run on a simulated pool, and say on stderr how it goes; see `rehearsal`."""
    from ..past.rehearsal import rehearse

    def tell(text: str) -> None:
        typer.echo(f"xentrail: {text}", err=True)

    return rehearse(run, past.image, keep=keep, tell=tell)
