"""The real program in real processes: a simulator, a recorder, and any other command."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

XENTRAIL = str(Path(sys.executable).with_name("xentrail"))
WAIT_S_MAX = 30.0
PASSWORD = "xentrail"


@dataclass(frozen=True)
class SimulatedAt:
    """Where a simulated pool answers."""

    url: str
    tls_url: str
    members: tuple[str, ...]
    password: str
    fingerprint: str
    pid: int


def xentrail(*args: str, timeout_s: float = WAIT_S_MAX) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [XENTRAIL, *args], capture_output=True, text=True, timeout=timeout_s, check=False
    )


@contextmanager
def simulator(*args: str) -> Iterator[SimulatedAt]:
    """Run `xentrail simulate` on free ports; stop it by SIGTERM."""
    command = [XENTRAIL, "simulate", "--port", "0", "--tls-port", "0", "--format", "json", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield SimulatedAt(
                url=told["url"],
                tls_url=told["tls_url"],
                members=tuple(told["members"]),
                password=told["password"],
                fingerprint=told["fingerprint"],
                pid=process.pid,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S_MAX)


def write_config(folder: Path, *pools: str, password: str = PASSWORD) -> Path:
    """Write a configuration with these [[pools]] tables (without their password) and return it."""
    (folder / "password").write_text(password + "\n", encoding="utf-8")
    tables = [f'[[pools]]\n{pool}\npassword_file = "{folder / "password"}"\n' for pool in pools]
    file = folder / "recorder.toml"
    file.write_text(f'data = "{folder / "data"}"\n' + "\n".join(tables), encoding="utf-8")
    return file


def pool_table(address: str, name: str = "lab", extra: str = "") -> str:
    return f'name = "{name}"\naddresses = ["{address}"]\n{extra}'


@contextmanager
def recorder(
    config: Path, *args: str, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `xentrail record`; whoever uses it ends it, or it is killed. `environ` is added."""
    command = [XENTRAIL, "record", "--config", str(config), *args]
    env = {**os.environ, **(environ or {})}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_S_MAX)


def wait_for(process: "subprocess.Popen[str]", names: Sequence[str]) -> str:
    """Read the log lines of a recorder until one has one of these event names; return it.

    A recorder that does not say so in time is killed: nothing else ends the reading of a line.
    """
    assert process.stderr is not None
    late = threading.Timer(WAIT_S_MAX, process.kill)
    late.start()
    lines = []
    try:
        for line in iter(process.stderr.readline, ""):
            lines.append(line)
            if any(f" {name} " in f"{line.rstrip()} " for name in names):
                return line
    finally:
        late.cancel()
    raise AssertionError(f"none of {names} in: {''.join(lines)}")


def stop(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGTERM) -> str:
    """Stop a recorder and return what it still had to say."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=WAIT_S_MAX)
    return errors


def modules_after(program: str) -> set[str]:
    """Return the names of all modules that are loaded at the end of a program in Python."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    )
    return set(done.stdout.split())
