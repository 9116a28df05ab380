"""Histories to report, written by hand: what happened is known to the second."""

from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from query.history.database import History
from query.report.gather import Report, gather
from query.report.integrity import Integrity, Verified
from query.report.page import Maker, page
from query.report.period import Period
from query.report.pictures import Canvas
from query.report.times import Clock
from recorder.instant import Instant
from recorder.model import GapCause
from tests.history.journals import Pool, Told, loaded, record, ref_of

MAKER = Maker(version="1.2.3", command="xentrail report", made_at_us=1_700_000_000_000_000)
UNVERIFIED = Integrity(None, None, 0, None, "there is none")

SOUND = Verified(
    flaws=[],
    entries=30,
    first_seq=1,
    last_seq=30,
    segments=1,
    bytes=9000,
    checkpoints=2,
    signed_seq=28,
    redacted=0,
    dropped_seq=None,
)
NOTE = "xentrail/abc\n28\nAAAA=\n\n\N{EM DASH} xentrail/abc BBBB=\n"
VOUCHED = Integrity(SOUND, NOTE, 28, "0badc0de", None)


EVIL_NAMES = (
    "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>",
    "\"' onload=alert(1) x='",
    "]]></text></svg><svg onload=alert(1)>",
    "</style></title><h1>owned</h1>",
    "\u202egnp.exe\u2066\u200b\u200d",
    "bell\x07 nul\x00 escape\x1b[31m\r\n\u2028line",
    "{{ 1 + 1 }} ${x} %s url(http://evil.example/y)",
    "z\u0335\u0336\u0337\u0338\u0337\u0336\u0335\u0334algo",
    "x" * 102_400,
    "\U0001f469\u200d\U0001f4bb \u05e9\u05dc\u05d5\u05dd \u6771\u4eac",
)
"""Names that would like to be markup, script, another direction of writing, or too much."""


@dataclass
class Days:
    """A pool `lab` of VMs and two hosts, an entry a second."""

    told: Told = field(default_factory=Told)
    lab: Pool = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Pool(self.told)

    def begin(self, **vms: tuple[str, str | None]) -> None:
        """Register, and read VMs (power state and host by name), hosts and the pool."""
        self.lab.register()
        self.read(**vms)

    def read(self, **vms: tuple[str, str | None]) -> None:
        """Read a whole baseline."""
        self.lab.chunk("pool", {"p": record("the pool", master=ref_of("h1"))})
        version = {"product_brand": "XCP-ng", "product_version": "8.3.0"}
        hosts = {ref: record(f"host {ref}", software_version=version) for ref in ("h1", "h2")}
        self.lab.chunk("host", hosts)
        self.lab.chunk("vm", {ref: vm(ref, *state) for ref, state in vms.items()})
        self.lab.done()

    def turn(self, ref: str, power: str, host: str | None = None) -> int:
        """Tell of a VM in another state."""
        return self.lab.event("mod", "vm", ref, vm(ref, power, host))

    def quiet(self, seconds: int) -> None:
        """Let seconds pass in which only a host's memory changes."""
        for second in range(seconds):
            self.lab.event("mod", "host", "h2", record("host h2", memory=second))

    def us(self, seq: int) -> int:
        """Return when an entry was written, in microseconds."""
        return self.told.at_ns(seq) // 1000

    def history(self, folder: Path) -> History:
        """Return what a history makes of it."""
        return loaded(folder / "history.duckdb", self.told.entries)


def vm(name: str, power: str, host: str | None = None) -> dict[str, object]:
    """Return the record of a VM."""
    resident_on = "OpaqueRef:NULL" if host is None else ref_of(host)
    return {**record(name), "power_state": power, "resident_on": resident_on}


def a_day() -> Days:
    """VMs that start, move and stop; a gap with a change in it; a failed task; no open gap."""
    days = Days()
    lab = days.lab
    days.begin(web1=("Halted", None), web2=("Running", "h1"), db1=("Running", "h2"))
    days.turn("web1", "Running", "h1")
    days.quiet(2)
    days.turn("web1", "Running", "h2")
    times = {"created": "20231114T22:13:40Z", "finished": "20231114T22:13:43Z"}
    error = ["VM_BAD_POWER_STATE", ref_of("web2"), "halted", "running"]
    failed = {**record("Async.VM.start"), **times, "status": "failure", "error_info": error}
    lab.event("add", "task", "t0", {**record("Async.VM.clone"), "status": "success"})
    lab.event("add", "task", "t1", failed)
    gap = lab.lose(GapCause.SESSION_LOST)
    lab.register()
    days.read(web1=("Running", "h2"), web2=("Halted", None), db1=("Running", "h2"))
    lab.close(gap)
    days.quiet(2)
    days.turn("db1", "Suspended")
    lab.event("del", "vm", "web2", vm("web2", "Halted"))
    days.quiet(2)
    return days


def evil_day() -> Days:
    """A pool that is hostile in every name it can choose."""
    days = Days()
    lab = days.lab
    lab.register()
    lab.chunk("pool", {"p": {**record(EVIL_NAMES[3]), "master": ref_of("h0")}})
    version = {"product_brand": EVIL_NAMES[0], "product_version": 8}
    hosts = {f"h{i}": record(name, software_version=version) for i, name in enumerate(EVIL_NAMES)}
    lab.chunk("host", hosts)
    states = ("Running", "<b>Odd</b>", "Halted", "Paused")
    vms = {
        f"v{i}": {**vm(name, states[i % 4], f"h{i}"), "uuid": name}
        for i, name in enumerate(EVIL_NAMES)
    }
    lab.chunk("vm", vms)
    lab.done()
    for i, name in enumerate(EVIL_NAMES):
        error = {"status": "failure", "error_info": [name, name, "{0}{9}"]}
        lab.event("add", "task", f"t{i}", {**record(name), **error})
        lab.event("mod", "vm", f"v{i}", {**vms[f"v{i}"], "memory": 1})
    lab.lose()
    return days


def reported(
    history: History,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    pool: str | None = None,
    vms_max: int = 36,
) -> tuple[Report, Canvas]:
    """Gather a report, with what draws it."""
    report = gather(history, since=since, until=until, pool=pool, vms_max=vms_max)
    return report, canvas_of(report.period)


def canvas_of(period: Period) -> Canvas:
    """Return a canvas in UTC."""
    return Canvas(period, Clock.of(UTC, period.begin_us))


def page_of(history: History, integrity: Integrity = UNVERIFIED, maker: Maker = MAKER) -> str:
    """Return the page about all that a history holds."""
    report, canvas = reported(history)
    return page(report, integrity, canvas, maker)
