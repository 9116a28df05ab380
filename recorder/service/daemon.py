"""The composition root of the service: nurseries, signals, the order of starting and stopping."""

import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path
from random import SystemRandom

import msgspec
import trio

from .. import VERSION, logs
from ..client.address import Address, with_members
from ..client.session import ORIGINATOR, Acquaintances, Credentials, Session, open_session
from ..client.tls import TlsPolicy
from ..client.transport import Dial
from ..clock import WallClock, wall_ns
from ..config import Config, Limits, Pool, password_of
from ..config import Journal as JournalConfig
from ..control import endpoint
from ..control.protocol import ScheduleAction
from ..journal.digest_key import load_or_create
from ..journal.files import Disk
from ..journal.retention import Rules
from ..journal.store import Journal, News
from ..keeper import Inbox, Keeper, Observer, Pen, open_channel
from ..model import RECORDER, Detail, Draft, Mark, MarkName, PoolTail
from ..pools.roster import MakeWatch, Roster
from ..pools.startup import Startup
from ..pools.trail.memory import TrailMemory
from ..pools.watch import OpenSession, Watch
from ..redaction.redact import Redactor
from ..threads import RunSync
from ..workloads.archive import Archive
from ..workloads.resuming import Resumer
from ..workloads.runs import Runs, Ways
from ..workloads.scheduling import Scheduler, scheduled
from ..xapi.subscription import Subscription
from . import notify
from .anchors import Anchors
from .bulletin import Bulletin, Tally
from .front import Counter, Front, Importer, Listen
from .reload import Reloader, Reread
from .reload import Ways as ReloadWays
from .steward import Steward

LAST_WORDS_S = 2.0

WORKLOAD_ORIGINATOR = "xentrail-workload"
"""Sessions that change something are told from those that only look, also on the server."""

MANAGED_REST_S = 55.0
"""REFUSED_RETRY_S, less RestartSec= of the unit: so a recorder that systemd starts anew, again and
again, does not try a refused password more often than one that goes on. Nor does it begin three
segments of the journal a minute while its only pool is away."""

BEATS_A_WATCHDOG = 3
"""Signs of life in the time that the watchdog waits for one: a late one or two do no harm."""


class Seams(msgspec.Struct, frozen=True):
    """What a test or a simulation replaces; the defaults are the real thing."""

    now_ns: WallClock = wall_ns
    uniform: Callable[[float, float], float] = SystemRandom().uniform
    dial: Dial | None = None
    run_sync: RunSync = trio.to_thread.run_sync
    disk: Disk = msgspec.field(default_factory=Disk)
    observer: Observer | None = None
    password: Callable[[Pool], str] = password_of
    tell: notify.Notify = notify.say
    watchdog_s: float | None = msgspec.field(default_factory=notify.watchdog_s)
    managed: bool = msgspec.field(default_factory=notify.is_managed)
    listen: Listen | None = endpoint.listen


