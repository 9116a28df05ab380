"""Which changes to a VM of a run are not the run's."""

import pytest

from query.audit.foreign import is_foreign_in
from query.audit.recorded import ObjectSeen, Recorded
from tests.audit.test_claims import INTENDED, RUN_ENDED, ended, read

TASK = "OpaqueRef:t"


def is_foreign(
    *changed: str, seq: int = 4, kind: str = "start_async", carried: str | None = None
) -> bool:
    """Tell whether a change is foreign: entries 2 to 5 are of a call, and 6 ends the run."""
    claims = read(
        ("step-intended", {**INTENDED, "step": 1, "kind": kind}),
        ("step-called", {"step": 1, "task": TASK}),
        ("heartbeat", {}),
        ended(1, "success", task=TASK),
        RUN_ENDED,
    )
    row = ObjectSeen(
        *(seq, seq * 1_000_000, "vm", "OpaqueRef:1", "u", "web1", "mod", "live"),
        *([*changed], "Running", None, None),
    )
    tasks = {} if carried is None else {("OpaqueRef:1", seq): frozenset({carried})}
    return is_foreign_in(row, claims, Recorded(carried=tasks))


@pytest.mark.parametrize(
    ("is_so", "how"),
    [
        (False, is_foreign("power_state", carried=TASK)),
        (True, is_foreign("power_state", carried="OpaqueRef:another")),
        (False, is_foreign("power_state")),  # while the call was under way
        (True, is_foreign("power_state", seq=1)),
        (True, is_foreign("tags", carried=TASK)),  # which no call changes
        (False, is_foreign("tags", kind="custom", carried=TASK)),
        (False, is_foreign("allowed_operations", "guest_metrics", seq=1)),
        (False, is_foreign("power_state", seq=7)),  # after the end of the run
    ],
)
def test_change_is_foreign_if_nothing_of_the_run_explains_it(is_so: bool, how: bool) -> None:
    """A task of the run that the VM carries does, or a call to it; but not of what people do."""
    assert is_so is how
