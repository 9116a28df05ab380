"""Drawing lanes of time as SVG, by Vega-Lite: one picture, in the width that is asked for.

Fills are CSS variables and `url(#gap)`, the hatching that the page defines, so that one drawing
does for light, dark and paper. Text goes in as data and comes out escaped.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal

import altair as alt
import msgspec
import vl_convert

from .html import Html, tag
from .times import Tick

_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, sans-serif"
_TICKS_PX = 34
_EDGE_PX = 3
_LINE_PX = 1.5
"""Nothing that is drawn is narrower than this: a gap of a second is seen in a picture of a year."""
_NAME_SHARE = 0.8
"""The page's font may be wider than the one that text is measured with."""


_Row = dict[str, float | str]
"""What a mark is drawn from: places in pixels, a fill or a text."""


class Size(msgspec.Struct, frozen=True):
    """How wide a picture is, in pixels: names to the left of the plot, time within it."""

    name: str
    names_px: int
    plot_px: int
    tick_px: int


class Box(msgspec.Struct, frozen=True):
    """A rectangle: from when to when, from which lane to which (0 is the top of the first)."""

    begin_us: int
    end_us: int
    top: float
    bottom: float
    fill: str


class Label(msgspec.Struct, frozen=True):
    """Text, in the middle of a height, that begins at a time; a name ends before the plot."""

    begin_us: int
    middle: float
    text: str


class Drawing(msgspec.Struct, frozen=True):
    """What is to be drawn; times are microseconds since the begin of the picture.

    `lines` are boxes of no width that must be seen nevertheless.
    """

    length_us: int
    lanes: int
    lane_px: int
    ticks: Sequence[Tick]
    boxes: Sequence[Box]
    lines: Sequence[Box] = ()
    labels: Sequence[Label] = ()
    names: Sequence[Label] = ()


def draw(drawing: Drawing, size: Size, text: str) -> Html:
    """Return a drawing as an SVG element; `text` says in words what is in it."""
    plot = _Plot(drawing, size)
    above = bool(drawing.names)
    name_px = round(size.names_px * _NAME_SHARE)
    parts = [
        _chart("rules").mark_rule(color="var(--hair)").encode(x2=alt.value("width")),
        _chart("boxes").mark_rect().encode(x2="b:Q", y2="y2:Q", fill=_FILL),
        _chart("lines").mark_rule(strokeWidth=_LINE_PX).encode(y2="y2:Q", stroke=_STROKE),
        _texts("names", "right", dx=-8, limit=name_px),
        _texts("labels", "left", dx=5, limit=size.plot_px),
    ]
    chart = (
        alt.layer(*parts)
        .encode(x=plot.x(above=above), y=plot.y())
        .properties(
            width=size.plot_px,
            height=plot.height_px,
            autosize="none",
            padding={
                "left": size.names_px,
                "right": 0,
                "top": _TICKS_PX if above else _EDGE_PX,
                "bottom": _EDGE_PX if above else _TICKS_PX,
            },
            background="transparent",
        )
        .configure(font=_FONT, aria=False)
        .configure_view(stroke=None)
    )
    # The rows come last: Altair copies and checks all it is given, again with each step.
    told = {**chart.to_dict(), "datasets": plot.rows()}
    return _inline(vl_convert.vegalite_to_svg(told, allowed_base_urls=[]), size, text)


_FILL = alt.Fill("fill:N", scale=None, legend=None)
_STROKE = alt.Stroke("fill:N", scale=None, legend=None)


def _chart(rows: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=rows))


def _texts(rows: str, align: Literal["left", "right"], *, dx: int, limit: int) -> alt.Chart:
    chart = _chart(rows)
    chart = chart.mark_text(align=align, baseline="middle", dx=dx, limit=limit, fontSize=11.5)
    drawn: alt.Chart = chart.encode(text="text:N", fill=alt.value("var(--ink)"))
    return drawn


