"""The recorder: the real command in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.child import Memory, cpu_s_of, memory_of
from tests.bench.scale.pools import PASSWORD

WAIT_S = 300.0


@dataclass
class Recorder:
    """The command, under way; `log` is what it says."""

    process: "subprocess.Popen[str]"
    data: Path
    log: Path

    def wait_for(self, word: str, count: int) -> float:
        """Wait until the log says a word so often; return the seconds that this took."""
        began_s = time.perf_counter()
        while sum(word in line for line in self.log.read_text().splitlines()) < count:
            if self.process.poll() is not None or time.perf_counter() - began_s > WAIT_S:
                raise SystemExit(
                    f"the recorder does not get there:\n{self.log.read_text()[-2000:]}"
                )
            time.sleep(0.05)
        return time.perf_counter() - began_s

    @property
    def memory(self) -> Memory:
        """What it takes now."""
        return memory_of(self.process.pid)

    @property
    def cpu_s(self) -> float:
        """Seconds of processors so far."""
        return cpu_s_of(self.process.pid)

    def follow(self) -> "Follower":
        """Follow what it writes from now on."""
        newest = max((self.data / "journal").glob("*.journal"))
        return Follower(newest, newest.stat().st_size)

    def stop(self) -> None:
        """End it, and wait for its end."""
        self.process.terminate()
        self.process.wait(60)


@dataclass
class Follower:
    """Counts words in what is written to the newest segment of a journal, and to those after it.

    A recorder writes records as they come, so that this costs the machine less than decoding them.
    """

    segment: Path
    at: int
    _rest: bytes = b""

    def count(self, word: bytes) -> int:
        """Return how often it was written since the last call."""
        newest = max(self.segment.parent.glob("*.journal"))
        data = self._rest + self._new()
        if newest != self.segment:
            self.segment, self.at = newest, 0
            data += self._new()
        self._rest = data[-(len(word) - 1) :]
        return data.count(word)

    def _new(self) -> bytes:
        with self.segment.open("rb") as file:
            file.seek(self.at)
            data = file.read()
        self.at += len(data)
        return data


@contextmanager
def recording(folder: Path, pools: Sequence[tuple[str, str]]) -> Iterator[Recorder]:
    """Record pools, by address and fingerprint, for the length of the context."""
    recorder = _record(folder, pools)
    try:
        yield recorder
    finally:
        recorder.stop()


def _record(folder: Path, pools: Sequence[tuple[str, str]]) -> Recorder:
    tables = "".join(
        f'[[pools]]\nname = "pool-{n}"\naddresses = ["{url}"]\npassword_env = "BENCH_PASSWORD"\n'
        f'tls = {{ fingerprint = "{fingerprint}" }}\n'
        for n, (url, fingerprint) in enumerate(pools)
    )
    config = folder / "recorder.toml"
    config.write_text(f"{tables}\n[limits]\nstart_timeout_s = 120.0\n", encoding="ascii")
    xentrail = Path(sys.executable).with_name("xentrail")
    data, log = folder / "data", folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [xentrail, "record", "--config", config, "--data", data],
            stdout=out,
            stderr=out,
            text=True,
            env={"BENCH_PASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
        )
    return Recorder(process, data, log)
