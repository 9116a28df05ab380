"""What pools do by themselves: kinds, rates, hours of the day, floods; and loads from files."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from recorder.errors import ConfigError
from recorder.simulator.activity import drive
from recorder.simulator.deeds import KINDS
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.load import CURVES, HOURS, PRESETS, Flood, Load, named, read
from recorder.simulator.values import Value
from tests.simulator.core.support import a_pool

EXAMPLES = sorted((Path(__file__).parents[3] / "config" / "load").glob("*.toml"))


async def _calls(load: Load, *, for_s: float, seed: int = 1) -> list[tuple[float, str]]:
    """Return what a client would be asked to do, with the times in seconds since the start."""
    pool = a_pool(PoolSpec(hosts=2, vms=9))
    begun, found = trio.current_time(), list[tuple[float, str]]()

    async def note(method: str, _args: Sequence[Value]) -> None:
        found.append((round(trio.current_time() - begun, 6), method))
        await trio.lowlevel.checkpoint()

    with trio.move_on_after(for_s):
        await drive(pool, load, random.Random(seed), call=note)
    return found


async def test_deeds_come_at_their_rate_and_weights(autojump_clock: MockClock) -> None:
    """In ten hours at 6 a minute about 3,600 deeds are done, three edits for each migration."""
    load = Load(per_minute=6.0, kinds={"edit": 3.0, "migrate": 1.0})
    counts = Counter(method for _at, method in await _calls(load, for_s=36_000))
    assert 3_300 < counts.total() < 3_900
    assert 2.5 < counts["VM.set_name_description"] / counts["VM.pool_migrate"] < 3.5


async def test_the_same_seed_does_the_same(autojump_clock: MockClock) -> None:
    """Deeds and times repeat with the seed, and differ without."""
    first = await _calls(PRESETS["busy"], for_s=600, seed=3)
    assert await _calls(PRESETS["busy"], for_s=600, seed=3) == first
    assert await _calls(PRESETS["busy"], for_s=600, seed=4) != first


async def test_the_day_has_busy_hours(autojump_clock: MockClock) -> None:
    """By the curve nothing happens in an hour with a factor of 0."""
    hour = (1_700_000_000 // 3600) % HOURS
    curve = tuple(0.0 if number == (hour + 1) % HOURS else 1.0 for number in range(HOURS))
    load = Load(per_minute=60.0, curve=curve, kinds={"edit": 1.0})
    until_next_hour_s = 3600 - 1_700_000_000 % 3600
    done = [at for at, _method in await _calls(load, for_s=3 * 3600)]
    in_the_pause = [at for at in done if 0 <= at - until_next_hour_s < 3600]
    assert in_the_pause == []
    assert len(done) > 5_000


async def test_floods_come_on_time(autojump_clock: MockClock) -> None:
    """A flood makes its changes at once, again and again."""
    pool = a_pool(PoolSpec(vms=3))
    pool.hub.register("OpaqueRef:s", ["*"])
    load = Load(per_minute=0.0, flood=(Flood(changes=100, every_s=50.0, first_s=10.0),))
    with trio.move_on_after(9.0):
        await drive(pool, load, random.Random(1))
    assert pool.hub.current_id() == 0
    with trio.move_on_after(111.0):
        await drive(pool, load, random.Random(1))
    assert pool.hub.current_id() == 300


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_does_something(
    kind: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Each kind alone changes a real pool within an hour, or at least makes a task fail."""
    pool = a_pool(PoolSpec(hosts=2, vms=6, snapshots=1))
    await nursery.start(pool.run)
    before = len(pool.truth.changes)
    nursery.start_soon(
        partial(drive, pool, Load(per_minute=10.0, kinds={kind: 1.0}), random.Random(2))
    )
    await trio.sleep(600)
    changes = pool.truth.changes[before:]
    assert {change.cls for change in changes} - {"pool", "vm_metrics", "vm_guest_metrics"}


async def test_hands_are_limited(autojump_clock: MockClock) -> None:
    """No more deeds are under way than there are hands."""
    pool = a_pool(PoolSpec(vms=3))
    busy, most = 0, 0

    async def dawdle(_method: str, _args: Sequence[Value]) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await trio.sleep(100)
        busy -= 1

    load = Load(per_minute=600.0, kinds={"edit": 1.0})
    with trio.move_on_after(300):
        await drive(pool, load, random.Random(1), call=dawdle, hands_max=7)
    assert most == 7


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_can_be_read(path: Path) -> None:
    """The annotated files are loads that work."""
    load = read(path)
    assert load.per_minute > 0
    assert set(load.kinds) <= set(KINDS)


def test_the_example_names_every_kind_and_preset() -> None:
    """Nobody has to read the code to know what there is."""
    text = EXAMPLES[0].read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"\n{kind} = " not in text] == []
    assert ", ".join(PRESETS) in text.replace("\n# ", " ")
    assert ", ".join(CURVES) in text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_what_exists(name: str) -> None:
    """A preset is found by its name, and does only kinds that there are."""
    load = named(name)
    assert set(load.kinds) <= set(KINDS)
    assert load.factor(0.0) >= 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("per_minutes = 3", "per_minutes: no such key; did you mean 'per_minute'?"),
        ("[kinds]\npowr = 1", "kinds.powr: no such key; did you mean 'power'?"),
        ("per_minute = 'x'", "Expected `float`, got `str` - at `$.per_minute`"),
        ("curve = 'weekend'", "curve: 'weekend' is none of flat, office, nightly;"),
        ("curve = [1.0]", "curve: 24 numbers from 0 are needed"),
        (f"curve = [{'nan, ' * 24}]", "Expected `float` >= 0.0 - at `$.curve[0]`"),
        (f"curve = [{'-1.0, ' * 24}]", "Expected `float` >= 0.0 - at `$.curve[0]`"),
        ("[kinds]\npower = inf", "Expected `float` <= 1000000.0 - at `$.kinds[...]`"),
        ("[kinds]\npower = 0.0", "kinds: give one of them a weight above 0"),
        ("kinds = {}", "kinds: give one of them a weight above 0"),
        ("[[flood]]\nchanges = 0", "Expected `int` >= 1 - at `$.flood[0].changes`"),
        ("per_minute =", "not valid TOML:"),
    ],
)
def test_mistakes_are_named(text: str, message: str, tmp_path: Path) -> None:
    """File, key and what is allowed are in the message."""
    file = tmp_path / "load.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        named(str(file))
    assert str(caught.value).startswith(f"{file}: {message}")


def test_an_unknown_load_is_refused() -> None:
    """The names that there are follow."""
    with pytest.raises(ConfigError) as caught:
        named("bussy")
    assert str(caught.value) == (
        "no such load: 'bussy' is neither a file nor one of none, calm, ordinary, office, busy, "
        "rough"
    )