class _Plot(msgspec.Struct, frozen=True):
    """A drawing in pixels; tenths of them are fine enough, and short."""

    drawing: Drawing
    size: Size

    @property
    def height_px(self) -> int:
        """How high the plot is."""
        return self.drawing.lanes * self.drawing.lane_px

    def x(self, *, above: bool) -> alt.X:
        """Return the axis of time."""
        values = [self._x_px(tick.at_us) for tick in self.drawing.ticks]
        lines = [tick.lines for tick in self.drawing.ticks]
        if above:  # There the day stands over the hour, and every label has two lines.
            lines = [("", *one) if len(one) == 1 else one[::-1] for one in lines]
        axis = alt.Axis(
            values=values,
            labelExpr=f"{json.dumps(lines)}[indexof({values}, datum.value)]",
            labelColor="var(--soft)",
            labelFontSize=11,
            labelPadding=18 if above else 5,
            labelOverlap=False,
            gridColor="var(--hair)",
            orient="top" if above else "bottom",
            domain=False,
            ticks=False,
            title=None,
        )
        return alt.X("a:Q", scale=alt.Scale(domain=[0, self.size.plot_px], nice=False), axis=axis)

    def y(self) -> alt.Y:
        """Return the axis of lanes, from the top down."""
        scale = alt.Scale(domain=[self.height_px, 0], nice=False, zero=False)
        return alt.Y("y:Q", scale=scale, axis=None)

    def rows(self) -> dict[str, list[_Row]]:
        """Return what is drawn, by the name of its marks."""
        drawing = self.drawing
        lanes = range(1, drawing.lanes) if drawing.names else ()
        return {
            "rules": [{"a": 0, "y": self._y_px(lane)} for lane in lanes],
            "boxes": self._boxes(),
            "lines": [self._box(line) for line in drawing.lines],
            "names": [self._label(label) for label in drawing.names],
            "labels": [self._label(label) for label in drawing.labels],
        }

    def _boxes(self) -> list[_Row]:
        """The short ones are drawn over the long ones.

        Of several states of a lane within the width of a line the longest is drawn; what is not
        known is always drawn.
        """
        drawing = self.drawing
        least_us = max(round(drawing.length_us / self.size.plot_px * _LINE_PX), 1)
        rows: dict[tuple[object, ...], _Row] = {}
        for box in sorted(drawing.boxes, key=lambda box: box.begin_us - box.end_us):
            place: tuple[object, ...] = (box.begin_us, box.end_us, box.top, box.fill)
            if box.end_us - box.begin_us < least_us:
                is_known = not box.fill.startswith("url(")
                what = (int(box.top),) if is_known else (box.top, box.fill)
                place = (box.begin_us // least_us, is_known, what)
            rows.setdefault(place, self._box(box, least_us=least_us))
        return list(rows.values())

    def _box(self, box: Box, *, least_us: int = 0) -> _Row:
        end_us = min(max(box.end_us, box.begin_us + least_us), self.drawing.length_us)
        return {
            "a": self._x_px(box.begin_us),
            "b": self._x_px(end_us),
            "y": self._y_px(box.top),
            "y2": self._y_px(box.bottom),
            "fill": box.fill,
        }

    def _label(self, label: Label) -> _Row:
        at = {"a": self._x_px(label.begin_us), "y": self._y_px(label.middle)}
        return {**at, "text": label.text}

    def _x_px(self, at_us: int) -> float:
        return round(at_us / self.drawing.length_us * self.size.plot_px, 1)

    def _y_px(self, lane: float) -> float:
        return round(lane * self.drawing.lane_px, 1)


_OPENING = re.compile(r"<svg [^>]*\bviewBox=\"([0-9. ]+)\"[^>]*>")


def _inline(svg: str, size: Size, text: str) -> Html:
    """Return an SVG document as an element of a page, where it needs no name space."""
    opening = _OPENING.match(svg)
    assert opening is not None, "Vega begins its documents like that"
    inner = svg[opening.end() :].removesuffix("</svg>")
    assert "<svg" not in inner, "text is escaped, and there is one picture"
    _, _, width, height = opening[1].split()
    return tag(
        "svg",
        Html(inner),
        class_=size.name,
        viewBox=opening[1],
        width=width,
        height=height,
        role="img",
        aria_label=text,
    )
