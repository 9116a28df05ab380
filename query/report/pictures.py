"""The pictures of a report: what was seen of a pool, and how its VMs fared.

What nobody knows is hatched, over everything else: it is never drawn as known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from .coverage import Coverage, Sight, Stretch
from .drawing import Box, Drawing, Label, Size, draw
from .html import Html, tag
from .lives import Doubt, Lives, Stay, VmLife
from .period import Period
from .runs import Call
from .shown import shown
from .times import Clock, Tick, ticks

LANES_MAX = 36
"""So many VMs fit on a page of paper; more are another picture."""
HOST_FILLS = tuple(f"var(--host-{number})" for number in range(8))

_GAP_FILL = "url(#gap)"
_GAP_LINE = "var(--gap)"
_UNRECORDED = "url(#unrecorded)"
_LANE_PX = 19
_BAR_PX = 24
_CHAR_PX = 6.6
_TICK_EDGE_PX = 20
"""Half of a label: a tick that is nearer to the edge would be written beyond it."""
_SIZES = (
    Size("wide", names_px=165, plot_px=795, tick_px=88),
    Size("narrow", names_px=96, plot_px=264, tick_px=60),
)
"""A picture is drawn for a page and for a telephone, and the page shows the one that fits."""


class Look(msgspec.Struct, frozen=True):
    """How a state is drawn: what is told by colour is told by thickness, too."""

    fill: str
    top: float
    bottom: float


POWER = {
    "Running": Look("var(--running)", 0.2, 0.8),
    "Paused": Look("var(--paused)", 0.32, 0.68),
    "Suspended": Look("var(--suspended)", 0.32, 0.68),
    "Halted": Look("var(--halted)", 0.43, 0.57),
}
_OTHER = Look("var(--other)", 0.32, 0.68)
"""A power state that xapi does not have, and a server told nevertheless."""
_UNKNOWN_LOOK = Look(_GAP_FILL, 0.1, 0.9)


CALLS = {
    "success": Look("var(--running)", 0.2, 0.8),
    "failure": Look("var(--bad)", 0.1, 0.9),
    "changed-by-others": Look("var(--paused)", 0.32, 0.68),
    "cancelled": Look("var(--suspended)", 0.32, 0.68),
    "skipped": Look("var(--halted)", 0.43, 0.57),
}
"""The outcomes of calls; of any other nobody knows how they ended."""
UNKNOWN_CALL = "gap"


class Lane(msgspec.Struct, frozen=True):
    """The calls about one object."""

    name: str
    calls: list[Call] = msgspec.field(default_factory=list)


def host_fills(lives: Lives) -> dict[str, str]:
    """Return a colour for each host, by name; the hosts beyond the last colour share a grey."""
    names = sorted({stay.value for vm in lives.vms for stay in vm.hosts if stay.value is not None})
    colours = [*HOST_FILLS, *[_OTHER.fill] * len(names)]
    return dict(zip(names, colours, strict=False))


def _both(drawn: Callable[[Size], Html]) -> Html:
    """Return a picture in both sizes, of which the page shows one."""
    return tag("div", *map(drawn, _SIZES), class_="picture")


class Canvas(msgspec.Struct, frozen=True):
    """What all pictures of a report have in common: their time, and how it is written."""

    period: Period
    clock: Clock

    def coverage(self, coverage: Coverage, text: str) -> Html:
        """Return the bar of a pool: what was seen of the period, and what not."""
        fills = {Sight.SEEN: "var(--seen)", Sight.BLIND: _GAP_FILL, Sight.UNRECORDED: _UNRECORDED}
        stretches = coverage.stretches
        boxes = [self._box(one, 0, 1, fills[one.sight]) for one in stretches]
        lines = [self._box(one, 0, 1, _GAP_LINE) for one in stretches if one.sight is Sight.BLIND]

        def drawn(size: Size) -> Html:
            # Without names the bar takes their room.
            bar = Size(size.name, 0, size.names_px + size.plot_px, size.tick_px)
            length_us = self.period.length_us
            return draw(Drawing(length_us, 1, _BAR_PX, self._ticks(bar), boxes, lines), bar, text)

        return _both(drawn)

    def power(self, vms: Sequence[VmLife], lives: Lives, coverage: Coverage, text: str) -> Html:
        """Return the power states of VMs, a lane each."""
        boxes = [
            self._stay(stay, lane, POWER.get(stay.value or "", _OTHER))
            for lane, vm in enumerate(vms)
            for stay in vm.power
        ]
        return self._lanes(vms, [*boxes, *self._clouds(len(vms), lives, coverage)], lives, (), text)

    def hosts(
        self,
        vms: Sequence[VmLife],
        lives: Lives,
        coverage: Coverage,
        fills: Mapping[str, str],
        text: str,
    ) -> Html:
        """Return on which hosts VMs were, a lane each."""
        stays = [(lane, stay) for lane, vm in enumerate(vms) for stay in vm.hosts]
        boxes = [
            self._stay(stay, lane, Look(fills.get(stay.value or "", _OTHER.fill), 0.12, 0.88))
            for lane, stay in stays
        ]
        clouds = self._clouds(len(vms), lives, coverage)
        return self._lanes(vms, [*boxes, *clouds], lives, stays, text)

    def calls(self, lanes: Sequence[Lane], text: str) -> Html:
        """Return the calls of a run, a lane for each object that they are about."""
        boxes = [self._call(one, at) for at, lane in enumerate(lanes) for one in lane.calls]
        names = [Label(0, at + 0.5, shown(lane.name, 60)) for at, lane in enumerate(lanes)]

        def drawn(size: Size) -> Html:
            when, length_us = self._ticks(size), self.period.length_us
            drawing = Drawing(length_us, len(lanes), _LANE_PX, when, boxes, (), (), names)
            return draw(drawing, size, text)

        return _both(drawn)

    def _call(self, call: Call, lane: int) -> Box:
        """A call without an outcome reaches to the end of the picture."""
        end_us = self.period.end_us if call.end_us is None else call.end_us
        look = CALLS.get(call.outcome or "", _UNKNOWN_LOOK)
        begin_us = self._since(call.begin_us)
        return Box(begin_us, self._since(end_us), lane + look.top, lane + look.bottom, look.fill)

    def _lanes(
        self,
        vms: Sequence[VmLife],
        boxes: Sequence[Box],
        lives: Lives,
        labelled: Sequence[tuple[int, Stay]],
        text: str,
    ) -> Html:
        count, length_us = len(vms), self.period.length_us
        lines = [self._box(doubt, 0, count, _GAP_LINE) for doubt in lives.doubts]
        names = [Label(0, lane + 0.5, shown(vm.name or vm.ref, 60)) for lane, vm in enumerate(vms)]

        def drawn(size: Size) -> Html:
            labels = self._labels(labelled, size)
            when = self._ticks(size)
            drawing = Drawing(length_us, count, _LANE_PX, when, boxes, lines, labels, names)
            return draw(drawing, size, text)

        return _both(drawn)

    def _clouds(self, lanes: int, lives: Lives, coverage: Coverage) -> list[Box]:
        """Return what lies over all lanes."""
        clouds = [
            self._box(one, 0, lanes, _UNRECORDED)
            for one in coverage.stretches
            if one.sight is Sight.UNRECORDED
        ]
        return clouds + [self._box(doubt, 0, lanes, _GAP_FILL) for doubt in lives.doubts]

    def _labels(self, stays: Iterable[tuple[int, Stay]], size: Size) -> list[Label]:
        """Return the names that fit into their bars."""
        found = []
        for lane, stay in stays:
            room_px = (stay.end_us - stay.begin_us) / self.period.length_us * size.plot_px - 8
            label = "" if stay.value is None else shown(stay.value, 40)
            if label and len(label) * _CHAR_PX <= room_px:
                found.append(Label(self._since(stay.begin_us), lane + 0.5, label))
        return found

    def _stay(self, stay: Stay, lane: int, look: Look) -> Box:
        if stay.value is None:
            fill = _UNRECORDED if stay.seq is None else _GAP_FILL
            return self._box(stay, lane + 0.08, lane + 0.92, fill)
        return self._box(stay, lane + look.top, lane + look.bottom, look.fill)

    def _box(self, span: Stretch | Stay | Doubt, top: float, bottom: float, fill: str) -> Box:
        return Box(self._since(span.begin_us), self._since(span.end_us), top, bottom, fill)

    def _since(self, at_us: int) -> int:
        return at_us - self.period.begin_us

    def _ticks(self, size: Size) -> list[Tick]:
        edge_us = round(self.period.length_us * _TICK_EDGE_PX / size.plot_px)
        begin_us, end_us = self.period.begin_us + edge_us, self.period.end_us - edge_us
        found = ticks(self.clock.zone, begin_us, end_us, size.plot_px // size.tick_px)
        return [Tick(self._since(tick.at_us), tick.lines) for tick in found]
