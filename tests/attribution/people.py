"""Who is at work in a pool, and what each of them may try; a die decides what is tried next."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from recorder.simulator.calls import Sent
from recorder.simulator.errand import mark
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.users import UserSpec
from recorder.simulator.values import Record, text_of

DEBUG = "x-http-other-config-dbg"
GONE = "OpaqueRef:00000000-1111-2222-3333-444444444444"
WORDS = ("blue", "it's", "a|b] (c", "é", "\\")
"""In names they are what lines must escape, or what looks like the end of their header."""
_MORE_ARGS: Mapping[str, tuple[Sent, ...]] = {
    "Async.VM.start": (False, False),
    "Async.VM.resume": (False, False),
    "Async.VM.snapshot": ("copy of a snapshot",),
    "Async.VM.clone": ("copy of a clone",),
}
"""What calls take besides a VM; others take nothing more, or are refused without it."""
_HIDDEN = ("is_a_template", "is_a_snapshot", "is_control_domain")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a session of his own, at an address of his own."""

    user: str
    address: str
    role: str = ""


PEOPLE = (
    Person("root", "10.0.0.11"),
    Person("root", "10.0.0.12"),
    Person("EXAMPLE\\alice", "10.0.0.13", "pool-operator"),
    Person("EXAMPLE\\bob", "10.0.0.14", "vm-admin"),
    Person("carol", "10.0.0.15", "vm-operator"),
    Person("dave", "10.0.0.16", "read-only"),
)
ROOT, READER = 0, len(PEOPLE) - 1
WRITERS = range(4)
USERS = tuple(
    UserSpec(person.user, f"key of {person.user}", person.role) for person in PEOPLE if person.role
)


