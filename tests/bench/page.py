"""What was measured, told: a table of ratios for the screen, BENCHMARKS.md, and JSON."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.chapter import OURS, Chapter, Figure, Spread, Verdict, number
from tests.bench.drawing import draw
from tests.bench.place import Place

PICTURES = Path("tests/bench/pictures")
HEAD = """# Benchmarks

xentrail beside the tools that people use for the same work, measured in one run on one machine. One
command measures all of it again and writes this page:

```sh
.venv/bin/python -m tests.bench
```

`--quick` takes a sixth of the time, for a first look; `python -m tests.bench --help` says more.
"""
HOW = """What is compared ran in the same run and by turns, each in a process of its own: what
disturbs the machine disturbs all of it. Every figure is the median of {rounds} rounds, with the
smallest and the largest beside it. A ratio is taken round by round, of two that ran side by side.
"""


def _spread(spread: Spread) -> str:
    """Write median and range."""
    if len(spread.values) == 1:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} … {number(spread.high)})"


def _limit(verdict: Verdict) -> str:
    return f"{verdict.limit.bound} {number(verdict.limit.value)}" if verdict.limit else ""


def _held(verdict: Verdict) -> str:
    return {None: "", True: "reached", False: "missed"}[verdict.holds]


def table_of_verdicts(name: str, chapter: Chapter) -> str:
    """Return the verdicts of a chapter as lines for a screen."""
    rows = [
        (v.what, f"{_spread(v.spread)} {v.unit}", _limit(v), _held(v)) for v in chapter.verdicts
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines = [f"{name}\n"]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(("  " + "  ".join(cells)).rstrip() + "\n")
    lines += [f"  note: {remark}\n" for remark in chapter.remarks]
    return "".join(lines)


def as_json(where: Place, chapters: Mapping[str, Chapter]) -> dict[str, object]:
    """Return everything, each round's value among it."""
    return {"place": asdict(where), "chapters": {name: asdict(c) for name, c in chapters.items()}}


def page(path: Path, where: Place, chapters: Mapping[str, Chapter]) -> None:
    """Write the page, and its pictures into the folder beside it."""
    parts = [HEAD, _table("At a glance", _glance(chapters)), *_place(where, chapters)]
    for name, chapter in chapters.items():
        pictures = draw(name, chapter, path.parent / PICTURES)
        parts += _chapter(name, chapter, pictures)
    path.write_text("\n".join(parts), encoding="utf-8")


def _glance(chapters: Mapping[str, Chapter]) -> Iterator[Sequence[str]]:
    """Yield the rows that are held against a limit."""
    yield "", "measured", "to reach", ""
    for name, chapter in chapters.items():
        for v in chapter.verdicts:
            if v.limit:
                yield f"{name}: {v.what}", f"{_spread(v.spread)} {v.unit}", _limit(v), _held(v)


def _place(where: Place, chapters: Mapping[str, Chapter]) -> Iterator[str]:
    rounds = {len(f.spread.values) for chapter in chapters.values() for f in chapter.figures}
    yield "## Where and how\n"
    yield HOW.format(rounds=_either(sorted(rounds)))
    yield f"- Machine: {where.machine}; measured on {where.day}, at {where.commit}."
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    yield f"- Versions: {versions}.\n"


def _either(counts: Sequence[int]) -> str:
    return " or ".join(str(count) for count in counts)


def _chapter(name: str, chapter: Chapter, pictures: Sequence[str]) -> Iterator[str]:
    title = importlib.import_module(f"tests.bench.{name}").TITLE
    yield f"## {title}\n"
    yield f"{chapter.work.strip()}\n"
    for picture in pictures:
        alt = f"{title}: {picture.removeprefix(name).replace('-', ' ').strip()}"
        light, dark = (PICTURES / f"{picture}-{look}.svg" for look in ("light", "dark"))
        yield (
            f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img alt="{alt}" src="{light}"></picture>\n'
        )
    if chapter.verdicts:
        rows = [("", "measured", "to reach", "")]
        rows += [
            (v.what, f"{_spread(v.spread)} {v.unit}", _limit(v), _held(v)) for v in chapter.verdicts
        ]
        yield _table("", iter(rows))
    for unit in dict.fromkeys(figure.unit for figure in chapter.figures):
        yield _table("", _figures([f for f in chapter.figures if f.unit == unit], unit))
    yield f"**The limit.** {chapter.bound.strip()}\n"
    yield from (f"- {remark}" for remark in chapter.remarks)
    if chapter.remarks:
        yield ""


def _figures(figures: Sequence[Figure], unit: str) -> Iterator[Sequence[str]]:
    """Yield a table of one unit: what was done by row, who did it by column."""
    whos = dict.fromkeys(figure.who for figure in figures)
    yield unit, *(f"**{who}**" if who == OURS else who for who in whos)
    for what in dict.fromkeys(figure.what for figure in figures):
        by_who = {f.who: _spread(f.spread) for f in figures if f.what == what}
        yield what, *(by_who.get(who, "") for who in whos)


def _table(title: str, rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table; its first row is the head, and numbers stand to the right."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = [":--", *("--:" for _ in head[1:])]
    lines = [f"| {' | '.join(row)} |\n" for row in [head, rule, *body]]
    return (f"## {title}\n\n" if title else "") + "".join(lines)
