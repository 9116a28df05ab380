"""Schedules of kills, by seed: what runs, what goes wrong, when the driver dies, what must hold.

The pool itself is the witness: it knows which calls it has begun, and what became of their tasks.
As a program this plays one seed again:

.venv/bin/python -m tests.workloads.schedules SEED
"""

import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing

from recorder.model import Entry, MarkName
from recorder.simulator.faults import effects
from recorder.simulator.values import NULL_REF, Fault
from tests.truth.world import deterministic_scheduling
from tests.workloads.mortal import Kill, Moment, Mortal, mortal
from tests.workloads.theatre import script, step

Steps = list[dict[str, object]]
VIRTUAL_S_MAX = 40_000.0
LIVES_MAX = 6

SYNCS, CALLS = (6, 28), (1, 4)
"""When in a life a kill may come: the runs are short, and most kills are to find them under way."""

TROUBLES = (
    *(None,) * 5,
    "failing",
    "no memory",
    "slow agent",
    "deleted",
    "failover",
    "restart",
    "expired",
    "lost answers",
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens: `kills` is one a life, `rests_s` the time that nobody drives after each."""

    seed: int
    steps: Steps
    restore: bool
    trouble: str | None
    kills: tuple[Kill, ...]
    rests_s: tuple[float, ...]
    disk_takes_s: float


def schedule_of(seed: int) -> Schedule:
    """Draw a schedule."""
    dice = random.Random(f"schedule {seed}")
    moments = list(Moment)

    def kill() -> Kill:
        moment = dice.choice(moments)
        return Kill(moment, dice.randint(*(SYNCS if "sync" in moment else CALLS)))

    kills = tuple(kill() for _ in range(dice.choice((1, 1, 1, 2, 2, 3))))
    rests_s = tuple(dice.choice((0.0, 0.5, 2.0, 5.0, 30.0)) for _ in kills)
    failure = dice.choice(("continue", "continue", "stop", "roll-back"))
    steps = [_step(dice, failure) for _ in range(dice.choice((1, 1, 2)))]
    return Schedule(
        seed,
        steps,
        dice.random() < 0.2,
        dice.choice(TROUBLES),
        kills,
        rests_s,
        dice.choice((0.0, 0.0, 0.05)),
    )


def _step(dice: random.Random, failure: str) -> dict[str, object]:
    some = {"names": ["*"], "count": dice.choice((1, 2))}
    common: dict[str, object] = {"on_failure": failure, "concurrency": dice.choice((1, 4))}
    match dice.choice(("powercycle", "permute", "clone", "start_async", "evacuate", "custom")):
        case "powercycle":
            variant = dice.choice(("suspend", "pause", "hard-reboot"))
            return step("powercycle", vms=some, variant=variant, **common)
        case "permute":
            order = dice.choice(("rotate", "shuffle"))
            return step("permute", iterations=2, order=order, **common)
        case "clone":
            one = {"names": ["*"], "count": 1}
            return step("clone", vms=one, iterations=dice.choice((1, 2)), **common)
        case "evacuate":
            return step("evacuate", hosts=["host-2"], on_failure=failure)
        case "custom":
            vms = {**some, "power_states": ["Running"], "count": 1}
            call, args = "tests.workloads.breathing:chance", {"times": 2}
            return step("custom", vms=vms, call=call, args=args, **common)
        case _:
            return step("start_async", **common)


def play(schedule: Schedule) -> "Played":
    """Play a schedule, in virtual time."""
    with deterministic_scheduling(schedule.seed), tempfile.TemporaryDirectory() as folder:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_play, schedule, Path(folder), clock=clock)


async def _play(schedule: Schedule, folder: Path) -> "Played":
    with trio.fail_after(VIRTUAL_S_MAX):
        async with mortal(folder, seed=schedule.seed % 7, vms=3) as world:
            world.disk_takes_s = schedule.disk_takes_s
            _let_go_wrong(world, schedule.trouble)
            text = script(*schedule.steps, restore=schedule.restore)
            request: dict[str, object] = {"command": "run", "pool": "lab", "script": text}
            refused: list[str] = []
            for life in range(LIVES_MAX):
                kill = schedule.kills[life] if life < len(schedule.kills) else None
                answer = await world.live(request, kill)
                if answer is not None:
                    refused.append(str(answer))
                name = world.run_name()
                if world.reports or refused or name is None:
                    break
                if life < len(schedule.kills):
                    await trio.sleep(schedule.rests_s[life])
                request = {"command": "resume", "run": name}
            return Played.of(schedule, world, refused)


def _let_go_wrong(world: Mortal, trouble: str | None) -> None:
    match trouble:
        case "failing":
            world.rules({"match": "Async.*", "effect": "task_failure", "probability": 0.2})
        case "no memory":
            code = {"code": "HOST_NOT_ENOUGH_FREE_MEMORY"}
            world.rules({"match": "Async.VM.start", "effect": "task_failure", "count": 1, **code})
        case "slow agent":
            world.rules({"match": "Async.VM.start", "effect": "slow", "delay_s": 4.0})
        case "lost answers":
            world.rules({"match": "Async.*", "effect": "half_reply", "probability": 0.3})
        case "expired":
            world.rules({"match": "task.destroy", "effect": "expire_session", "probability": 0.5})
        case "failover" | "restart" | "deleted":
            world.network.nursery.start_soon(_disturb, world, trouble)
        case _:
            return


async def _disturb(world: Mortal, trouble: str) -> None:
    """Disturb the run once it is under way."""
    while len(world.made) < 2:  # noqa: ASYNC110 - the pool tells nobody
        await trio.sleep(0.1)
    await trio.sleep(0.7)
    match trouble:
        case "failover":
            world.front.faults.act(effects.Failover(planned=True))
        case "restart":
            world.restart()
        case "deleted":
            ref = world.made[-1].ref
            if not world.pool.database.exists("VM", ref):
                return
            while world.pool.database.record("VM", ref)["power_state"] != "Halted":
                await trio.sleep(0.1)
                if trio.current_time() > VIRTUAL_S_MAX / 10:
                    return
            with suppress(Fault):  # Somebody has started it meanwhile.
                await world.pool.call_operation(NULL_REF, "VM.destroy", [ref])


@dataclass(frozen=True, slots=True)
class Played:
    """What a schedule left behind."""

    schedule: Schedule
    marks: list[tuple[int, MarkName, Mapping[str, object]]]
    made: Counter[tuple[str, str]]
    """How often the pool has begun a call of this method to this object."""
    statuses: Mapping[str, set[str]]
    """The states that each task ever had, as the pool knows."""
    power_states: Mapping[str, set[tuple[str, str]]]
    """The power states and hosts that each VM ever had."""
    lives: int
    status: str | None
    planned: int
    refused: list[str]
    entries: list[Entry]
    """The journal."""

    @classmethod
    def of(cls, schedule: Schedule, world: Mortal, refused: list[str]) -> "Played":
        marks = world.marks(
            *(name for name in MarkName if name.value.startswith(("run-", "step-")))
        )
        statuses: dict[str, set[str]] = defaultdict(set)
        states: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for change in world.pool.truth.changes:
            if change.cls == "task":
                statuses[change.ref].add(json.loads(change.snapshot)["status"])
            elif change.cls == "vm":
                record = json.loads(change.snapshot)
                states[change.ref].add((record["power_state"], record["resident_on"]))
        ended = [detail for _, name, detail in marks if name is MarkName.RUN_ENDED]
        planned = sum(part.planned for report in world.reports for part in report.parts)
        return cls(
            schedule,
            marks,
            Counter((one.method, one.ref) for one in world.made),
            statuses,
            states,
            sum(name in (MarkName.RUN_STARTED, MarkName.RUN_RESUMED) for _, name, _ in marks),
            str(ended[-1]["status"]) if ended else None,
            planned,
            refused,
            [*world.entries()],
        )

    def check(self) -> None:
        """Raise AssertionError if a promise was broken."""
        if not self.marks:
            return  # It was killed, or had nothing to do, before it began.
        if self.marks[-1][1] is MarkName.RUN_ENDED:  # Maybe nobody was told that it has ended.
            assert all("is over" in text for text in self.refused), self.refused
        assert self.status in {"completed", "stopped"}, self.status
        self._check_steps()
        self._check_effects()
        self._check_stop()
        for detail in self._last_ends().values():
            self._check_claim(detail)
        if self.schedule.trouble is None:
            self._check_done()

    def _check_steps(self) -> None:
        """Each call is intended once, and has an outcome; calls are numbered without holes."""
        intended = [detail["step"] for _, name, detail in self.marks if _is_intent(name)]
        assert intended == [*range(1, len(intended) + 1)]
        assert sorted(map(int, map(str, self._last_ends()))) == intended

    def _check_effects(self) -> None:
        """No call is made more often than it was intended, nor twice for one place of the plan."""
        intents = [detail for _, name, detail in self.marks if _is_intent(name)]
        allowed = Counter((str(one["method"]), str(one["ref"])) for one in intents)
        for call, count in self.made.items():
            assert count <= allowed[call], (call, count, allowed[call])
        places = Counter(
            (one["part"], one["round"], one["method"], one["ref"])
            for one in intents
            if one["kind"] not in {"restore", "custom"}
        )
        assert all(count == 1 for count in places.values()), places

    def _check_stop(self) -> None:
        """Once a failure has ended a run, a later life makes no call but those that restore.

        To enable a host that the run has disabled is one of them.
        """
        if "continue" in str(self.schedule.steps):
            return
        failed = False
        bad = {"failure", "vanished", "interrupted", "changed-by-others"}
        failing_now = False
        disabled: set[object] = set()
        for _, name, detail in self.marks:
            if name is MarkName.RUN_RESUMED:
                failed = failing_now
            elif name is MarkName.STEP_ENDED and detail["source"] != "state":
                failing_now |= detail["outcome"] in bad and "stopped" not in detail
            elif _is_intent(name):
                enables = detail["method"] == "host.enable" and detail["ref"] in disabled
                assert not failed or detail["kind"] == "restore" or enables, detail
                if detail["method"] == "host.disable":
                    disabled.add(detail["ref"])
                elif detail["method"] == "host.enable":
                    disabled.discard(detail["ref"])

    def _check_claim(self, detail: Mapping[str, object]) -> None:
        """What the journal says of a call is what the pool has seen."""
        outcome, task = detail["outcome"], str(detail["task"])
        intent = self._intent(detail["step"])
        call = (str(intent["method"]), str(intent["ref"]))
        match outcome:
            case "success":
                assert "success" in self.statuses[task], detail
                assert self.made[call], detail
            case "failure" if detail["record"] is not None:
                assert "failure" in self.statuses[task], detail
            case "cancelled" | "skipped" | "changed-by-others" if detail["task"] is None:
                assert self.made[call] < self._intended(call), detail
            case "vanished" if detail["source"] == "state" and call[1] in self.power_states:
                self._check_state(call[0], call[1], str(intent["params"]), detail)
            case _:
                return

    def _check_state(
        self, method: str, ref: str, params: str, detail: Mapping[str, object]
    ) -> None:
        if method == "VM.clone":
            assert str(detail["made"]) in self.power_states, detail
            return
        why = str(detail["why"])
        seen = self.power_states[ref]
        assert any(f"the VM is {state}" in why for state, _ in seen), detail
        if method == "VM.pool_migrate":
            assert any(host in params for _, host in seen), detail

    def _check_done(self) -> None:
        """With nothing but kills, nothing fails but what cannot be told, and nothing is lost."""
        ends = self._last_ends().values()
        good = {"success", "skipped", "vanished"}
        bad = [
            one
            for one in ends
            if one["outcome"] not in good
            # What restores looks again at what is to be done, and does not do what it had begun.
            and not (
                one["outcome"] == "cancelled" and self._intent(one["step"])["kind"] == "restore"
            )
        ]
        assert all(one["outcome"] == "interrupted" for one in bad), bad
        if bad:
            return
        assert self.status == "completed"
        assert self.planned <= len(ends)
        assert all(one["source"] == "state" for one in ends if one["outcome"] == "vanished"), ends

    def _last_ends(self) -> dict[object, Mapping[str, object]]:
        return {
            detail["step"]: detail for _, name, detail in self.marks if name is MarkName.STEP_ENDED
        }

    def _intent(self, number: object) -> Mapping[str, object]:
        (found,) = [
            detail
            for _, name, detail in self.marks
            if _is_intent(name) and detail["step"] == number
        ]
        return found

    def _intended(self, call: tuple[str, str]) -> int:
        return sum(
            (detail["method"], detail["ref"]) == call
            for _, name, detail in self.marks
            if _is_intent(name)
        )


def _is_intent(name: MarkName) -> bool:
    return name is MarkName.STEP_INTENDED


def main() -> None:
    """Play one seed, print what the journal says, and end as the oracle decides."""
    played = play(schedule_of(int(sys.argv[1])))
    sys.stdout.write(f"{played.schedule}\n")
    for seq, name, detail in played.marks:
        shown = {
            key: value for key, value in detail.items() if key not in {"plan", "text", "record"}
        }
        sys.stdout.write(f"{seq} {name.value} {shown}\n")
    sys.stdout.write(f"{dict(played.made)}\n")
    played.check()
    sys.stdout.write("all promises held\n")


if __name__ == "__main__":
    main()
