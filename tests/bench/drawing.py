"""The pictures of the page: bars of rivals side by side, or lines over a number; light and dark.

A picture shows the figures of one unit. Bars begin at 0 unless the rivals are so far apart that the
smaller ones could not be seen; then the scale is logarithmic, and says so. The thin line across the
end of a bar reaches from the smallest to the largest round.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import altair as alt
import vl_convert

from tests.bench.chapter import OURS, Chapter, Figure, number

FAR_APART = 12.0
"""Between the largest and the smallest of a picture; beyond this the scale is logarithmic."""
FIGURES_MIN = 2
_WIDTH_PX = 560
_SLOT_PX = 13
"""The least height of a bar: the numbers of two neighbours stand below each other then. Also who
has no figure in a group keeps the place of one."""
_PADDING_PX = {"left": 24, "top": 8, "right": 16, "bottom": 10}
_LABEL = "datum.value < 10000 ? format(datum.value, ',~r') : format(datum.value, '~s')"
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, sans-serif"


@dataclass(frozen=True, slots=True)
class Look:
    """Colours for a background that the reader chose."""

    name: str
    back: str
    text: str
    grid: str
    ours: str
    rivals: tuple[str, ...]


LOOKS = (
    Look(
        "light",
        back="#ffffff",
        text="#24292f",
        grid="#d8dee4",
        ours="#c2410c",
        rivals=("#57606a", "#0969da", "#1a7f64", "#8250df", "#9a6700", "#8c959f"),
    ),
    Look(
        "dark",
        back="#0d1117",
        text="#e6edf3",
        grid="#30363d",
        ours="#fb923c",
        rivals=("#8b949e", "#58a6ff", "#56d4b0", "#bc8cff", "#d29922", "#6e7681"),
    ),
)


def draw(name: str, chapter: Chapter, folder: Path) -> list[str]:
    """Write the pictures of a chapter; return their names, without look and ending."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for unit in dict.fromkeys(figure.unit for figure in chapter.figures):
        figures = [figure for figure in chapter.figures if figure.unit == unit]
        if len(figures) < FIGURES_MIN:
            continue
        picture = f"{name}-{_slug(unit)}"
        for look in LOOKS:
            svg = vl_convert.vegalite_to_svg(_chart(figures, unit, look).to_json())
            (folder / f"{picture}-{look.name}.svg").write_text(svg + "\n", encoding="utf-8")
        names.append(picture)
    return names


def _slug(unit: str) -> str:
    ascii_only = unit.lower().replace("µ", "u")
    return re.sub("[^a-z0-9]+", "-", ascii_only).strip("-")


def _chart(figures: Sequence[Figure], unit: str, look: Look) -> alt.LayerChart | alt.Chart:
    whos = list(dict.fromkeys(figure.who for figure in figures))
    colours = alt.Scale(domain=whos, range=_colours(whos, look))
    data = alt.InlineData(values=[_row(figure) for figure in figures])
    numeric = all(_is_number(figure.what) for figure in figures)
    chart = (_lines if numeric else _bars)(data, figures, unit, colours)
    return _dressed(chart, look)


def _row(figure: Figure) -> dict[str, str | float]:
    spread = figure.spread
    return {
        "what": figure.what,
        "x": _place(figure) if _is_number(figure.what) else 0.0,
        "who": figure.who,
        "median": spread.median,
        "low": spread.low,
        "high": spread.high,
        "told": number(spread.median),
    }


def _place(figure: Figure) -> float:
    return float(figure.what.replace(",", ""))


def _is_number(text: str) -> bool:
    return text.replace(",", "").isdecimal()


def _colours(whos: Sequence[str], look: Look) -> list[str]:
    """Return a colour for each: ours is always the same."""
    rivals = iter(look.rivals)
    return [look.ours if who == OURS else next(rivals) for who in whos]


@dataclass(frozen=True, slots=True)
class _Measure:
    """The axis of what was measured: from where to where, and whether it is logarithmic."""

    title: str
    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, figures: Sequence[Figure], unit: str) -> "_Measure":
        lows = [figure.spread.low for figure in figures]
        high = max(figure.spread.high for figure in figures)
        medians = [figure.spread.median for figure in figures]
        if min(lows) > 0 and max(medians) / min(medians) > FAR_APART:
            return cls(f"{unit} (logarithmic)", min(lows) / 2, high * 2, is_log=True)
        return cls(unit, 0.0, high * 1.1, is_log=False)

    @property
    def scale(self) -> alt.Scale:
        kind: Literal["log", "linear"] = "log" if self.is_log else "linear"
        return alt.Scale(type=kind, domain=[self.low, self.high], nice=False, zero=False)

    @property
    def axis(self) -> alt.Axis:
        if not self.is_log:
            return alt.Axis(tickCount=6, labelExpr=_LABEL)
        decades = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return alt.Axis(values=[10.0**decade for decade in decades], labelExpr=_LABEL)


def _bars(
    data: alt.InlineData, figures: Sequence[Figure], unit: str, colours: alt.Scale
) -> alt.LayerChart:
    measure = _Measure.of(figures, unit)
    whats = list(dict.fromkeys(figure.what for figure in figures))
    whos = list(dict.fromkeys(figure.who for figure in figures))
    base = alt.Chart(data).encode(
        y=alt.Y("what:N", sort=whats, title=None, axis=alt.Axis(labelLimit=300, ticks=False)),
        yOffset=alt.YOffset("who:N", sort=whos),
    )
    bars = base.mark_bar().encode(
        x=alt.X("median:Q", title=measure.title, scale=measure.scale, axis=measure.axis),
        x2=alt.X2Datum(measure.low),
        color=alt.Color("who:N", scale=colours, sort=whos, title=None),
    )
    rules = base.mark_rule(strokeWidth=1).encode(x="low:Q", x2="high:Q")
    texts = base.mark_text(align="left", dx=5, fontSize=10).encode(x="high:Q", text="told:N")
    height = max(16 * len(figures) + 12 * len(whats), _SLOT_PX * len(whats) * len(whos))
    return alt.LayerChart(layer=[bars, rules, texts]).properties(width=_WIDTH_PX, height=height)


def _lines(
    data: alt.InlineData, figures: Sequence[Figure], unit: str, colours: alt.Scale
) -> alt.LayerChart:
    measure = _Measure.of(figures, unit)
    places = sorted({_place(figure) for figure in figures})
    base = alt.Chart(data).encode(
        x=alt.X(
            "x:Q",
            title=None,
            scale=alt.Scale(type="log", nice=False, padding=10),
            axis=alt.Axis(values=places, format=",d"),
        ),
        color=alt.Color("who:N", scale=colours, title=None),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("median:Q", title=measure.title, scale=measure.scale, axis=measure.axis)
    )
    rules = base.mark_rule().encode(y="low:Q", y2="high:Q")
    return alt.LayerChart(layer=[lines, rules]).properties(width=_WIDTH_PX, height=220)


def _dressed(chart: alt.LayerChart, look: Look) -> alt.LayerChart:
    dressed: alt.LayerChart = (
        # What draws it here takes words for narrower than browsers write them.
        chart.configure(background=look.back, font=_FONT, padding=_PADDING_PX)
        .configure_axis(
            labelColor=look.text,
            titleColor=look.text,
            gridColor=look.grid,
            domainColor=look.grid,
            tickColor=look.grid,
        )
        .configure_legend(labelColor=look.text, orient="top", columns=4, columnPadding=28)
        .configure_rule(color=look.text)
        .configure_text(color=look.text)
        .configure_view(stroke=None)
    )
    return dressed
