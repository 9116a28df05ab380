"""Lets a run go on after its driver died, or was stopped: from its recorded steps.

The plan is the recorded one. What became of the calls under way is found out first, see `settling`;
then the steps run again, and what was done is answered from the record, see `retrace`.
"""

from collections.abc import Mapping

from .. import logs
from ..control.protocol import ErrorName, Refused, Resume
from ..errors import JournalError, WorkloadError
from .archive import Archive
from .kinds.custom import function_of
from .past import RunPast
from .run import Order, Status
from .runs import Runs, Told, check_role, sight_of
from .scripts import Kind

OVER: Mapping[str, str] = {
    Status.COMPLETED: "all that could be done was",
    Status.STOPPED: "a call failed, and its script says that this ends it",
    Status.FAILED: "its function could not go on",
    Status.RESTORED: "its VMs were given back what they had",
}
"""The ends behind which nothing goes on."""


class Resumer:
    """Resumes runs of a recorder, whose journal is the archive."""

    def __init__(self, runs: Runs, archive: Archive) -> None:
        self._runs = runs
        self._archive = archive

    async def tell_of_the_dead(self) -> None:
        """Say in the log which runs have no end: nothing goes on with them by itself."""
        try:
            runs = await self._archive.unended()
        except JournalError as error:
            logs.warning("runs-not-looked-for", error=str(error))
            return
        for one in runs:
            if one.run not in self._runs.names:
                advice = f"xentrail workload resume {one.run}"
                logs.warning("run-without-end", run=one.run, pool=one.pool, advice=advice)

    async def pool_of(self, wanted: Resume) -> str:
        """Return the pool of a run. Raises Refused."""
        try:
            return (await self._archive.find(wanted.run)).pool
        except (WorkloadError, JournalError) as error:
            raise Refused(ErrorName.WORKLOAD_REFUSED, str(error)) from error

    async def resume(self, wanted: Resume, who: str) -> Told:
        """Go on with a run of a pool that is recorded. Raises Refused."""
        self._runs.check_goes_on()
        try:
            found = await self._archive.find(wanted.run)
            with self._runs.claimed(found.pool, f"run {found.run}"):
                post = self._runs.post(found.pool)
                await self._runs.until_live(post)
                # Only now nobody else goes on with it, and what the pool is like is recorded.
                past = await self._archive.past(found)
                check_goes_on(past, restores=wanted.restore)
                return await self._begin(past, wanted, who)
        except (WorkloadError, JournalError) as error:
            raise Refused(ErrorName.WORKLOAD_REFUSED, str(error)) from error

    async def _begin(self, past: RunPast, wanted: Resume, who: str) -> Told:
        post = self._runs.post(past.pool)
        user = post.pool.driven.user
        kit = self._runs.kit(post)
        try:
            sight = await sight_of(kit.driver, past.pool)
            await check_role(kit.driver, past.plan, user)
            self._runs.check_goes_on()
        except BaseException:
            await kit.driver.aclose()
            raise
        order = Order(
            past.run,
            past.plan,
            past.script,
            who,
            user,
            sight,
            past=past,
            restores=wanted.restore,
        )
        return self._runs.launch(post, kit, order)


def check_goes_on(past: RunPast, *, restores: bool) -> None:
    """Raise WorkloadError for a run that is over for good, or that cannot do the same again."""
    why = OVER.get(past.status or "")
    done = past.status in (Status.COMPLETED, Status.RESTORED)
    if why is not None and (done or not restores):
        text = f"run {past.run} is over: {past.status}, {why}"
        way = "" if done else "; with --restore its VMs get back what they had at its start"
        raise WorkloadError(f"{text}{way}")
    for part in past.plan.parts if not restores else ():
        if part.step.kind is Kind.CUSTOM:
            assert part.step.call is not None
            function_of(part.step.call)
