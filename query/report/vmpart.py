"""The VMs of a pool in a period: their power states and hosts, as pictures and as tables."""

from collections.abc import Sequence

from ..values import duration_text, short_ref
from .coverage import Coverage
from .html import Html, Piece, tag
from .lives import Lives, Stay, VmLife
from .pictures import LANES_MAX, POWER, Canvas, host_fills
from .shown import shown
from .tables import Column, count, evidence, folded, name, section, swatches, table
from .times import Clock

STAYS_MAX = 600
"""So many rows a table beneath a picture has at most."""

_GAP_SIGN = ("gap", "", "not known: a gap")
_UNRECORDED_SIGN = ("unrecorded", "", "not recorded, or redacted")


def vms_part(lives: Lives, coverage: Coverage, canvas: Canvas) -> Html:
    """Return the sections about VMs."""
    if not lives.vms:
        return section("VMs", tag("p", "No VM is known of this period.", class_="note"))
    known = _known_signs(lives, coverage)
    told = {stay.value for vm in lives.vms for stay in vm.power if stay.value}
    signs = [
        ("bar thin" if key == "Halted" else "bar", look.fill, key)
        for key, look in POWER.items()
        if key in told
    ]
    if told - set(POWER):
        signs.append(("bar", "var(--other)", "another state: see the table"))
    fills = host_fills(lives)
    hosts = [("bar", fill, shown(host, 40)) for host, fill in fills.items()]
    words = f" of {count(len(lives.vms), 'VM')}; the table beneath says the same"
    parts = [lives.vms[first : first + LANES_MAX] for first in range(0, len(lives.vms), LANES_MAX)]
    power = [
        tag("figure", canvas.power(part, lives, coverage, f"Power states{words}")) for part in parts
    ]
    where = [
        tag("figure", canvas.hosts(part, lives, coverage, fills, f"Hosts{words}"))
        for part in parts
        if any(vm.hosts for vm in part)
    ]
    return tag(
        "div",
        section(
            "Power states",
            tag("p", _which(lives)),
            swatches([*signs, *known]),
            *power,
            _stays("power state", [(vm, vm.power) for vm in lives.vms], lives, canvas.clock),
        ),
        section(
            "Where they ran",
            swatches([*hosts, *known]),
            *where,
            _stays("host", [(vm, vm.hosts) for vm in lives.vms], lives, canvas.clock),
        )
        if where
        else None,
    )


def _known_signs(lives: Lives, coverage: Coverage) -> list[tuple[str, str, str]]:
    """Return the signs of what is not known, as far as they are in the picture."""
    unknown = [stay for vm in lives.vms for stay in vm.power if stay.value is None]
    signs = []
    if lives.doubts or any(stay.seq is not None for stay in unknown):
        signs.append(_GAP_SIGN)
    if coverage.unrecorded_us or any(stay.seq is None for stay in unknown):
        signs.append(_UNRECORDED_SIGN)
    return signs


def _which(lives: Lives) -> str:
    if not lives.left_out:
        return f"{count(len(lives.vms), 'VM')}, the busiest first."
    return (
        f"The {count(len(lives.vms), 'VM')} that changed most; {lives.left_out:,} others are left"
        " out (--vms N draws N)."
    )


def _stays(
    what: str, told: Sequence[tuple[VmLife, Sequence[Stay]]], lives: Lives, clock: Clock
) -> Html:
    pairs = [(vm, stay) for vm, stays in told for stay in stays if stay.seq is not None]
    columns = [
        Column("VM", wide=True),
        Column(what, wide=True),
        Column("from"),
        Column("until"),
        Column("for", number=True),
        Column("evidence"),
    ]
    rows: list[list[Piece]] = [
        [
            name(vm.name or short_ref(vm.ref), 60),
            _value(stay),
            clock.text(stay.begin_us),
            clock.text(stay.end_us),
            duration_text((stay.end_us - stay.begin_us) / 1e6),
            evidence(stay.seq),
        ]
        for vm, stay in pairs[:STAYS_MAX]
    ]
    more = len(pairs) - len(rows)
    advice = (tag("code", "xentrail history VM"), " tells of one.")
    cut = tag("p", f"{more:,} rows more: ", *advice, class_="note")
    unsure = " What was the same before and after a gap is presumed in it." if lives.doubts else ""
    size = f"the first {len(rows)} of {len(pairs):,} rows" if more else count(len(pairs), "row")
    title = f"The same as a table, with evidence ({size})"
    lead = tag("p", f"Each row stands until another is told.{unsure}", class_="note")
    return folded(title, tag("div", lead, table(columns, rows), cut if more else None))


def _value(stay: Stay) -> Html:
    if stay.value is not None:
        return name(stay.value, 60)
    if stay.presumed is None:
        return tag("em", "not known")
    return tag("span", tag("em", "not known"), " (presumed ", name(stay.presumed, 60), ")")