async def serve(
    config: Config,
    data: Path,
    *,
    reread: Reread | None = None,
    begins_due: bool = True,
    seams: Seams | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Record every pool of `config` into `data/journal` until cancelled.

    Started once the journal is open. Raises JournalError if the journal cannot be opened; the error
    of a start that reached no pool, and JournalWriteFailed, come out of it in groups.

    `reread` reads the configuration again, at a SIGHUP and when the control socket says so. Without
    `begins_due` no workload is begun by schedule, but each that was due is written down.

    In the outer nursery: the keeper and the clients of the control socket, which end when the last
    pen is closed. In the intake nursery: one watch a pool, the steward, what tells systemd that the
    keeper is alive, what lets clients in and reloads, workloads, and what begins them by schedule.
    systemd is told READY=1 once a pool is recorded, or it is decided that the recorder goes on
    without. Cancellation reaches only the intake; each watch
    says its last words and closes its pen, and the keeper makes durable what it was handed, within
    the grace period.
    """
    seams = seams or Seams()
    openers = [opener_of(pool, config.limits, seams) for pool in config.pools]
    timetable = await seams.run_sync(partial(scheduled, config.schedules))
    journal, redactor, front = await seams.run_sync(partial(_open, data, config, seams))
    for repair in journal.repairs:
        logs.warning("journal-repaired", **repair)
    tails = dict(journal.tails)
    pen, inbox = open_channel()
    steward = _steward(journal, pen.clone(), config.journal, seams)
    tally = Tally(seams.now_ns, journal.next_seq - 1)
    keeper = _keeper(journal, tally, steward, front, seams)
    startup = Startup(frozenset(pool.name for pool in config.pools))
    async with trio.open_nursery() as outer:
        outer.start_soon(_keep_until_drained, keeper, inbox, steward, front, config.limits.grace_s)
        try:
            await pen.put([_mark(MarkName.STARTED, {**_identity(), **redactor.in_force}, seams)])
            orphans = _orphans(tails, config, seams)
            if orphans:
                await pen.put(orphans)
            task_status.started()
            async with trio.open_nursery() as intake:
                intake.start_soon(steward.serve)
                if seams.watchdog_s is not None:
                    intake.start_soon(_beat, keeper, seams.watchdog_s, seams.tell)
                roster = Roster(intake, _watches(config.limits, pen, redactor, startup, seams))
                for pool, opener in zip(config.pools, openers, strict=True):
                    roster.start(pool, opener, tails.get(pool.name, PoolTail()))
                runs = _runs(intake, roster, pen, redactor, config.limits, seams)
                scheduler = _scheduler(runs, roster, pen, tails, seams, begins_due=begins_due)
                scheduler.take(timetable)
                reloader = _reloader(config, roster, pen, reread, runs, scheduler, seams)
                keeper.inform(runs.observe)
                intake.start_soon(scheduler.serve)
                bulletin = Bulletin(journal, keeper, tally, front.followers.__len__)
                counter = Counter(
                    bulletin,
                    roster,
                    reloader,
                    runs,
                    scheduler,
                    _resumer(intake, runs, data, seams),
                    Importer(pen, seams.now_ns, rules=config.redaction.policy().name),
                )
                intake.start_soon(front.serve, counter)
                if reloader is not None:
                    intake.start_soon(reloader.obey_signals)
                await startup.decide(
                    config.limits.start_timeout_s, rest_s=MANAGED_REST_S if seams.managed else 0.0
                )
                seams.tell(notify.READY)
                if reloader is not None:
                    intake.start_soon(reloader.serve)
        finally:
            front.close()
            seams.tell(notify.STOPPING)
            with trio.move_on_after(LAST_WORDS_S, shield=True) as scope:
                await pen.last_words([_mark(MarkName.STOPPED, {}, seams)])
            if scope.cancelled_caught:
                logs.error("last-words-lost")
            pen.close()


def _watches(
    limits: Limits, pen: Pen, redactor: Redactor, startup: Startup, seams: Seams
) -> MakeWatch:
    """Return what makes the watch of a pool."""
    trail = TrailMemory(pen, seams.run_sync)
    return lambda pool, opener, tail: Watch(
        pool,
        pen.clone(),
        tail,
        open_session=opener,
        redactor=redactor,
        limits=limits,
        now_ns=seams.now_ns,
        uniform=seams.uniform,
        report=startup.report,
        trail=trail,
    )


async def _beat(keeper: Keeper, watchdog_s: float, tell: notify.Notify) -> None:
    """Tell the watchdog that the recorder lives, unless the disk does not come back to the keeper.

    A keeper that waits for room on a full disk is well: to be started anew would not make room.
    """
    every_s = watchdog_s / BEATS_A_WATCHDOG
    while True:
        if keeper.on_disk_s < every_s:
            tell(notify.ALIVE)
        await trio.sleep(every_s)


async def _keep_until_drained(
    keeper: Keeper, inbox: Inbox, steward: Steward, front: Front, grace_s: float
) -> None:
    """Run the keeper past the cancellation of the service, for the grace period at most.

    Its end signs a last checkpoint, which the steward then still hands out. Whoever follows is told
    of all that it makes durable, and of the end.
    """
    shield = trio.CancelScope(shield=True)

    async def keep() -> None:
        with shield:
            async with front.attending():
                await keeper.keep(inbox)
        await steward.hand_out_last()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep)
        try:
            await trio.sleep_forever()
        finally:
            shield.deadline = trio.current_time() + grace_s


def _orphans(tails: Mapping[str, PoolTail], config: Config, seams: Seams) -> list[Draft]:
    """Pools that the journal was still recording and the configuration no longer names."""
    names = {pool.name for pool in config.pools}
    gone = [Subscription(name, tail) for name, tail in tails.items() if name not in names]
    return [draft for pool in gone for draft in pool.died(at_ns=seams.now_ns())]


def opener_of(
    pool: Pool, limits: Limits, seams: Seams, *, originator: str = ORIGINATOR
) -> OpenSession:
    """Return what opens a session with `pool`; bad addresses and passwords are told at once."""
    addresses = [Address.parse(text) for text in pool.addresses]
    tls = TlsPolicy(
        ca_file=pool.tls.ca_file, fingerprint=pool.tls.fingerprint, verify=pool.tls.verify
    )
    tls.context()  # an unreadable CA file is told now, not with the first connection
    credentials = Credentials(pool.user, seams.password(pool))
    acquaintances = Acquaintances()

    def opener(members: Sequence[str], gently: bool) -> AbstractAsyncContextManager[Session]:
        return open_session(
            with_members(addresses, members),
            tls,
            credentials,
            originator=originator,
            gently=gently,
            acquaintances=acquaintances,
            dial=seams.dial,
            limits=limits,
            run_sync=seams.run_sync,
        )

    return opener


def _keeper(journal: Journal, tally: Tally, steward: Steward, front: Front, seams: Seams) -> Keeper:
    def hear(news: News) -> None:
        tally.hear(news)
        steward.hear(news)

    observers: list[Observer] = [tally.observe, front.followers.observe]
    if seams.observer is not None:
        observers.append(seams.observer)
    return Keeper(
        journal, now_ns=seams.now_ns, observers=observers, hear=hear, run_sync=seams.run_sync
    )


def _resumer(nursery: trio.Nursery, runs: Runs, data: Path, seams: Seams) -> Resumer:
    resumer = Resumer(runs, Archive(data / "journal", seams.disk, seams.run_sync))
    nursery.start_soon(resumer.tell_of_the_dead)
    return resumer


def _runs(
    nursery: trio.Nursery,
    roster: Roster,
    pen: Pen,
    redactor: Redactor,
    limits: Limits,
    seams: Seams,
) -> Runs:
    opener = partial(opener_of, limits=limits, seams=seams, originator=WORKLOAD_ORIGINATOR)
    ways = Ways(opener, redactor, seams.now_ns, seams.uniform, limits.grace_s)
    runs = Runs(nursery, roster, pen, ways)
    nursery.start_soon(runs.serve)
    return runs


def _scheduler(
    runs: Runs,
    roster: Roster,
    pen: Pen,
    tails: Mapping[str, PoolTail],
    seams: Seams,
    *,
    begins_due: bool,
) -> Scheduler:
    alive_ns = {name: tail.last_received_at_ns for name, tail in tails.items()}
    none = None if begins_due else "the recorder runs only for as long as a workload does"
    return Scheduler(runs, roster, pen, seams.now_ns, alive_ns=alive_ns, begins_none=none)


def _reloader(
    config: Config,
    roster: Roster,
    pen: Pen,
    reread: Reread | None,
    runs: Runs,
    scheduler: Scheduler,
    seams: Seams,
) -> Reloader | None:
    if reread is None:
        return None
    opener = partial(opener_of, limits=config.limits, seams=seams)

    def prepare(wanted: Config) -> Callable[[], list[ScheduleAction]]:
        return partial(scheduler.take, scheduled(wanted.schedules))

    ways = ReloadWays(reread, opener, seams.now_ns, seams.run_sync, lambda: runs.pools, prepare)
    return Reloader(config, roster, pen, ways)


def _steward(journal: Journal, pen: Pen, config: JournalConfig, seams: Seams) -> Steward:
    age_max_s = None if config.keep_days is None else config.keep_days * 86_400
    bytes_max = None if config.keep_gib is None else int(config.keep_gib * 1024**3)
    return Steward(
        journal,
        pen,
        rules=Rules(age_max_s, bytes_max),
        anchors=Anchors(config.anchor_file, config.anchor_command, seams.run_sync),
        now_ns=seams.now_ns,
        run_sync=seams.run_sync,
    )


def _open(data: Path, config: Config, seams: Seams) -> tuple[Journal, Redactor, Front]:
    """Open the journal and, under its lock, the key of the digests that stand for secrets.

    Under the lock, too, the control socket is made: what is there of it is of a dead recorder.
    """
    policy = config.redaction.policy()
    with ExitStack() as unless_it_works:
        journal = _open_journal(data, config.limits, seams)
        unless_it_works.callback(journal.close)
        redactor = Redactor(policy, load_or_create(data / "keys", seams.disk))
        front = Front(data, seams.listen)
        unless_it_works.pop_all()
    return journal, redactor, front


def _open_journal(data: Path, limits: Limits, seams: Seams) -> Journal:
    return Journal.open(
        data / "journal",
        keys=data / "keys",
        now_ns=seams.now_ns,
        segment_bytes_max=limits.segment_mib_max * 1024 * 1024,
        segment_age_max_s=limits.segment_age_max_s,
        disk=seams.disk,
    )


def _mark(name: MarkName, detail: Detail, seams: Seams) -> Draft:
    return Draft(seams.now_ns(), RECORDER, Mark(name, detail))


def _identity() -> dict[str, str | int]:
    return {
        "version": VERSION,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": platform.python_version(),
    }
