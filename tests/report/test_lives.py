"""Power states and hosts over time: what is drawn as known was known."""

from pathlib import Path

import pytest

from query.history.database import History, open_for_loading, open_for_reading
from query.load.scrub import scrub
from query.questions.certainty import Certainty
from query.questions.objects import find
from query.questions.states import state_of, states_of_class
from query.report.coverage import coverage_of
from query.report.lives import Lives, Stay, VmLife, lives_of
from query.report.period import period_of
from recorder.instant import Instant
from recorder.model import Mark, MarkName
from tests.history.journals import record
from tests.report.stories import Days, a_day, vm


def lives(
    history: History,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    vms_max: int = 36,
) -> Lives:
    period = period_of(history, since, until)
    return lives_of(history, "lab", period, coverage_of(history, "lab", period), vms_max=vms_max)


def life(told: Lives, ref: str) -> VmLife:
    return next(one for one in told.vms if one.ref == f"OpaqueRef:{ref}")


def told_at(stays: list[Stay], at_us: int) -> list[str | None]:
    return values([stay for stay in stays if stay.begin_us <= at_us < stay.end_us])


def values(stays: list[Stay]) -> list[str | None]:
    """Return what was told, without the time in which nobody had read the VM yet."""
    return [stay.value for stay in stays if stay.seq is not None]


def test_stays_agree_with_the_state_at_every_instant(tmp_path: Path) -> None:
    """Half a second after each entry: what is known is the same, and in a gap nothing is."""
    days, seen = a_day(), set()
    with days.history(tmp_path) as history:
        told = lives(history)
        for seq in range(3, days.told.seq):
            at_us = days.us(seq) + 500_000
            answer = states_of_class(history, "vm", Instant(at_us=at_us))
            certainty = answer.verdicts[0].certainty
            states = {state.name: state.fields["power_state"] for state in answer.states}
            for name in ("web1", "web2", "db1"):
                powers = told_at(life(told, name).power, at_us)
                assert len(powers) == (name in states)
                if certainty is Certainty.KNOWN:
                    assert powers == [states[name]] if name in states else not powers
                elif any(gap.begin_us <= at_us < gap.end_us for gap in told.doubts):
                    assert powers == [None]
            seen.add(certainty)
    assert seen == {Certainty.KNOWN, Certainty.UNCERTAIN}


def test_stays_are_cut_where_a_gap_begins_and_ends(tmp_path: Path) -> None:
    """After the gap the same evidence stands; what changed in it is unknown until it was told."""
    days = a_day()
    with days.history(tmp_path) as history:
        told = lives(history)
    (doubt,) = told.doubts
    before, within, after = life(told, "web1").power[-3:]
    assert (before.value, within.value, after.value) == ("Running", None, "Running")
    assert (before.seq, within.seq, after.seq) == (before.seq, doubt.seq, before.seq)
    assert (within.begin_us, within.end_us) == (doubt.begin_us, doubt.end_us)
    assert (before.end_us, after.begin_us) == (doubt.begin_us, doubt.end_us)
    assert (before.presumed, within.presumed) == (None, "Running")
    within, halted = life(told, "web2").power[-2:]
    assert (within.value, within.presumed, halted.value) == (None, None, "Halted")
    assert halted.seq is not None
    assert within.end_us == halted.begin_us == days.us(halted.seq) > doubt.end_us


def test_hosts_are_named_and_left_out_where_a_vm_is_on_none(tmp_path: Path) -> None:
    """A migration is two stays; a halted or suspended VM is on no host."""
    days = a_day()
    with days.history(tmp_path) as history:
        told = lives(history)
    hosts = values(life(told, "web1").hosts)
    assert hosts == ["host h1", "host h2", None, "host h2"]
    assert life(told, "db1").power[-1].value == "Suspended"
    assert life(told, "db1").hosts[-1].end_us == life(told, "db1").power[-1].begin_us


def test_state_before_the_period_reaches_into_it(tmp_path: Path) -> None:
    """What was told long ago holds from the begin of the period on, with its evidence."""
    days = a_day()
    with days.history(tmp_path) as history:
        told = lives(history, since=Instant(seq=13), until=Instant(seq=17))
    (web2,) = life(told, "web2").power
    assert (web2.value, web2.begin_us, web2.end_us) == ("Running", days.us(13), days.us(17))
    assert web2.seq == 10
    assert life(told, "web1").turns == 1


