"""What the daemon of a host does for a running VM, as far as the waiting task shows it."""

from .toolstack import Call
from .values import Value


async def hand_over(call: Call, duration_s: float, *, cancel_points: int) -> None:
    """Let the host work; the task may be cancelled meanwhile. Fault TASK_CANCELLED [task]."""
    call.allow_cancel(allowed=True)
    await call.work(duration_s)
    call.allow_cancel(allowed=False)
    points: dict[str, Value] = {"debug_info:cancel_points_seen": str(cancel_points)}
    call.toolstack.tasks.write(call.task, "other_config", points)
