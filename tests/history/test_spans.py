"""From when to when VMs were in which state, and where nobody knows."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from query.questions.moves import moves, routes
from query.questions.objects import find
from query.questions.spans import PLACE, POWER, Span, spans, uptimes
from recorder.instant import Instant
from recorder.model import GapCause
from tests.history.journals import START_NS, Pool, Told, loaded, record, ref_of

Brief = tuple[str | None, int, int, str, int | None]


def brief(told: list[Span]) -> list[Brief]:
    """Return value, begin and end in seconds since the start, how sure, and the gap."""
    return [
        (
            one.value if one.exists else "absent",
            round(one.since.timestamp() - START_NS / 1e9),
            round(one.until.timestamp() - START_NS / 1e9),
            one.sureness.value,
            one.gap,
        )
        for one in told
    ]


def at_s(seconds: float) -> Instant:
    return Instant(at_us=START_NS // 1000 + round(seconds * 1e6))


def vm(name: str, power: str, **fields: object) -> dict[str, object]:
    return {**record(name), "power_state": power, **fields}


@pytest.fixture
def told() -> Told:
    """web1 starts, stays as it is across a gap, and is found halted after another."""
    told = Told()
    lab = Pool(told)
    lab.register()  # 2
    lab.chunk("vm", {"web1": vm("web1", "Halted"), "tpl": vm("tpl", "Halted", is_a_template=True)})
    lab.done()  # 6
    lab.event("mod", "vm", "web1", vm("web1", "Running"))  # 7
    first = lab.lose()  # 8, blind from 7
    lab.register()  # 10
    lab.chunk("vm", {"web1": vm("web1", "Running"), "tpl": vm("tpl", "Halted", is_a_template=True)})
    lab.done()
    lab.close(first)  # blind until 10
    lab.event("add", "vm", "web2", vm("web2", "Running"))  # 16
    second = lab.lose(GapCause.EVENTS_LOST)  # 17, blind from 16
    lab.register()  # 19
    lab.chunk("vm", {"web1": vm("web1", "Halted"), "web2": vm("web2", "Running")})  # 21
    lab.done()
    lab.close(second)
    assert (first, second, told.seq) == (8, 17, 24)
    return told


def test_spans_know_what_was_seen_and_presume_the_rest(told: Told, tmp_path: Path) -> None:
    """A state that is another after a gap is unknown until it was told."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = spans(history, POWER, found=find(history, "web1"))
        assert brief(found) == [
            (None, 2, 4, "unknown", None),
            ("Halted", 4, 7, "known", None),
            ("Running", 7, 10, "presumed", 8),
            ("Running", 10, 16, "known", None),
            (None, 16, 21, "unknown", 17),
            ("Halted", 21, 24, "known", None),
        ]
        assert [one.seq for one in found] == [None, 4, 7, 7, None, 21]
        assert brief(spans(history, POWER, found=find(history, "web2")))[:2] == [
            ("absent", 2, 7, "known", None),
            (None, 7, 10, "unknown", 8),
        ]
        assert {one.name for one in spans(history, POWER)} == {"web1", "web2"}
        assert {one.name for one in spans(history, POWER, everything=True)} == {
            "web1",
            "web2",
            "tpl",
        }


