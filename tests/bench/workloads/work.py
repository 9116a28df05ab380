"""What is measured of workloads, each in a process of its own: `… work WAY KIND VMS`."""

import sys

import trio
import trio.testing

from tests.bench.child import Cost, memory_of, tell
from tests.bench.workloads import bare, official, ours


async def _ours(kind: str, vms: int) -> tuple[int, float, float]:
    driven = await ours.drive(kind, vms)
    assert set(driven.report.parts[0].outcomes) <= {"success", "skipped"}, driven.report
    return driven.calls, driven.driver_s, driven.recorder_s


def main(way: str, kind: str, vms: int) -> None:
    """Tell what one call costs, without and with listening to events, if it is told apart."""
    if way == "official":
        calls, alone_s = official.drive(kind, vms)
        both_s = alone_s
    else:
        drive = _ours if way == "ours" else bare.drive
        clock = trio.testing.MockClock(autojump_threshold=0)
        calls, alone_s, both_s = trio.run(drive, kind, vms, clock=clock)
    peak_mb = memory_of().peak_mb
    tell({"alone": Cost(0.0, alone_s / calls, peak_mb), "both": Cost(0.0, both_s / calls, peak_mb)})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
