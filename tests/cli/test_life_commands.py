"""What people see of lives, differences, spans, moves and counts; exit codes, CSV and JSON."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.questions import Program, Ran
from tests.history.journals import Pool, Told, record, ref_of, write_journal

HERE = "2023-11-14T22:13:"  # of entry @N it is the second 20 + N


def vm(power: str, host: str, **fields: object) -> dict[str, object]:
    return {
        **record("web1", memory_static_max=2**31),
        "power_state": power,
        "resident_on": ref_of(host),
        "VBDs": [ref_of("b1")],
        **fields,
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """web1 moves and grows, its disk changes, a gap comes and goes, tmp1 comes and goes."""
    told = Told()
    lab = Pool(told)
    lab.register()  # 2
    lab.chunk("host", {"h1": record("host1"), "h2": record("host2")})
    lab.chunk("vm", {"web1": vm("Running", "h1", allowed_operations=[])})
    lab.chunk("vbd", {"b1": {"uuid": "b1-uuid", "mode": "RW"}})
    lab.done()  # 10
    lab.event("mod", "vm", "web1", vm("Running", "h2", allowed_operations=[]))  # 11
    lab.event("mod", "vbd", "b1", {"uuid": "b1-uuid", "mode": "RO"})  # 12
    lab.event("mod", "vm", "web1", vm("Running", "h2", allowed_operations=["suspend"]))  # 13
    lab.event("add", "vm", "tmp1", record("tmp1", power_state="Halted"))  # 14
    lab.event("del", "vm", "tmp1", record("tmp1", power_state="Halted"))  # 15
    gap = lab.lose()  # 16
    lab.register()  # 18
    lab.chunk("host", {"h1": record("host1"), "h2": record("host2")})
    grown = vm("Running", "h2", allowed_operations=["suspend"], memory_static_max=2**32)
    lab.chunk("vm", {"web1": grown})
    lab.chunk("vbd", {"b1": {"uuid": "b1-uuid", "mode": "RO"}})
    lab.done()
    lab.close(gap)  # 27
    assert (gap, told.seq) == (16, 27)
    folder = tmp_path_factory.mktemp("lives")
    write_journal(folder / "journal", told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def table(ran: Ran) -> list[list[str]]:
    return [line.split() for line in ran.out.splitlines()]


def cells(ran: Ran) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(ran.out)))


def test_diff_ends_with_1_if_anything_differs(run: Program) -> None:
    """Between two instants that are the same in all that counts it ends with 0."""
    differs = run("diff", "@10", "@27")
    assert differs.code == 1
    assert "memory_static_max: 2 GiB → 4 GiB" in differs.out
    assert "what changes by itself was left out (1); --all shows it" in differs.err
    same = run("diff", "@12", "@13")
    assert (same.code, same.out) == (0, "")
    assert same.err.endswith("xentrail: no other difference\n")
    assert run("diff", "@12", "@13", "--all").code == 1
    assert run("diff", "@12", "@12").err == "xentrail: no difference\n"


def test_diff_never_says_none_of_what_is_not_certain(run: Program) -> None:
    """In a gap there may be one; before the record nothing can be compared."""
    blind = run("diff", "@15", "@20", "--class", "vm")
    assert blind.code == 0
    assert "pool lab is uncertain: inside gap @16" in blind.err
    assert blind.err.endswith("no difference is known; but see above what is not certain\n")
    assert run("diff", "@15", "@20", "--strict").code == 1
    early = run("diff", "2020-01-01", "@12")
    assert (early.code, early.out) == (60, "")
    assert "cannot be compared: pool lab is recorded only since" in early.err


def test_diff_says_in_csv_and_json_how_certain_it_is(run: Program) -> None:
    """Exact values, with the entries that told them."""
    rows = cells(run("diff", "@10", "@20", "web1", "--format", "csv"))
    assert {row["certainty_before"] for row in rows} == {"known"}
    assert {row["certainty_after"] for row in rows} == {"uncertain"}
    told = json.loads(run("diff", "@13", "@27", "vm:web1", "--format", "json").out)
    (one,) = told["differences"]
    assert (one["field"], one["old"], one["new"]) == ("memory_static_max", 2**31, 2**32)
    assert (one["seq_before"], one["seq_after"]) == (13, 23)
    assert [verdict["certainty"] for verdict in told["verdicts_after"]] == ["known"]


def test_diff_of_what_was_at_neither_instant_says_so(run: Program) -> None:
    """That is not the same as that it did not change."""
    ran = run("diff", "@10", "@27", "tmp1")
    assert ran.code == 0
    assert ran.err == (
        "xentrail: lab/vm:tmp1 (uuid tmp1-uuid, gone) was there at neither instant\n"
    )
    assert run("diff", "@10", "@14", "tmp1").code == 1


def test_power_is_cut_to_the_range_and_says_what_is_presumed(run: Program) -> None:
    """The percentages leave what is presumed open; --strict makes that an error."""
    rows = table(run("power", "web1", "--since", "@11", "--until", "@27"))
    assert [" ".join(row[6:]) for row in rows[1:]] == [
        "Running @7",
        "Running (presumed, gap @16) @7",
        "Running @7",
    ]
    assert (rows[1][2], rows[-1][3]) == (f"{HERE}31Z", f"{HERE}47Z")
    summary = run("power", "web1", "--summary", "--since", "@11", "--until", "@27", "--strict")
    assert summary.code == 1
    assert table(summary)[1][2:6] == ["81.2", "to", "100", "%"]
    told = json.loads(run("power", "web1", "--since", "@11", "--format", "json").out)
    assert [row["sureness"] for row in told["rows"]] == ["known", "presumed", "known"]
    assert [row["seq"] for row in told["rows"]] == [7, 7, 7]
    assert [gap["seq"] for gap in told["gaps"]] == [16]
    (row, *_) = cells(run("power", "web1", "--format", "csv"))
    assert row["range_gaps"] == "[16]"


def test_vm_that_was_never_there_in_the_range_is_named_only_if_asked_for(run: Program) -> None:
    """One of a thousand that a backup made and deleted is no news of today."""
    assert "tmp1" in run("power").out
    assert "tmp1" not in run("power", "--since", "@17").out
    assert "(not there)" in run("power", "tmp1", "--since", "@26").out


def test_moves_by_host_and_by_pair(run: Program) -> None:
    """A start is none; the summary counts them."""
    assert table(run("moves"))[1][3:6] == ["web1", "host1", "host2"]
    assert table(run("moves", "--summary"))[1][:5] == ["lab", "host1", "host2", "1", "1"]
    assert "host1" in run("moves", "--spans", "web1").out
    both = run("moves", "--spans", "--summary")
    assert both.code == 2
    assert "give --spans or --summary, not both" in both.err
    none = run("moves", "--since", "@12")
    assert "no VM moved" in none.err


def test_top_counts_by_what_is_asked(run: Program) -> None:
    """An unknown word is refused with the words there are."""
    assert table(run("top", "--by", "class", "--until", "@15"))[1][1:3] == ["vm", "4"]
    assert run("top", "--by", "nothing").code == 2
    assert "the busiest 1; --limit shows more" in run("top", "--limit", "1").err
    assert "busiest" not in run("top").err
    assert run("events", "--changed", "--operation", "del").out.count("tmp1") == 1
    fields = json.loads(run("top", "--by", "field", "--format", "json").out)["rows"]
    assert {row["field"] for row in fields if row["class"] == "vbd"} == {"mode"}


def test_pools_say_what_is_recorded(run: Program) -> None:
    """Also what was seen of it, and the gaps."""
    (row,) = json.loads(run("pools", "--format", "json").out)["rows"]
    assert (row["pool"], row["epochs"], row["gaps"], row["vms"]) == ("lab", 2, 1, 1)
    assert 0 < row["seen_share"] < 1
    assert run("pools", "--strict").code == 1


def test_history_merges_devices_and_keeps_the_newest(run: Program) -> None:
    """`--limit` says how many steps are older; a range in a gap says that there was one."""
    assert "vbd" not in run("history", "web1").out
    assert "vbd b1: mode: RW → RO" in run("history", "web1", "--with-devices").out
    newest = run("history", "web1", "--limit", "1")
    assert "memory_static_max: 2 GiB → 4 GiB" in newest.out
    assert "resident_on" not in newest.out
    assert "older steps are left out (3); --limit shows more" in newest.err
    only = run("history", "web1", "--field", "RESIDENT_ON")
    assert "resident_on: host1 → host2" in only.out
    assert "memory_static_max" not in only.out
    blind = run("history", "web1", "--since", "@17", "--until", "@20", "--strict")
    assert blind.code == 1
    assert "gap @16 opened" in blind.out
    assert "gap @16 of pool lab" in blind.err


@pytest.mark.parametrize(
    "command",
    [
        *("events", "history web1", "power", "moves", "top", "gaps", "tasks"),
        *("report -o never.html", "export events -o never.csv"),
    ],
)
def test_range_that_is_the_wrong_way_round_is_refused(run: Program, command: str) -> None:
    """An empty answer would say that nothing happened."""
    ran = run(*command.split(), "--since", "@20", "--until", "@10")
    assert (ran.code, ran.out) == (60, "")
    assert ran.err == "xentrail: the range begins at @20, after its end at @10: swap the two\n"


@pytest.mark.parametrize("command", ["power", "moves"])
def test_only_vms_have_a_power_state(run: Program, command: str) -> None:
    """The nearest names help."""
    ran = run(command, "host1")
    assert (ran.code, ran.out) == (60, "")
    assert ran.err.startswith("xentrail: no recorded object is called 'host1'")