def test_range_cuts_spans(told: Told, tmp_path: Path) -> None:
    """A span that began before is cut at the beginning; outside of the record nobody knows."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        web1 = find(history, "web1")
        assert brief(spans(history, POWER, found=web1, since=at_s(5), until=at_s(6))) == [
            ("Halted", 5, 6, "known", None)
        ]
        assert brief(spans(history, POWER, found=web1, since=at_s(22), until=at_s(30))) == [
            ("Halted", 22, 24, "known", None),
            (None, 24, 30, "unknown", None),
        ]
        by_seq = spans(history, POWER, found=web1, since=Instant(seq=4), until=Instant(seq=7))
        assert brief(by_seq) == [("Halted", 4, 7, "known", None)]


def test_uptime_has_a_lower_and_an_upper_bound(told: Told, tmp_path: Path) -> None:
    """What is unknown or presumed counts neither as up nor as down."""
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (one,) = uptimes(spans(history, POWER, found=find(history, "web1")))
        assert (one.running_s, one.halted_s, one.unsure_s, one.total_s) == (6, 6, 10, 22)
        assert (one.up_at_least, one.up_at_most) == (6 / 22, 16 / 22)
        assert one.changes == 2


def made_life(seed: int) -> Told:
    """Return a journal of one pool in which everything happens that spans depend on."""
    rng = random.Random(seed)
    told = Told()
    lab = Pool(told)
    states = {f"vm{index}": "Halted" for index in range(3)}
    lab.register()
    lab.chunk("vm", {name: vm(name, state) for name, state in states.items()})
    lab.done()
    for _ in range(rng.randrange(2, 25)):
        name = rng.choice([*states, f"vm{len(states)}"])
        state = rng.choice(["Halted", "Running", "Paused"])
        match rng.randrange(6):
            case 0:
                gap = lab.lose()
                if rng.random() < 0.5:
                    states[name] = state
                lab.register()
                lab.chunk("vm", {one: vm(one, at) for one, at in states.items()})
                lab.done()
                lab.close(gap)
            case 1 if name in states and len(states) > 1:
                lab.event("del", "vm", name, vm(name, states.pop(name)))
            case _:
                lab.event("mod" if name in states else "add", "vm", name, vm(name, state))
                states[name] = state
    if rng.random() < 0.3:
        lab.lose()
    return told


@pytest.mark.parametrize("seed", range(25))
def test_spans_cover_the_range_and_never_overlap(seed: int, tmp_path: Path) -> None:
    """Whatever happened; and where they claim to know, they say what was told."""
    told = made_life(seed)
    rng = random.Random(seed)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        begin, end = sorted(rng.sample(range(told.seq + 3), 2))
        for since, until in ((None, None), (at_s(begin), at_s(end))):
            found = spans(history, POWER, since=since, until=until)
            by_vm: dict[str, list[Span]] = {}
            for one in found:
                by_vm.setdefault(one.ref, []).append(one)
            assert by_vm
            for own in by_vm.values():
                assert all(one.until == other.since for one, other in pairwise(own))
                assert {own[0].since, own[-1].until} == {found[0].since, found[-1].until}
                total = (own[-1].until - own[0].since).total_seconds()
                assert sum(one.duration_s for one in own) == pytest.approx(total)
                for one in own:
                    assert (one.value is None) == (one.seq is None or not one.exists)


def test_moves_have_their_migration(tmp_path: Path) -> None:
    """A start is no move; the task under way says how long it took."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("host", {"h1": record("host1"), "h2": record("host2")})
    nowhere = vm("web1", "Halted", resident_on="OpaqueRef:NULL", current_operations={})
    lab.chunk("vm", {"web1": nowhere})
    lab.done()
    here = {**nowhere, "power_state": "Running", "resident_on": ref_of("h1")}
    lab.event("mod", "vm", "web1", here)
    times = {"created": "20231114T22:13:21Z", "finished": "19700101T00:00:00Z", "uuid": "t"}
    task = {"name_label": "Async.VM.pool_migrate", "status": "pending", **times}
    lab.event("add", "task", "t1", task)
    busy = {**here, "current_operations": {ref_of("t1"): "pool_migrate"}}
    lab.event("mod", "vm", "web1", busy)
    move = lab.event("mod", "vm", "web1", {**busy, "resident_on": ref_of("h2")})
    done = {**task, "status": "success", "finished": "20231114T22:13:33Z"}
    lab.event("mod", "task", "t1", done)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (one,) = moves(history)
        assert (one.seq, one.from_host, one.to_host, one.task, one.duration_s) == (
            move,
            "host1",
            "host2",
            ref_of("t1"),
            12.0,
        )
        (route,) = routes(history, pool="lab")
        assert (route.moves, route.vms, route.median_s, route.longest_s) == (1, 1, 12.0, 12.0)
        assert moves(history, since=Instant(seq=move + 1)) == []
        places = spans(history, PLACE, found=find(history, "web1", cls="vm"))
        assert [one.value for one in places][-2:] == [ref_of("h1"), ref_of("h2")]
