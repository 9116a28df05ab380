"""A simulated pool in a process of its own, and orders to it (see `live_pool`)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.recording import ROOT, Target

USER, PASSWORD = "root", "bench"


class Living:
    """The pool; `target` is all its hosts, the first master in front."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        where = self._answer()
        self.target = Target(where["urls"], where["fingerprint"], PASSWORD)

    def order(self, order: str, **arguments: object) -> dict[str, Any]:
        """Let the pool do something, and return what it says of it once it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the pool ended, with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def living(hosts: int, vms: int) -> Iterator[Living]:
    """Run a pool of so many hosts and VMs until the block ends."""
    command = [sys.executable, "-m", "tests.bench.live_pool", "--hosts", str(hosts)]
    with subprocess.Popen(
        [*command, "--vms", str(vms)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield Living(process)
        finally:
            process.stdin.close()
