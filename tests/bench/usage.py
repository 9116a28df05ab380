"""What a process that is measured has used so far, as it tells itself.

Standard library only, beside `child`: rivals are not to start with what they do not need.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a piece of work took: seconds, and of a processor; `start_cpu_s` came before it.

    Memory is the most that the process ever had.
    """

    took_s: float
    cpu_s: float
    start_cpu_s: float
    peak_mb: float


class Meter:
    """Begins to count when it is made."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._start_cpu_s = time.process_time()

    def usage(self) -> Usage:
        """Return what was used until now."""
        cpu_s = time.process_time() - self._start_cpu_s
        return Usage(time.perf_counter() - self._began_s, cpu_s, self._start_cpu_s, _peak_mb())


def _peak_mb() -> float:
    """Return the most that was resident at any time, in MB.

    As the kernel counts it for this program: `ru_maxrss` begins with that of the process which
    started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) * 1024 / 1e6


def tell(used: Usage) -> None:
    """Print it as a line of JSON, for whoever started this process."""
    sys.stdout.write(json.dumps(asdict(used)) + "\n")
    sys.stdout.flush()
