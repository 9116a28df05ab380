"""What the domain manager (xenopsd) does for an operation, as far as the task shows it."""

import msgspec

from .toolstack import Call


class DomainTask(msgspec.Struct, frozen=True):
    """One job of the domain manager.

    Progress is written after equal shares of `duration_s`, one a number; xapi writes what it
    happens to see, so the recorded numbers differ from run to run. `listed` says whether the task
    shows that it may be cancelled, `cancellable` whether it really can be.
    """

    duration_s: float
    cancel_points: int
    progress: tuple[float, ...] = ()
    listed: bool = True
    cancellable: bool = True


async def perform(call: Call, job: DomainTask) -> None:
    """Have a job done. Fault TASK_CANCELLED [task]; the task shows its end either way."""
    call.allow_cancel(allowed=job.listed)
    try:
        shares = len(job.progress) or 1
        for progress in job.progress or (None,):
            await call.work(job.duration_s / shares, cancellable=job.cancellable)
            if progress is not None:
                call.toolstack.tasks.write(call.task, "progress", progress)
    finally:
        call.allow_cancel(allowed=False)
        call.toolstack.tasks.note_cancel_points(call.task, job.cancel_points)
