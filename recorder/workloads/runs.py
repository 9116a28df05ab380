"""The runs of a recorder: one at a time on a pool, each asked for by a client who is told."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import trio

from .. import logs
from ..clock import WallClock
from ..config import Pool
from ..control.lines import iso
from ..control.protocol import ErrorName, Refused, RunStatus
from ..control.protocol import Run as Wanted
from ..control.running import PartTitle, Running
from ..errors import ConfigError, ProtocolError, TransportError, WorkloadError, XapiFault
from ..keeper import Pen
from ..model import Draft
from ..pools.roster import Post, Roster
from ..pools.vitals import Standing
from ..redaction.redact import PoolRedactor, Redactor
from .driver import Driver, OpenSession
from .engine import Engine
from .evidence import Evidence
from .inventory import Inventory
from .news import News
from .plan import Plan, title_of
from .planner import plan_for
from .recorded import plan_in
from .run import Order, Run
from .scripts import Script, script_in
from .sight import Sight, look_at
from .witness import Witness

LIVE_S_MAX = 120.0
"""How long a run waits until its pool is recorded without a gap: a baseline takes seconds."""
LIVE_LOOK_S = 0.1
"""How often that is looked at; nobody tells of it."""
STOP_S_MAX = 4.0
"""What a run has for its tasks when the recorder stops; the grace period is 10 s by default."""


class Ways(msgspec.Struct, frozen=True):
    """What runs need of their surroundings; `opener_of` raises ConfigError."""

    opener_of: Callable[[Pool], OpenSession]
    redactor: Redactor
    now_ns: WallClock
    uniform: Callable[[float, float], float]
    grace_s: float


class Told(msgspec.Struct, frozen=True):
    """A run as its client sees it; without `news` it was only planned."""

    running: Running
    news: News | None = None
    run: Run | None = None

    async def next_line(self) -> bytes | None:
        """Wait for the next line; None behind the last one."""
        return None if self.news is None else await self.news.next_line()

    def cancel(self) -> None:
        """End the run in good order."""
        if self.run is not None:
            self.run.cancel()


class Kit(msgspec.Struct, frozen=True):
    """What a run works with; its driver is closed when it ends."""

    driver: Driver
    redactor: PoolRedactor
    witness: Witness


class Runs:
    """Begins runs in the nursery that it is given. `observe` is an observer of the keeper."""

    def __init__(self, nursery: trio.Nursery, roster: Roster, pen: Pen, ways: Ways) -> None:
        self._nursery = nursery
        self._roster = roster
        self._pen = pen
        self._ways = ways
        self._busy: dict[str, str] = {}
        self._under_way: dict[str, tuple[Run, int]] = {}
        self._is_stopping = False
        self._witnesses: dict[str, Witness] = {}

    @property
    def pools(self) -> frozenset[str]:
        """The pools on which something runs."""
        return frozenset(self._busy)

    @property
    def names(self) -> frozenset[str]:
        """The names of the runs that are under way."""
        return frozenset(run.order.run for run, _ in self._under_way.values())

    def post(self, pool: str) -> Post:
        """Return where a pool is recorded; its name was checked."""
        post = self._roster.post(pool)
        assert post is not None
        return post

    def status(self, pool: str) -> RunStatus | None:
        """Tell of the run that is under way on a pool, None if there is none."""
        if pool not in self._under_way:
            return None
        run, began_ns = self._under_way[pool]
        order, made = run.order, run.made
        age_s = round((self._ways.now_ns() - began_ns) / 1e9, 3)
        planned = max(made, order.plan.calls)
        return RunStatus(
            order.run, order.plan.script, order.who, made, planned, iso(began_ns), age_s
        )

    def observe(self, seqs: range, drafts: Sequence[Draft]) -> None:
        """A group became durable."""
        for witness in self._witnesses.values():
            witness.observe(seqs, drafts)

    async def serve(self) -> None:
        """Let runs be begun until cancelled; clients are attended to for a little longer."""
        try:
            await trio.sleep_forever()
        finally:
            self._is_stopping = True

    async def begin(self, wanted: Wanted, who: str) -> Told:
        """Plan a run and, unless it is only asked for, begin it. Raises Refused."""
        self.check_goes_on()
        script = _script_in(wanted)
        post = self.post(wanted.pool)
        if wanted.dry_run:
            return await self._planned(wanted, script, post)
        with self.claimed(wanted.pool, script.name):
            return await self._begin(wanted, script, post, who)

    @contextmanager
    def claimed(self, pool: str, name: str) -> Iterator[None]:
        """Keep others off a pool for what is begun in the context. Raises Refused.

        It is free again once the run has ended, or if none was begun.
        """
        under_way = self._busy.get(pool)
        if under_way is not None:
            text = f"{under_way} runs on pool {pool} already; wait for its end"
            raise Refused(ErrorName.RUN_UNDER_WAY, text)
        self._busy[pool] = name
        try:
            yield
        except BaseException:
            self._forget(pool)
            raise

    async def _planned(self, wanted: Wanted, script: Script, post: Post) -> Told:
        await self.until_live(post)
        driver = self._driver(post, PoolRedactor(self._ways.redactor))
        try:
            sight = await sight_of(driver, wanted.pool)
            plan = plan_of(wanted, script, sight.inventory)
            await check_role(driver, plan, post.pool.driven.user)
        finally:
            await driver.aclose()
        return Told(_running(None, plan))

    async def _begin(self, wanted: Wanted, script: Script, post: Post, who: str) -> Told:
        """Begin a run once its pool is recorded; what it is to see comes from the journal then."""
        await self.until_live(post)
        kit = self.kit(post)
        try:
            sight = await sight_of(kit.driver, wanted.pool)
            plan = plan_of(wanted, script, sight.inventory)
            await check_role(kit.driver, plan, post.pool.driven.user)
            self.check_goes_on()
        except BaseException:
            await kit.driver.aclose()
            raise
        run, user = _run_id(wanted.pool, self._ways.now_ns()), post.pool.driven.user
        repeats = None if wanted.replay is None else wanted.replay.run
        order = Order(run, plan, wanted.script, who, user, sight, replay_of=repeats)
        return self.launch(post, kit, order)

    def kit(self, post: Post) -> Kit:
        """Return what a run on a pool works with; it sees from now on what is recorded."""
        redactor = PoolRedactor(self._ways.redactor)
        driver = self._driver(post, redactor)
        witness = self._witnesses[post.pool.name] = Witness(post.pool.name)
        return Kit(driver, redactor, witness)

    def launch(self, post: Post, kit: Kit, order: Order) -> Told:
        """Let a run begin, or go on."""
        pool = post.pool.name
        for ref in order.plan.found:
            # A VM of a run that is repeated, or goes on, may be gone.
            kit.witness.follow(ref, order.sight.records.get(ref, b"{}"))
        news = News()
        evidence = Evidence(self._pen.clone(), pool, order.run, self._ways.now_ns)
        engine = Engine(
            evidence,
            kit.witness,
            kit.driver,
            kit.redactor,
            is_live=lambda: _is_live(post),
            tell=news,
        )
        run = Run(order, engine, evidence, news)
        self._under_way[pool] = run, self._ways.now_ns()
        self._nursery.start_soon(self._live, run, engine)
        return Told(_running(order.run, order.plan), news, run)

    async def _live(self, run: Run, engine: Engine) -> None:
        """Let a run be carried out. In the nursery: the run, and what hurries it at a stop."""
        stop_s = min(STOP_S_MAX, self._ways.grace_s * 0.4)

        async def hurry_when_stopped() -> None:
            try:
                await trio.sleep_forever()
            finally:
                engine.patience.hurry(stop_s)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hurry_when_stopped)
                await run.carry_out()
                nursery.cancel_scope.cancel()
        finally:
            engine.evidence.close()
            self._forget(run.order.plan.pool)
            await engine.driver.aclose()

    def check_goes_on(self) -> None:
        """Refuse what would be begun in a nursery that is closing. Raises Refused."""
        if self._is_stopping:
            raise Refused(ErrorName.STOPPING, "the recorder is stopping")

    def _forget(self, pool: str) -> None:
        del self._busy[pool]
        self._under_way.pop(pool, None)
        self._witnesses.pop(pool, None)

    def _driver(self, post: Post, redactor: PoolRedactor) -> Driver:
        try:
            opener = self._ways.opener_of(post.pool.driven)
        except ConfigError as error:
            raise Refused(ErrorName.WORKLOAD_REFUSED, str(error)) from error
        return Driver(
            post.pool.name,
            opener,
            members=lambda: post.watch.members,
            pool_uuid=lambda: post.watch.pool_uuid,
            learn=redactor.learn,
            uniform=self._ways.uniform,
        )

    async def until_live(self, post: Post) -> None:
        """Wait until a pool is recorded without a gap. Raises Refused."""
        with trio.move_on_after(LIVE_S_MAX):
            while not _is_live(post):  # noqa: ASYNC110 - nobody tells of it
                await trio.sleep(LIVE_LOOK_S)
            return
        why = post.watch.vitals.error or "its state is still being read"
        text = f"pool {post.pool.name} is not recorded just now, so nothing is run on it: {why}"
        raise Refused(ErrorName.NOT_RECORDED, text)


def plan_of(wanted: Wanted, script: Script, inventory: Inventory) -> Plan:
    """Plan a run, or take over the plan of the one that is repeated. Raises Refused."""
    try:
        if wanted.replay is not None:
            return msgspec.structs.replace(plan_in(wanted.replay.plan), pool=wanted.pool)
        return plan_for(script, inventory, seed=wanted.seed)
    except WorkloadError as error:
        raise Refused(ErrorName.WORKLOAD_REFUSED, f"{wanted.origin}: {error}") from error


def _script_in(wanted: Wanted) -> Script:
    try:
        return script_in(wanted.script, wanted.origin)
    except WorkloadError as error:
        raise Refused(ErrorName.WORKLOAD_REFUSED, *error.texts) from error


async def sight_of(driver: Driver, pool: str) -> Sight:
    """Return how a pool is found. Raises Refused."""
    try:
        return await look_at(await driver.open(), pool)
    except (TransportError, ProtocolError, XapiFault) as error:
        logs.warning("workload-not-begun", pool=pool, error=str(error))
        raise Refused(ErrorName.WORKLOAD_REFUSED, f"pool {pool}: {error}") from error


async def check_role(driver: Driver, plan: Plan, user: str) -> None:
    """Refuse a plan with calls that its user may not make. Raises Refused.

    What a custom function calls is not known before.
    """
    try:
        allowed = await (await driver.open()).permissions()
    except (TransportError, ProtocolError, XapiFault) as error:
        raise Refused(ErrorName.WORKLOAD_REFUSED, f"pool {plan.pool}: {error}") from error
    if allowed is None:
        return
    closed = [one for one in plan.methods if one.lower() not in allowed]
    if closed:
        text = f"user {user!r} may not call {', '.join(closed)} on pool {plan.pool}"
        raise Refused(
            ErrorName.WORKLOAD_REFUSED, f"{text}; name one who may in [pools.workload] of the pool"
        )


def _is_live(post: Post) -> bool:
    vitals = post.watch.vitals
    return vitals.standing is Standing.LIVE and vitals.gap is None


def _running(run: str | None, plan: Plan) -> Running:
    titles = [PartTitle(title_of(part.step), part.calls) for part in plan.parts]
    return Running(run, plan.pool, list(plan.lines()), titles)


def _run_id(pool: str, now_ns: int) -> str:
    """Name a run by its time, to the second, and four digits that tell it from any other."""
    at = datetime.fromtimestamp(now_ns // 10**9, UTC)
    digits = hashlib.sha256(f"{pool}/{now_ns}".encode()).hexdigest()[:4]
    return f"{at:%Y%m%d-%H%M%S}-{digits}"
