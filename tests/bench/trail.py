"""What it costs to know who did it; `python -m tests.bench.trail`.

A journal of the mix (mix.py), with a line of the audit trail for every 20 events, is loaded by
processes of their own: as it is, without the join, and without the lines. A third of the lines are
of tasks, a third of setters of VMs, the rest of hosts. Held against a limit: loading with the join
takes at most 15 % longer than without. The machine may be shared: processor times are compared, in
the median of several rounds. Ends with 1 if the limit is exceeded.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

from query.history.database import History
from query.load import loading
from query.load.loader import refresh
from recorder.journal.store import Journal
from recorder.model import AuditLine, Draft, Event
from tests.bench.journal.made import UnsyncedDisk
from tests.bench.mix import START_S, epoch_drafts
from tests.bench.plain import say

EVENTS_A_LINE = 20
LONGER_SHARE_MAX = 0.15
VMS = 560
FORMS = {"with the join": True, "without the join": False}
SECRETS = random.Random(1)
MASTER = "10.0.0.1"
HOST = "OpaqueRef:bf2a7a06-1b53-e8c2-e301-e58a15869730"


class _Named(msgspec.Struct):
    name_label: str = ""


def with_lines(drafts: Iterator[Draft]) -> Iterator[Draft]:
    """Yield drafts, and after every 20th event a line that tells of one of those before it."""
    tasks: list[tuple[str, str]] = []
    vm, events = "", 0
    for draft in drafts:
        yield draft
        body = draft.body
        if not isinstance(body, Event) or body.snapshot is None:
            continue
        events += 1
        if body.cls == "task":
            named = msgspec.json.decode(body.snapshot, type=_Named)
            tasks.append((body.ref, named.name_label))
        elif body.cls == "vm":
            vm = body.ref
        if events % EVENTS_A_LINE == 0:
            line = _line(draft.received_at_ns, events // EVENTS_A_LINE, tasks, vm)
            yield Draft(draft.received_at_ns, draft.pool, AuditLine(MASTER, line, False))


def _line(at_ns: int, number: int, tasks: list[tuple[str, str]], vm: str) -> bytes:
    at = datetime.fromtimestamp(at_ns / 1e9, UTC)
    user, client, call = "root", "HTTPS 10.0.0.9->:::80", "VM.add_to_other_config"
    task = f"{call} D:{SECRETS.getrandbits(48):012x}"
    if number % 3 == 0:
        user, client = HOST, "/var/lib/xcp/xapi"
    elif number % 3 == 1 and tasks:
        ref, name = tasks.pop(0)
        call = name.removeprefix("Async.")
        task = f"{name} R:{ref[10:18]}{ref[19:23]}"
    session = f"{SECRETS.getrandbits(2):032x}"
    return (
        f"Nov 23 17:13:34 host1 xapi: [{at:%Y%m%dT%H:%M:%S}.{at.microsecond // 1000:03}Z|audit||80"
        f" {client}|{task}|audit] ('trackid={session}' 'LOCAL_SUPERUSER' '{user}' 'ALLOWED' 'OK'"
        f" 'API' '{call}' (('self' 'web1' '0a810d47-a3c5-df1a-85cc-3eabbebd33ce' '{vm}')))"
    ).encode()


def write_journal(folder: Path, events: int, *, lines: bool) -> None:
    """Write the journal in `folder`."""
    drafts = epoch_drafts(events, vms=VMS)
    coming = with_lines(drafts) if lines else drafts
    with Journal.open(
        folder / "journal", now_ns=lambda: START_S * 10**9, disk=UnsyncedDisk()
    ) as journal:
        while some := list(islice(coming, 1000)):
            journal.append(some)


def load(folder: Path, *, joined: bool) -> None:
    """Load the journal as every question does, or without the join."""
    if not joined:

        def nothing(_history: History, _after_seq: int) -> None:
            pass

        vars(loading)["join"] = nothing
    refresh(folder, now_ns=lambda: START_S * 10**9)


def cost_of(folder: Path, form: str) -> float:
    """Load in a process of its own; return the seconds of processors that it took."""
    for file in folder.glob("history.*"):
        file.unlink()
    command = [sys.executable, "-m", "tests.bench.trail", "--only", form, "--folder", str(folder)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{form!r} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def bench(folder: Path, events: int, rounds: int) -> bool:
    """Measure, and tell whether the join is cheap enough."""
    began_s = time.perf_counter()
    for name, lines in (("lines", True), ("plain", False)):
        (folder / name).mkdir()
        write_journal(folder / name, events, lines=lines)
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        for form in FORMS:
            took.setdefault(form, []).append(cost_of(folder / "lines", form))
        took.setdefault("no lines", []).append(cost_of(folder / "plain", "with the join"))
    for form, costs in took.items():
        each_us = statistics.median(costs) / events * 1e6
        spread = max(costs) - min(costs)
        say(
            f"{form:20s} {statistics.median(costs):6.1f} s of processors (spread {spread:.1f}),"
            f" {each_us:5.1f} us an event"
        )
    pairs = zip(took["with the join"], took["without the join"], strict=True)
    longer = statistics.median(joined / alone - 1 for joined, alone in pairs)
    fits = longer <= LONGER_SHARE_MAX
    say(
        f"the join takes {longer:+.1%} (at most {LONGER_SHARE_MAX:.0%}):"
        f" {'ok' if fits else 'EXCEEDED'}; all in {time.perf_counter() - began_s:.0f} s"
    )
    return fits


def main() -> None:
    """Run all of it, or the one form that `--only` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=FORMS)
    options = parser.parse_args()
    if options.only:
        load(options.folder, joined=FORMS[options.only])
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        raise SystemExit(0 if bench(Path(folder), options.events, options.rounds) else 1)


if __name__ == "__main__":
    main()
