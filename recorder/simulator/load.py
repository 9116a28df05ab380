"""What a pool does by itself: how often, which kinds of deeds, at which hours, which floods.

A load is a preset or a TOML file (see config/load/).
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from ..errors import ConfigError
from .deeds import KINDS

Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
HOURS = 24

CURVES: Mapping[str, tuple[float, ...]] = {
    "flat": (1.0,) * HOURS,
    "office": (0.1,) * 7
    + (0.6, 1.6, 2.0, 1.8, 1.4, 1.0, 1.4, 1.8, 1.8, 1.4, 0.8, 0.4)
    + (0.2,) * 5,
    "nightly": (0.4, 3.0, 4.0, 3.0, 1.0) + (0.4,) * 17 + (0.6, 0.6),
}
"""Named day curves: a factor for each hour of the day in UTC."""


class Flood(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many quick changes at once, every now and then; times in seconds since the pool began."""

    changes: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    every_s: Annotated[float, msgspec.Meta(ge=1)] = 3600.0
    first_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How busy a pool is. `per_minute` counts deeds of all kinds at a factor of 1 of the curve.

    `kinds` are weights by name of the kind; a kind that is not named is not done.
    """

    per_minute: Annotated[float, msgspec.Meta(ge=0, le=10**6)] = 6.0
    curve: str | tuple[Weight, ...] = "flat"
    kinds: Mapping[str, Weight] = msgspec.field(default_factory=lambda: dict(_ORDINARY))
    flood: tuple[Flood, ...] = ()

    def factor(self, at_s: float) -> float:
        """Return the factor of the curve at a time in seconds since 1970 UTC."""
        curve = CURVES[self.curve] if isinstance(self.curve, str) else self.curve
        return curve[int(at_s // 3600) % HOURS]

    @property
    def factor_max(self) -> float:
        """The highest factor of the curve."""
        return max(CURVES[self.curve] if isinstance(self.curve, str) else self.curve)


_ORDINARY: Mapping[str, float] = {
    "power": 5.0,
    "edit": 3.0,
    "migrate": 2.0,
    # As many go as come, or a pool that runs for weeks would be all snapshots.
    "snapshot": 0.5,
    "remove": 0.5,
}

PRESETS: Mapping[str, Load] = {
    "none": Load(per_minute=0.0),
    "calm": Load(per_minute=1.0),
    "ordinary": Load(),
    "office": Load(per_minute=20.0, curve="office", kinds={**_ORDINARY, "clone": 0.5}),
    "busy": Load(per_minute=300.0, kinds={**_ORDINARY, "clone": 1.0, "remove": 1.5, "alert": 2}),
    "rough": Load(
        per_minute=60.0,
        kinds={**_ORDINARY, "crash": 1.0, "mistake": 3.0},
        flood=(Flood(changes=3000, every_s=300.0),),
    ),
}
"""Loads by name."""


def named(text: str) -> Load:
    """Return a preset, or what a file says. Raises ConfigError, which names what can be had."""
    if text in PRESETS:
        return PRESETS[text]
    file = Path(text)
    if not file.exists():
        known = ", ".join(PRESETS)
        raise ConfigError(f"no such load: {text!r} is neither a file nor one of {known}")
    return read(file)


def read(file: Path) -> Load:
    """Read a load from a TOML file. Raises ConfigError, which names file and key."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    _refuse_unknown(file, "", table, Load.__struct_fields__)
    kinds = table.get("kinds")
    if isinstance(kinds, dict):
        _refuse_unknown(file, "kinds.", kinds, tuple(KINDS))
    try:
        load = msgspec.convert(table, Load)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}") from error
    _check_curve(file, load)
    if not any(load.kinds.values()):
        raise ConfigError(
            f"{file}: kinds: give one of them a weight above 0; per_minute = 0.0 does nothing"
        )
    return load


def _refuse_unknown(
    file: Path, at: str, table: Mapping[str, object], known: tuple[str, ...]
) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{file}: {at}{key}: no such key; {hint}")


def _check_curve(file: Path, load: Load) -> None:
    if isinstance(load.curve, str):
        if load.curve not in CURVES:
            raise ConfigError(
                f"{file}: curve: {load.curve!r} is none of {', '.join(CURVES)};"
                f" or give {HOURS} numbers, one for each hour of the day in UTC"
            )
    elif len(load.curve) != HOURS:
        raise ConfigError(
            f"{file}: curve: {HOURS} numbers from 0 are needed, one for each hour of the day in UTC"
        )