@dataclass(frozen=True, slots=True)
class Act:
    """One call: by whom, with which headers, and how long after the one before."""

    who: int
    method: str
    args: tuple[Sent, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0


class Ideas:
    """What comes to the minds of people in one pool; the same seed gives the same ideas."""

    def __init__(self, pool: SimulatedPool, rng: random.Random, *, forgers: bool) -> None:
        """With `forgers` people lie, now and then, about the task in which they do something."""
        self._kinds = [*_HONEST, *_LIES] if forgers else _HONEST
        self._pool = pool
        self._rng = rng
        self._words = 0

    def next(self) -> Sequence[Act]:
        """Return what is done next: mostly one call, nothing where nothing fits."""
        weights = [weight for weight, _make in self._kinds]
        _weight, make = self._rng.choices(self._kinds, weights)[0]
        return make(self)

    def pause_s(self) -> float:
        """Return how long nobody does anything: now and then hardly at all."""
        shortest_s, longest_s = self._rng.choice(((0.0005, 0.005), (0.05, 1.0), (1.0, 8.0)))
        return self._rng.uniform(shortest_s, longest_s)

    # Kinds.

    def edit(self) -> Sequence[Act]:
        """Set a field of something: most such calls have no task with a row."""
        return [self._edit(self._rng.choice(WRITERS))]

    def duel(self) -> Sequence[Act]:
        """Two people write the same object, the same field or not, within milliseconds."""
        one, other = self._rng.sample(WRITERS, 2)
        vm, wait_s = self._guest(), self._rng.choice((0.0, 0.001, 0.003))
        fields = ("name_description", "name_label", "user_version")
        verbs = [f"set_{field}" for field in self._rng.choices(fields, k=2)]
        values = [3 if verb == "set_user_version" else self._word() for verb in verbs]
        return [
            Act(one, f"VM.{verbs[0]}", (vm, values[0])),
            Act(other, f"VM.{verbs[1]}", (vm, values[1]), wait_s=wait_s),
        ]

    def power(self) -> Sequence[Act]:
        """Start, stop, suspend, resume, pause, move or restart a VM, as its state allows."""
        vm = self._guest()
        match self._pool.database.field("VM", vm, "power_state"):
            case "Running":
                verb = self._rng.choice(
                    ("hard_shutdown", "clean_shutdown", "hard_reboot", "suspend", "pause", "move")
                )
                if verb == "move":
                    host = self._rng.choice(self._pool.hosts).ref
                    return [self._maybe_async("VM.pool_migrate", vm, host, {"live": "true"})]
                return [self._maybe_async(f"VM.{verb}", vm)]
            case "Suspended":
                return [self._maybe_async("VM.resume", vm, False, False)]
            case "Paused":
                return [self._maybe_async("VM.unpause", vm)]
        return [self._maybe_async("VM.start", vm, False, False)]

    def copy(self) -> Sequence[Act]:
        """Take a snapshot, or clone what is halted."""
        vm = self._guest()
        halted = self._pool.database.field("VM", vm, "power_state") == "Halted"
        verb = self._rng.choice(("clone", "snapshot")) if halted else "snapshot"
        return [self._maybe_async(f"VM.{verb}", vm, f"copy {self._word()}")]

    def remove(self) -> Sequence[Act]:
        """Destroy a copy that was made before, or a network."""
        made = [
            vm
            for vm in self._pool.database.refs("VM")
            if text_of(self._record("VM", vm), "name_label").startswith("copy ")
        ]
        return [self._maybe_async("VM.destroy", self._rng.choice(made))] if made else []

    def make(self) -> Sequence[Act]:
        """Create what is no VM: such calls have a task, though nobody waits for them."""
        if self._rng.random() < 0.5:
            fields: Sent = {"name_label": self._word(), "name_description": "", "other_config": {}}
            return [Act(self._boss(), "network.create", (fields,))]
        return [Act(self._boss(), "secret.create", ({"value": "s", "other_config": {}},))]

    def mistake(self) -> Sequence[Act]:
        """Call what cannot be done: a wrong state, nothing at all, or a word that is no method."""
        who, vm = self._rng.choice(WRITERS), self._guest()
        match self._rng.randrange(4):
            case 0:
                return [Act(who, "VM.unpause", (vm,))]
            case 1:
                return [Act(who, "Async.VM.start", (GONE, False, False))]
            case 2:
                return [Act(who, "VM.set_name_label", (GONE, "x"))]
        return [Act(who, "no.such_method", ())]

    def denied(self) -> Sequence[Act]:
        """Let somebody try what only others may."""
        act = self._rng.choice((self.power, self.edit, self.copy))()
        return [Act(READER, act[0].method, act[0].args)]

    def cancel(self) -> Sequence[Act]:
        """Cancel something under way, whoever has begun it."""
        pending = self._pending()
        who = self._rng.choice((ROOT, 1, 3))
        return [Act(who, "task.cancel", (self._rng.choice(pending),))] if pending else []

    def own_task(self) -> Sequence[Act]:
        """Make a task by hand, or write in one."""
        mine = [
            task
            for task in self._pool.database.refs("task")
            if text_of(self._record("task", task), "name_label").startswith("job ")
        ]
        if not mine or self._rng.random() < 0.4:
            return [Act(self._boss(), "task.create", (f"job {self._word()}", ""))]
        task = self._rng.choice(mine)
        verb, *args = self._rng.choice(
            (("set_progress", 0.5), ("set_status", "success"), ("destroy",))
        )
        return [Act(self._boss(), f"task.{verb}", (task, *args))]

    def meddle(self) -> Sequence[Act]:
        """Write what the server writes itself, in something that it is at work on."""
        vm, pending, word = self._guest(), self._pending(), self._word()
        if not pending or self._rng.random() < 0.3:
            return [Act(self._boss(), "VM.add_to_platform", (vm, word, word))]
        task = self._rng.choice(pending)
        verb, *args = self._rng.choice((("set_progress", 0.3), ("add_to_other_config", word, word)))
        return [Act(self._boss(), f"task.{verb}", (task, *args))]

    def tell(self) -> Sequence[Act]:
        """Create a message, or let an object tell of itself though nothing has changed."""
        vm = self._guest()
        if self._rng.random() < 0.5:
            return [Act(self._boss(), "event.inject", ("VM", vm))]
        uuid = text_of(self._record("VM", vm), "uuid")
        return [Act(self._boss(), "message.create", ("NOTE", 3, "VM", uuid, self._word()))]

    def forge(self) -> Sequence[Act]:
        """Do something under the mark of a task that is not its own, or of none."""
        tasks = self._pool.database.refs("task")
        act = self._rng.choice((self.edit, self.power))()[0]
        lie = self._rng.choice(("a|b] c", "Async.VM.start R:aaaaaaaaaaaa", "VM.start"))
        if tasks and self._rng.random() < 0.7:
            task = self._rng.choice(tasks)
            lie = f"{text_of(self._record('task', task), 'name_label')} {mark(task)}"
        return [Act(act.who, act.method, act.args, {DEBUG: lie})]

    def borrow(self) -> Sequence[Act]:
        """Do something in the task of somebody else, or as a part of it."""
        pending = self._pending()
        act = self._rng.choice((self.edit, self.power, self.copy))()[0]
        header = self._rng.choice(("task-id", "subtask-of"))
        if not pending:
            return []
        return [Act(act.who, act.method, act.args, {header: self._rng.choice(pending)})]

    def impersonate(self) -> Sequence[Act]:
        """Make the same call as somebody else who waits for his, under the mark of his task."""
        names = {
            task: text_of(self._record("task", task), "name_label") for task in self._pending()
        }
        same = [(task, name) for task, name in names.items() if name.startswith("Async.VM.")]
        if not same:
            return []
        task, name = self._rng.choice(same)
        args = _MORE_ARGS.get(name, ())
        header = self._rng.choice(({DEBUG: f"{name} {mark(task)}"}, {"task-id": task}))
        method = self._rng.choice((name, name.removeprefix("Async.")))
        return [Act(self._rng.choice(WRITERS), method, (self._guest(), *args), header)]

    # What there is.

    def _edit(self, who: int) -> Act:
        vm, word, refs = self._guest(), self._word(), self._pool.database.refs
        host, network, disk = (self._rng.choice(refs(cls)) for cls in ("host", "network", "VDI"))
        key = self._rng.choice(("owner", "ticket", "folder"))
        calls: tuple[tuple[Sent, ...], ...] = (
            ("VM.set_name_description", vm, word),
            ("VM.set_name_label", vm, f"vm {word}"),
            ("VM.add_to_other_config", vm, key, word),
            ("VM.remove_from_other_config", vm, key),
            ("VM.add_tags", vm, word),
            ("VM.set_tags", vm, [word]),
            ("VM.set_memory_dynamic_range", vm, 2**30, 2**30),
            ("pool.set_name_description", self._pool.pool_ref, word),
            ("host.set_name_description", host, word),
            ("network.set_name_label", network, word),
            ("VDI.set_name_description", disk, word),
        )
        method, *args = self._rng.choice(calls)
        return Act(who, str(method), tuple(args))

    def _maybe_async(self, method: str, *args: Sent) -> Act:
        prefix = self._rng.choice(("", "Async."))
        return Act(self._rng.choice(range(5)), f"{prefix}{method}", args)

    def _boss(self) -> int:
        return self._rng.choice((ROOT, 1, 2))

    def _guest(self) -> str:
        """Return a VM; a few of them come up more often, so that people meet."""
        vms = [
            vm
            for vm in self._pool.database.refs("VM")
            if not any(map(self._record("VM", vm).get, _HIDDEN))
        ]
        return self._rng.choice(vms[:2] if self._rng.random() < 0.4 else vms)

    def _pending(self) -> list[str]:
        return self._pool.database.find("task", "status", "pending")

    def _record(self, cls: str, ref: str) -> Record:
        return self._pool.database.row(cls, ref).record

    def _word(self) -> str:
        """Return a word that nobody has used before, so that every write changes something."""
        self._words += 1
        return f"{self._rng.choice(WORDS)} {self._words}"


_Kinds = Sequence[tuple[float, Callable[[Ideas], Sequence[Act]]]]
_HONEST: _Kinds = [
    (8.0, Ideas.edit),
    (3.0, Ideas.duel),
    (6.0, Ideas.power),
    (1.5, Ideas.copy),
    (1.5, Ideas.remove),
    (1.0, Ideas.make),
    (1.5, Ideas.mistake),
    (1.5, Ideas.denied),
    (2.0, Ideas.cancel),
    (1.5, Ideas.own_task),
    (1.0, Ideas.tell),
    (1.0, Ideas.meddle),
]
_LIES: _Kinds = [
    (1.5, Ideas.forge),
    (1.5, Ideas.borrow),
    (1.0, Ideas.impersonate),
]
"""Weights and makers."""
