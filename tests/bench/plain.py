"""A chapter as plain lines, for scripts that measure a part of one, or more than one has."""

import sys

from tests.bench.chapter import Chapter, Figure, Verdict


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(chapter: Chapter) -> bool:
    """Print all figures and verdicts of a chapter; return whether each is within its limit."""
    for figure in sorted(chapter.figures, key=lambda figure: figure.unit):
        say(_of_figure(figure))
    for verdict in chapter.verdicts:
        say(_of_verdict(verdict))
    for remark in chapter.remarks:
        say(remark)
    return all(verdict.holds is not False for verdict in chapter.verdicts)


def _of_figure(figure: Figure) -> str:
    spread = figure.spread
    values = f"{spread.median:14,.3f} ({spread.low:,.3f} to {spread.high:,.3f})"
    return f"{figure.what:36s} {figure.who:30s} {values} {figure.unit}"


def _of_verdict(verdict: Verdict) -> str:
    spread, limit = verdict.spread, verdict.limit
    asked = "" if limit is None else f"{limit.bound} {limit.value:g}"
    found = {None: "", True: "ok", False: "MISSED"}[verdict.holds]
    values = f"{spread.median:14,.3f} ({spread.low:,.3f} to {spread.high:,.3f})"
    return f"{verdict.what:67s} {values} {verdict.unit:10s} {asked:16s} {found}"
