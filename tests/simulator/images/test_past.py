"""The state of a pool out of a journal: the same rules as the history, checked against it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from query.questions.certainty import Certainty
from query.questions.states import states_of_class
from recorder.errors import ConfigError, JournalDamaged, JournalError, QueryError
from recorder.instant import Instant, parse_instant
from recorder.journal.store import Journal
from recorder.model import BaselineRecord, Entry, Mark, MarkName, Stream
from recorder.past.read import Past, read_past, record_of
from recorder.past.story import Story
from recorder.past.survey import Survey
from recorder.simulator.pool import PoolSpec, SimulatedPool
from recorder.simulator.values import DateTime
from tests.history.journals import SECOND_NS, START_NS, Pool, Told, loaded, spoil, write_journal
from tests.history.stories import STORY

POOL = {"uuid": "p-uuid", "name_label": "Lab", "master": "OpaqueRef:h1"}
HOST = {"uuid": "h-uuid", "name_label": "host1", "address": "10.0.0.1"}
DEFAULT = {"memory_static_max": 1, "power_state": "Halted"}


class World:
    """A journal with one pool of one host and some VMs, and what is served of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.told = Told()
        self.lab = Pool(self.told)

    def read_baseline(self, **vms: dict[str, object]) -> int:
        """Register and take a baseline; returns the entry that ends it."""
        self.lab.register()
        self.lab.chunk("pool", {"p1": POOL})
        self.lab.chunk("host", {"h1": HOST})
        self.lab.chunk("vm", vms)
        return self.lab.done()

    def past(self, text: str, pool: str | None = None) -> Past:
        """Write the journal and read the pool at an instant."""
        if not self.folder.exists():
            write_journal(self.folder, self.told.drafts())
        now_ns = START_NS + (self.told.seq + 60) * SECOND_NS
        return read_past(self.folder, parse_instant(text, now_ns=now_ns), pool=pool)

    def names(self, text: str) -> dict[str, object]:
        """Return what is served of the VMs: name by reference."""
        tables = self.past(text).image.tables
        return {ref: vm.get("name_label") for ref, vm in tables.get("VM", {}).items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


WITH_A_HOLE = [entry for entry in STORY.entries if entry.seq not in (21, 22, 23)]


@pytest.mark.parametrize("entries", [STORY.entries, WITH_A_HOLE], ids=["whole", "with a hole"])
@pytest.mark.parametrize("pool", ["lab", "east"])
def test_state_is_that_of_the_history(tmp_path: Path, pool: str, entries: list[Entry]) -> None:
    """At every entry of a long story with gaps: the same objects with the same records.

    Where the history knows for sure, or warns, so does the simulator. A baseline counts class by
    class, so inside a class there is nothing to compare.
    """
    story = Story(pool)
    with loaded(tmp_path / "history", entries) as history:
        for entry, after in zip(entries, [*entries[1:], None], strict=True):
            story.take(entry)
            if after is not None and isinstance(after.body, BaselineRecord):
                continue
            told = {ref: text for cls, ref, text in story.snapshots() if cls == "vm"}
            at = parse_instant(f"@{entry.seq}", now_ns=0)
            asked = states_of_class(history, "vm", at, pool=pool)
            assert sorted(told) == sorted(state.ref for state in asked.states), entry.seq
            (verdict,) = asked.verdicts
            survey = Survey.of(iter(entries), Instant(seq=entry.seq))
            if verdict.certainty is Certainty.UNKNOWN or not verdict.complete:
                with pytest.raises(QueryError, match="unknown before @"):
                    survey.check_known(pool)
            else:
                survey.check_known(pool)
                caveats = list(survey.caveats(pool, Instant(seq=entry.seq)))
                assert bool(caveats) == bool(verdict.reason), (entry.seq, verdict)


def test_state_is_the_one_of_the_instant(world: World) -> None:
    """Changes before count, changes after do not; both ways to write an instant agree."""
    done = world.read_baseline(a={"name_label": "old", **DEFAULT})
    renamed = world.lab.event("mod", "vm", "a", {"name_label": "new", **DEFAULT})
    world.lab.event("add", "vm", "b", {"name_label": "second", **DEFAULT})
    world.lab.event("del", "vm", "a", {"name_label": "new", **DEFAULT})
    assert world.names(f"@{done}") == {"OpaqueRef:a": "old"}
    assert world.names(f"@{renamed}") == {"OpaqueRef:a": "new"}
    assert world.names(f"-{60 + world.told.seq - renamed}s") == {"OpaqueRef:a": "new"}
    assert world.names("now") == {"OpaqueRef:b": "second"}


def test_nothing_is_doubtful_where_everything_was_seen(world: World) -> None:
    """No caveat means: what is served is what was."""
    done = world.read_baseline(a=DEFAULT)
    world.lab.event("mod", "vm", "a", {"name_label": "new"})
    assert world.past(f"@{done}").caveats == ()


def test_an_instant_after_the_last_entry_is_the_last_known_state(world: World) -> None:
    """Nobody knows whether the recorder only had nothing to tell."""
    world.read_baseline(a=DEFAULT)
    (caveat,) = world.past("now").caveats
    assert caveat == (
        "nothing is recorded of pool lab after 2023-11-14T22:13:29Z: this is its last known state"
    )


def test_a_gap_is_said(world: World) -> None:
    """The last state before the gap is served; that it may be outdated is told."""
    world.read_baseline(a={"name_label": "old", **DEFAULT})
    world.lab.event("mod", "vm", "a", {"name_label": "new", **DEFAULT})
    opened = world.lab.lose()
    past = world.past(f"@{opened}")
    (caveat,) = past.caveats
    assert caveat == (
        f"the instant lies in gap @{opened} (connection-lost), blind since 2023-11-14T22:13:30Z:"
        " changes may have been missed"
    )
    assert world.names(f"@{opened}") == {"OpaqueRef:a": "new"}


def test_a_gap_that_is_closed_again_casts_no_doubt(world: World) -> None:
    """A new baseline makes the state known again, and drops what went away unseen."""
    world.read_baseline(a=DEFAULT, b=DEFAULT)
    opened = world.lab.lose()
    world.read_baseline(b=DEFAULT)
    closed = world.lab.close(opened)
    assert world.past(f"@{closed}").caveats == ()
    assert list(world.names(f"@{closed}")) == ["OpaqueRef:b"]


def test_a_state_that_nobody_knows_is_refused(world: World) -> None:
    """Before the first complete baseline there is no pool to serve."""
    done = world.read_baseline(a=DEFAULT)
    with pytest.raises(QueryError) as error:
        world.past(f"@{done - 1}")
    assert str(error.value) == (
        f"the state of pool lab is unknown before @{done}, where it was read completely for the"
        " first time"
    )
    assert error.value.exit_code == 60


def _never_complete(world: World) -> str:
    world.lab.register()
    return "pool lab was never read completely: no instant can be served"


def _beyond(world: World) -> str:
    done = world.read_baseline()
    return f"@99 is not recorded: the journal ends at @{done}"


@pytest.mark.parametrize("build", [_never_complete, _beyond])
def test_an_instant_that_cannot_be_served_says_why(
    world: World, build: Callable[[World], str]
) -> None:
    """The message is the reason, with exit code 60."""
    message = build(world)
    with pytest.raises(QueryError) as error:
        world.past("@99" if "@99" in message else "now")
    assert str(error.value) == message


def test_damage_after_the_instant_is_said(world: World) -> None:
    """What is readable up to the instant is served; an instant beyond the damage is refused."""
    done = world.read_baseline(a=DEFAULT)
    write_journal(world.folder, world.told.drafts())
    lost = world.lab.event("mod", "vm", "a", {"name_label": "unreadable"})
    with Journal.open(world.folder, now_ns=lambda: START_NS) as journal:
        journal.append(world.told.drafts()[done:])
        journal.append(world.told.drafts()[:1])
    spoil(world.folder, b"unreadable")
    assert list(world.names(f"@{done}")) == ["OpaqueRef:a"]
    (caveat,) = world.past(f"@{done}").caveats
    assert caveat.startswith(f"the journal cannot be read after @{done}: ")
    with pytest.raises(JournalDamaged):
        world.past(f"@{lost}")


def test_several_pools_want_a_name(world: World) -> None:
    """One pool is served at a time; the choices are in the message."""
    world.read_baseline(a=DEFAULT)
    east = Pool(world.told, "east")
    east.register(Stream.FROM)
    with pytest.raises(QueryError, match="2 pools are recorded: say --pool with one of east, lab"):
        world.past("now")
    with pytest.raises(QueryError, match="no pool west is recorded; recorded are east, lab"):
        world.past("now", pool="west")
    assert world.past("now", pool="lab").image.name == "Lab"


def test_a_journal_without_pools_is_refused(world: World) -> None:
    """There is nothing to serve."""
    with pytest.raises(QueryError, match="the journal has no pool"):
        world.past("now")


def test_a_class_that_could_not_be_read_is_said(world: World) -> None:
    """Its objects are those from before, as far as there are any."""
    world.lab.register()
    world.told.write("lab", Mark(MarkName.CLASS_SKIPPED, {"class": "VM", "error": "no"}))
    world.lab.chunk("pool", {"p1": POOL})
    world.lab.chunk("host", {"h1": HOST})
    done = world.lab.done()
    assert world.past(f"@{done}").caveats == ("could not be read since the last gap: VM",)


def test_a_class_that_the_server_has_no_more_is_no_caveat(world: World) -> None:
    """Every xapi lists some whose methods only fail: nothing of them can be lacking."""
    world.lab.register()
    gone = {"class": "VMPP", "error": "MESSAGE_REMOVED"}
    world.told.write("lab", Mark(MarkName.CLASS_SKIPPED, gone))
    world.lab.chunk("pool", {"p1": POOL})
    world.lab.chunk("host", {"h1": HOST})
    assert world.past(f"@{world.lab.done()}").caveats == ()


def test_a_class_that_the_simulator_lacks_is_said(world: World) -> None:
    """It is left out, and not in silence."""
    world.read_baseline(a=DEFAULT)
    seq = world.lab.event("add", "hologram", "x", {"uuid": "x"})
    assert world.past(f"@{seq}").caveats == (
        "left out, for the simulator has no such class: hologram",
    )


def test_tasks_and_operations_ended_with_the_server(world: World) -> None:
    """A pool from a journal is one that has just restarted: no tasks, and nothing under way."""
    busy = {**DEFAULT, "current_operations": {"OpaqueRef:t1": "start"}}
    world.read_baseline(a=busy)
    seq = world.lab.event("add", "task", "t1", {"uuid": "t", "status": "pending"})
    image = world.past(f"@{seq}").image
    assert "task" not in image.tables
    pool = SimulatedPool.build(PoolSpec(image=image), now_s=lambda: START_NS / 1e9)
    assert pool.database.record("VM", "OpaqueRef:a")["current_operations"] == {}


def test_values_get_the_type_of_their_field(world: World) -> None:
    """Times are marked as such; numbers that came as text over XML-RPC are numbers again."""
    world.read_baseline(
        a={
            "snapshot_time": "20260102T03:04:05Z",
            "memory_target": "17",
            "HVM_shadow_multiplier": 1,
            "hue": {"deep": None},
        }
    )
    vm = world.past("now").image.tables["VM"]["OpaqueRef:a"]
    assert isinstance(vm["snapshot_time"], DateTime)
    assert vm["memory_target"] == 17
    assert repr(vm["HVM_shadow_multiplier"]) == "1.0"
    assert vm["hue"] == {"deep": ""}


@pytest.mark.parametrize("text", [b"{", b"[]"])
def test_a_record_that_is_none_is_damage(text: bytes) -> None:
    """The journal holds what the server sent; anything else is said with its class."""
    with pytest.raises(JournalError, match="the journal holds a VM"):
        record_of("VM", text)


def test_a_state_without_a_master_is_no_pool(world: World) -> None:
    """Whatever was recorded, a pool has a master among its hosts."""
    world.lab.register()
    world.lab.chunk("pool", {"p1": POOL})
    done = world.lab.done()
    with pytest.raises(ConfigError, match="names OpaqueRef:h1 as master of the pool, which is no"):
        world.past(f"@{done}")


def test_the_folder_of_the_recorder_will_do(world: World, tmp_path: Path) -> None:
    """The journal lies in the folder that `record` was given, or is that folder itself."""
    world.read_baseline(a=DEFAULT)
    assert world.past("now").seq == read_past(tmp_path, Instant(seq=world.told.seq)).seq


def test_a_folder_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """The error is the journal's own."""
    with pytest.raises(JournalError):
        read_past(tmp_path / "nothing", Instant(seq=1))
    with Journal.open(tmp_path / "empty", now_ns=lambda: START_NS):
        pass
    with pytest.raises(QueryError):
        read_past(tmp_path / "empty", Instant(seq=0))