def test_only_vms_that_were_there_are_told_of(tmp_path: Path) -> None:
    """No templates, snapshots and control domains, nor what went before the period."""
    days = Days()
    days.lab.register()
    odd = ("is_a_template", "is_a_snapshot", "is_control_domain")
    records = {name: {**vm(name, "Halted"), name: True} for name in odd}
    days.lab.chunk("vm", {**records, "web1": vm("web1", "Running"), "old": vm("old", "Halted")})
    days.lab.done()
    days.lab.event("del", "vm", "old", vm("old", "Halted"))
    days.quiet(2)
    with days.history(tmp_path) as history:
        assert sorted(one.name for one in lives(history).vms) == ["old", "web1"]
        later = lives(history, since=Instant(at_us=days.us(days.told.seq - 1)))
        assert [one.name for one in later.vms] == ["web1"]


def test_redacted_state_is_not_known(tmp_path: Path) -> None:
    """Until another entry tells of it; a redacted entry without a new state changes nothing."""
    days = Days()
    days.begin(web1=("Halted", None))
    changed = days.turn("web1", "Running", "h1")
    days.quiet(1)
    days.turn("web1", "Paused", "h1")
    other = days.lab.event("mod", "vm", "web1", {**vm("web1", "Paused", "h1"), "memory": 2})
    days.quiet(1)
    days.history(tmp_path).close()
    with open_for_loading(tmp_path / "history.duckdb") as history:
        scrub(history, changed)
        scrub(history, other)
    with open_for_reading(tmp_path / "history.duckdb") as history:
        (web1,) = lives(history).vms
    assert [stay.value for stay in web1.power[1:]] == ["Halted", None, "Paused"]
    assert values(web1.hosts) == []  # that it is the same is known, not which


def test_class_that_was_not_read_again_stays_unknown(tmp_path: Path) -> None:
    """Beyond the end of the gap, until an event tells of the VM."""
    days = Days()
    days.begin(web1=("Running", "h1"), web2=("Running", "h1"))
    days.quiet(1)
    gap = days.lab.lose()
    days.lab.register()
    detail = {"class": "VM", "error": "PERMISSION_DENIED"}
    skipped = days.told.write("lab", Mark(MarkName.CLASS_SKIPPED, detail))
    days.lab.chunk("host", {"h1": record("host h1"), "h2": record("host h2")})
    days.lab.done()
    days.lab.close(gap)
    days.quiet(2)
    days.turn("web1", "Paused", "h1")
    days.quiet(2)
    with days.history(tmp_path) as history:
        told = lives(history)
        at_us = days.us(days.told.seq) - 500_000
        state = state_of(history, find(history, "vm:web2"), Instant(at_us=at_us))
    assert state.certainty is Certainty.UNCERTAIN
    assert values(life(told, "web1").power) == ["Running", None, "Paused"]
    assert values(life(told, "web2").power) == ["Running", None, None]  # gap, skip
    late = lives_after(days, tmp_path, told.doubts[0].end_us)
    assert [(stay.value, stay.seq) for stay in life(late, "web2").power] == [(None, skipped)]


def lives_after(days: Days, folder: Path, at_us: int) -> Lives:
    with open_for_reading(folder / "history.duckdb") as history:
        return lives(history, since=Instant(at_us=at_us))


def test_busiest_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    """Those whose state turned most come first, then those with most other changes, then names."""
    days = Days()
    days.begin(**{f"vm{i}": ("Halted", None) for i in range(5)})
    days.turn("vm3", "Running", "h1")
    days.turn("vm3", "Halted")
    days.turn("vm4", "Running", "h1")
    days.lab.event("mod", "vm", "vm2", {**vm("vm2", "Halted"), "memory": 1})
    with days.history(tmp_path) as history:
        told = lives(history, vms_max=4)
    assert [one.name for one in told.vms] == ["vm3", "vm4", "vm2", "vm0"]
    assert told.left_out == 1
    assert [one.turns for one in told.vms] == [4, 2, 0, 0]  # power state and host


def test_open_gap_reaches_to_the_end_of_the_period(tmp_path: Path) -> None:
    """Nothing is known from its begin on, also beyond the end of the record."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    days.quiet(2)
    days.lab.lose()
    later = Instant(at_us=days.us(days.told.seq) + 60_000_000)
    with days.history(tmp_path) as history:
        told = lives(history, until=later)
    (doubt,) = told.doubts
    assert doubt.end_us == later.at_us
    assert life(told, "web1").power[-1].value is None


@pytest.mark.parametrize("power", ["<b>Odd</b>", "", "Running"])
def test_power_states_are_told_as_the_server_told_them(power: str, tmp_path: Path) -> None:
    """Also one that xapi does not have."""
    days = Days()
    days.begin(web1=(power, None))
    days.quiet(1)
    with days.history(tmp_path) as history:
        assert values(life(lives(history), "web1").power) == [power]
