"""A pool at work, written by hand: tasks with their records, and objects that carry them."""

from dataclasses import dataclass, field

from tests.history.journals import START_NS, Pool, Record, Told, record, ref_of

NEVER = "19700101T00:00:00Z"
START_S = START_NS // 1_000_000_000


def iso(after_s: int) -> str:
    """Return a time so many seconds after the journal's begin, as the server writes it."""
    import time

    return time.strftime("%Y%m%dT%H:%M:%SZ", time.gmtime(START_S + after_s))


def task(name: str, status: str = "pending", /, **fields: object) -> dict[str, object]:
    """Return a task's record, created when the journal begins."""
    base: dict[str, object] = {
        "created": iso(0),
        "finished": NEVER,
        "progress": 0.0,
        "result": "",
        "error_info": [],
        "subtask_of": "OpaqueRef:NULL",
    }
    return {**record(name), **base, "status": status, **fields}


def working(name: str, *tasks: str, does: str = "start", **fields: object) -> Record:
    """Return the record of an object that carries tasks."""
    return record(name, current_operations={ref_of(one): does for one in tasks}, **fields)


@dataclass
class Lab:
    """The pool `lab`, recorded from the beginning, with the tasks that were there."""

    told: Told = field(default_factory=Told)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Pool(self.told)
        self.pool.register()
        self.pool.chunk("vm", {"web1": working("web1"), "web2": working("web2")})
        self.pool.chunk("host", {"h1": working("host1")})
        self.pool.chunk("task", {})
        self.pool.done()

    def add(self, ref: str, name: str, **fields: object) -> int:
        """A task begins."""
        return self._tell("add", ref, task(name, **fields))

    def step(self, ref: str, name: str, **fields: object) -> int:
        """A task gets on."""
        return self._tell("mod", ref, task(name, **fields))

    def end(self, ref: str, name: str, status: str = "success", /, **fields: object) -> int:
        """A task completes."""
        end: dict[str, object] = {"finished": iso(self.told.seq), "progress": 1.0, **fields}
        return self._tell("mod", ref, task(name, status, **end))

    def gone(self, ref: str, name: str, status: str = "success", /, **fields: object) -> int:
        """A task is deleted, with its last record."""
        return self._tell("del", ref, task(name, status, **{"progress": 1.0, **fields}))

    def _tell(self, operation: str, ref: str, fields: dict[str, object]) -> int:
        return self.pool.event(operation, "task", ref, {**fields, "uuid": f"{ref}-uuid"})
