"""What a process that is measured has used so far, as it tells itself."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds since the work began, seconds of a processor and memory since the process began."""

    took_s: float
    cpu_s: float
    peak_mb: float


def usage(began_s: float) -> Usage:
    """Return what was used until now; `began_s` is when the work began, by `time.time`."""
    return Usage(time.time() - began_s, time.process_time(), peak_mb())


def peak_mb() -> float:
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
