"""A recorder in a process of its own, and what it tells of what is durable (see `observed`)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from compileall import compile_dir
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STOP_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Durable:
    """Something that is durable: when it was made and when it was, in ns since 1970, and what the
    process had used by then."""

    what: str
    made_at_ns: int
    durable_at_ns: int
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Target:
    """A pool to record; `addresses` are URLs."""

    addresses: Sequence[str]
    fingerprint: str
    password: str


class Recording:
    """The recorder; `began_ns` is when its process was started."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path, began_ns: int) -> None:
        self.began_ns = began_ns
        self.groups: list[tuple[int, int, int]] = []
        """After `stop`: each group with events as (when it was durable, last id, how many)."""
        self._process = process
        self._log = log

    def until(self, what: str) -> Durable:
        """Wait until something is durable: a mark by its name, or the first event of an epoch."""
        return self.until_all(what)[what]

    def until_all(self, *whats: str) -> dict[str, Durable]:
        """Wait until all of these are durable, in whichever order."""
        told: dict[str, Durable] = {}
        for line in self._lines():
            if line["what"] in whats:
                told[line["what"]] = Durable(**line)
            if len(told) == len(whats):
                return told
        raise SystemExit(f"the recorder ended too early: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Let it stop as an operator does."""
        self._process.send_signal(signal.SIGTERM)
        for line in self._lines():
            if line["what"] == "end":
                self.groups = [(at, last, count) for at, last, count in line["groups"]]
        self._process.wait(STOP_S_MAX)

    def kill(self) -> None:
        """End it without a chance to say a word."""
        self._process.kill()
        self._process.wait(STOP_S_MAX)

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            yield json.loads(text)


@lru_cache
def installed() -> Mapping[str, str]:
    """Return the environment of what was installed by pip, which leaves byte code behind."""
    for part in ("recorder", "query", "tests/bench"):
        compile_dir(ROOT / part, quiet=1)
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def recording(folder: Path, target: Target) -> Iterator[Recording]:
    """Record a pool into `folder` until the block ends."""
    addresses = ", ".join(f'"{address}"' for address in target.addresses)
    config = folder / "recorder.toml"
    config.write_text(
        f'[[pools]]\nname = "pool"\naddresses = [{addresses}]\npassword_env = "BENCH_PASSWORD"\n'
        f'tls = {{ fingerprint = "{target.fingerprint}" }}\n',
        encoding="ascii",
    )
    log = folder / "log"
    command = [sys.executable, "-m", "tests.bench.observed"]
    with log.open("w") as errors:
        began_ns = time.time_ns()
        process = subprocess.Popen(
            [*command, "--config", config, "--data", folder / "data"],
            cwd=ROOT,
            env={**installed(), "BENCH_PASSWORD": target.password},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        running = Recording(process, log, began_ns)
        try:
            yield running
        finally:
            if process.poll() is None:
                running.kill()
