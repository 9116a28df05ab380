"""The least that a recorder can do: `... write FILE`.

For each line that comes, which says when it was sent (ns), some bytes are written and synced; then
the nanoseconds since it was sent are printed.
"""

import os
import sys
import time

WRITE_BYTES = 4_000


def main() -> None:
    """Write until nothing comes any more."""
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for line in sys.stdin:
        os.write(fd, bytes(WRITE_BYTES))
        os.fdatasync(fd)
        sys.stdout.write(f"{time.time_ns() - int(line)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
