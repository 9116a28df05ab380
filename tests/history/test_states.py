"""What an object was like at an instant, and how certain that is."""

from pathlib import Path

import pytest

from query.errors import NoSuchObject, NoSuchPool
from query.history.database import History
from query.load.known import Origin
from query.questions.certainty import Certainty
from query.questions.objects import find
from query.questions.states import State, state_of, states_of_class
from recorder.instant import BadInstant, Instant
from recorder.model import Mark, MarkName
from tests.history.journals import START_NS, Pool, Told, loaded, record


def history_of(tmp_path: Path, told: Told) -> History:
    return loaded(tmp_path / "history.duckdb", told.entries)


def asked(history: History, name: str, instant: Instant) -> State:
    return state_of(history, find(history, name), instant)


def at_seq(seq: int) -> Instant:
    return Instant(seq=seq)


def at_s(seq: int, after_s: float = 0.0) -> Instant:
    """The moment at which an entry was received, or some time after it."""
    return Instant(at_us=START_NS // 1000 + int((seq + after_s) * 1_000_000))


def summary(state: State) -> tuple[object, ...]:
    return state.certainty, state.exists, state.reason, state.fields.get("memory")


def test_state_is_that_of_the_last_event_before(tmp_path: Path) -> None:
    """By time or by number, to the very entry."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    done = lab.done()
    mod = lab.event("mod", "vm", "web1", record("web1", memory=2))
    gone = lab.event("del", "vm", "web1", record("web1", memory=2))
    with history_of(tmp_path, told) as history:
        known = Certainty.KNOWN
        assert summary(asked(history, "web1", at_seq(done))) == (known, True, None, 1)
        assert summary(asked(history, "web1", at_seq(mod))) == (known, True, None, 2)
        assert summary(asked(history, "web1", at_s(mod, -0.000001))) == (known, True, None, 1)
        assert summary(asked(history, "web1", at_s(mod, 0.5))) == (known, True, None, 2)
        assert summary(asked(history, "web1", at_seq(gone))) == (known, False, None, None)
        state = asked(history, "web1", at_seq(mod))
        assert (state.seq, state.origin, state.gap) == (mod, Origin.LIVE, None)
        assert summary(asked(history, "web1", at_s(gone, 60))) == (
            Certainty.LAST_KNOWN,
            False,
            "nothing is recorded of pool lab after 2023-11-14T22:13:27Z",
            None,
        )


def test_state_before_the_first_record_is_unknown(tmp_path: Path) -> None:
    """Before a pool was recorded, and before its first baseline was complete, nobody knows."""
    told = Told()
    lab = Pool(told)
    epoch = lab.register()
    (first,) = lab.chunk("vm", {"web1": record("web1")})
    done = lab.done()
    late = lab.event("mod", "vbd", "disk", {"uuid": "disk-uuid", "memory": 1})
    born = lab.event("add", "vm", "web2", record("web2"))
    with history_of(tmp_path, told) as history:
        unknown = Certainty.UNKNOWN
        since = "pool lab is recorded only since 2023-11-14T22:13:22Z (@2)"
        assert summary(asked(history, "web1", Instant(at_us=0))) == (unknown, None, since, None)
        assert summary(asked(history, "web1", at_seq(epoch - 1))) == (unknown, None, since, None)
        incomplete = "the first baseline of pool lab was not complete yet"
        assert summary(asked(history, "web1", at_seq(epoch))) == (unknown, None, incomplete, None)
        assert asked(history, "web1", at_seq(first)).certainty is Certainty.KNOWN
        assert summary(asked(history, "disk-uuid", at_seq(done))) == (
            unknown,
            None,
            f"first seen at @{late}, when it had existed for an unknown time",
            None,
        )
        assert summary(asked(history, "web2", at_seq(done))) == (
            Certainty.KNOWN,
            False,
            f"did not exist before @{born}",
            None,
        )


def test_state_inside_a_gap_is_uncertain(tmp_path: Path) -> None:
    """From the last thing recorded before the gap to the baseline that closes it."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register()
    lab.chunk("vm", {"web1": record("web1", memory=1)})
    done = lab.done()
    last = lab.event("mod", "pool", "p", record("p"))
    other = east.register()
    gap = lab.lose()
    epoch = lab.register()
    (mod,) = lab.chunk("vm", {"web1": record("web1", memory=2)})
    again = lab.done()
    closed = lab.close(gap)
    with history_of(tmp_path, told) as history:
        reason = (
            f"inside gap @{gap} (connection-lost): events may be missed from"
            " 2023-11-14T22:13:26Z to 2023-11-14T22:13:31Z"
        )
        uncertain = (Certainty.UNCERTAIN, True, reason)
        assert asked(history, "web1", at_seq(done)).certainty is Certainty.KNOWN
        assert asked(history, "web1", at_seq(last)).certainty is Certainty.KNOWN
        assert summary(asked(history, "web1", at_s(last))) == (*uncertain, 1)
        assert summary(asked(history, "web1", at_seq(other))) == (*uncertain, 1)
        assert summary(asked(history, "web1", at_seq(epoch))) == (*uncertain, 1)
        assert summary(asked(history, "web1", at_seq(mod))) == (*uncertain, 2)
        assert summary(asked(history, "web1", at_s(again, 0.9))) == (*uncertain, 2)
        assert asked(history, "web1", at_seq(again)).gap == gap
        found = asked(history, "web1", at_s(closed))
        assert summary(found) == (Certainty.KNOWN, True, None, 2)
        assert found.origin is Origin.INFERRED


def test_state_inside_an_open_gap_is_uncertain(tmp_path: Path) -> None:
    """A gap that nothing closed reaches to the end, and an object nobody saw may exist."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1")})
    lab.done()
    gap = lab.lose()
    lab.register()
    new = lab.event("add", "vm", "web2", record("web2"))
    with history_of(tmp_path, told) as history:
        reason = f"inside gap @{gap} (connection-lost), open since 2023-11-14T22:13:22Z"
        found = asked(history, "web1", at_s(told.seq, 1000))
        assert summary(found) == (Certainty.UNCERTAIN, True, reason, None)
        before = asked(history, "web2", at_seq(new - 1))
        assert summary(before) == (Certainty.UNKNOWN, None, reason, None)


def test_state_of_a_class_that_could_not_be_read_again_stays_uncertain(tmp_path: Path) -> None:
    """The end of a gap confirms only what the baseline really read."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1"), "web2": record("web2")})
    lab.done()
    gap = lab.lose()
    lab.register()
    skip = told.write("lab", Mark(MarkName.CLASS_SKIPPED, {"class": "VM", "error": "X"}))
    lab.event("mod", "vm", "web2", record("web2"))
    lab.done()
    closed = lab.close(gap)
    with history_of(tmp_path, told) as history:
        reason = f"class vm could not be read again after a gap (@{skip})"
        assert summary(asked(history, "web1", at_seq(closed))) == (
            Certainty.UNCERTAIN,
            True,
            reason,
            None,
        )
        assert asked(history, "web2", at_seq(closed)).certainty is Certainty.KNOWN
        both = states_of_class(history, "vm", at_seq(closed)).states
        assert [state.certainty.value for state in both] == ["uncertain", "known"]


