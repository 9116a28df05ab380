"""The command that measures everything: its page, pictures, tables, and wrong inputs."""

import json
import logging
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.bench import __main__ as command
from tests.bench.chapter import Bench, Chapter, Figure, Limit, by_turns, number, ratio

COUNTS = ("1", "10", "200")


def measure(bench: Bench) -> Chapter:
    """Measure what is known beforehand."""
    chapter = Chapter("Everybody counts.", "Fingers.")
    for what, ours, theirs in (("small", 20.0, 2.0), ("a | b", 400.0, 4.0)):
        for who, value in (("xentrail", ours), ("abacus", theirs)):
            values = [value * (1 + round_ / 10) for round_ in range(bench.rounds)]
            chapter.figures.append(Figure.of(what, who, "counts/s", values))
    for count in COUNTS:
        chapter.figures.append(Figure.of(count, "xentrail", "MB", [float(count)] * bench.rounds))
    upper, lower = (chapter.find("small", who, "counts/s") for who in ("xentrail", "abacus"))
    chapter.verdicts.append(ratio("faster", upper, lower, Limit("at least", 10)))
    chapter.verdicts.append(ratio("much faster", upper, lower, Limit("at least", 11)))
    chapter.remarks.append("the slide rule is absent")
    return chapter


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one chapter only, which takes no time."""
    module = ModuleType("tests.bench.counting")
    module.__dict__.update(TITLE="Counting", measure=measure)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(command, "CHAPTERS", ("counting",))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    try:
        with pytest.raises(SystemExit) as ended:
            command.main()
    finally:
        logging.disable(logging.NOTSET)  # the tests after this one look at what is logged
    return ended.value.code


@pytest.mark.usefixtures("counting")
def test_page_pictures_and_json_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, plain = tmp_path / "BENCHMARKS.md", tmp_path / "all.json"

    assert run(monkeypatch, "--output", page, "--json", plain) == 1, "one limit is missed"

    told = capsys.readouterr().out
    assert "faster       10.0 (10.0 … 10.0) x  at least 10.0  reached" in told
    assert "much faster  10.0 (10.0 … 10.0) x  at least 11.0  missed" in told
    text = page.read_text(encoding="utf-8")
    assert "| a \\| b | 480 (400 … 560) | 4.80 (4.00 … 5.60) |" in text
    assert "- the slide rule is absent" in text
    pictures = sorted(tmp_path.glob("tests/bench/pictures/*.svg"))
    assert [path.name for path in pictures] == [
        f"counting-{unit}-{look}.svg" for unit in ("counts-s", "mb") for look in ("dark", "light")
    ]
    for path in pictures:
        assert str(path.relative_to(tmp_path)) in text
        ElementTree.parse(path)  # noqa: S314  # it is ours
    (chapter,) = json.loads(plain.read_text(encoding="utf-8"))["chapters"].values()
    assert chapter["figures"][0]["spread"]["values"] == [20.0, 22.0, 24.0, 26.0, 28.0]


@pytest.mark.usefixtures("counting")
def test_quick_run_leaves_the_page_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "ROOT", tmp_path)
    run(monkeypatch, "--quick")
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
def test_every_chapter_measures_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Timings are not asserted: a limit that is missed, as on a busy machine, ends with 1."""
    page = tmp_path / "BENCHMARKS.md"
    assert run(monkeypatch, "--quick", "--output", page) in (0, 1)
    told = capsys.readouterr().out
    for name in command.CHAPTERS:
        assert f"{name}\n" in told
        assert list(tmp_path.glob(f"tests/bench/pictures/{name}-*.svg"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nothing"], "no chapter is called 'nothing'"), (["--rounds", "0"], "must be 1 or more")],
)
def test_wrong_inputs_are_named(
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert told in capsys.readouterr().err


def test_rivals_take_turns(tmp_path: Path) -> None:
    done: list[str] = []
    bench = Bench(tmp_path, rounds=3, quick=True, say=done.append)
    works = [(name, lambda name=name: name) for name in ("a", "b")]

    assert by_turns(bench, works) == {"a": ["a"] * 3, "b": ["b"] * 3}

    assert [line[-1] for line in done] == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (45.67, "45.7"), (12345.6, "12,346")],
)
def test_numbers_have_digits_that_say_something(value: float, told: str) -> None:
    assert number(value) == told