def test_states_of_a_class_are_those_that_existed(tmp_path: Path) -> None:
    """In all pools or in one, by name, with a verdict on each pool."""
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    lab.register()
    lab.chunk("vm", {"b": record("web2"), "a": record("web1"), "c": record("web3")})
    lab.done()
    lab.event("del", "vm", "c", record("web3"))
    before = told.seq
    east.register()
    east.chunk("vm", {"a": record("db1")})
    east.done()
    with history_of(tmp_path, told) as history:
        answer = states_of_class(history, "VM", at_seq(told.seq), pool="lab")
        assert [state.name for state in answer.states] == ["web1", "web2"]
        assert [verdict.certainty.value for verdict in answer.verdicts] == ["last-known"]
        answer = states_of_class(history, "vm", at_seq(before))
        assert [(state.pool, state.name) for state in answer.states] == [
            ("lab", "web1"),
            ("lab", "web2"),
        ]
        assert [(v.pool, v.certainty.value, v.complete) for v in answer.verdicts] == [
            ("east", "unknown", False),
            ("lab", "known", True),
        ]
        with pytest.raises(NoSuchPool) as no_pool:
            states_of_class(history, "vm", at_seq(before), pool="west")
        assert str(no_pool.value) == "no pool is called 'west'; the history has east, lab"
        with pytest.raises(NoSuchObject) as no_class:
            states_of_class(history, "vn", at_seq(before))
        assert str(no_class.value) == "no object of class 'vn' was recorded; the history has vm"
        with pytest.raises(BadInstant) as beyond:
            states_of_class(history, "vm", at_seq(999))
        assert str(beyond.value) == f"@999 is not recorded: the history ends at @{told.seq}"
