"""The commands of the simulator: `simulate`, and `fault`, which speaks to one that runs.

Options are checked here, before anything is served: no file is found missing halfway.
"""

import json
import math
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict, replace

from ..errors import ConfigError, JournalError

if TYPE_CHECKING:
    from ..simulator.faults.rule import Plan
    from ..simulator.image import PoolImage
    from ..simulator.load import Load
    from ..simulator.presets import Counts
    from ..simulator.users import UserSpec


class AnnounceFormat(StrEnum):
    """How a simulated pool is announced."""

    TEXT = "text"
    JSON = "json"


_POOL = "A made-up pool"
_REAL = "A real pool"
_LIFE = "What happens in it"


def _count(help_: str, low: int, high: int) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(
        min=low, max=high, help=help_, rich_help_panel=_POOL
    )
    return info


def _number(value: float) -> float:
    """Refuse what is neither above nor below anything, which a range of typer may let pass."""
    if math.isnan(value):
        raise typer.BadParameter("nan is no number")
    return value


def simulate(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the first pool; 0 takes a free one.")
    ] = 8080,
    tls_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for HTTPS; 0 takes a free one.")
    ] = None,
    password: Annotated[str, typer.Option(help="What root logs in with.")] = "xentrail",  # noqa: S107 - of a simulated pool on loopback
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PASSWORD:ROLE", help="One more user, with a role from read-only up."
        ),
    ] = None,
    form: Annotated[AnnounceFormat, typer.Option("--format")] = AnnounceFormat.TEXT,
    pools: Annotated[int | None, _count("How many pools (1).", 1, 100)] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Counts by name.", rich_help_panel=_POOL),
    ] = None,
    hosts: Annotated[int | None, _count("Hosts in each pool (3).", 1, 64)] = None,
    vms: Annotated[int | None, _count("VMs in each pool (10).", 0, 10_000)] = None,
    storage: Annotated[int | None, _count("Shared SRs in each pool (1).", 0, 64)] = None,
    networks: Annotated[int | None, _count("Networks in each pool (1).", 1, 256)] = None,
    disks: Annotated[int | None, _count("Disks of each VM (1).", 0, 16)] = None,
    interfaces: Annotated[int | None, _count("Interfaces of each VM (1).", 0, 7)] = None,
    snapshots: Annotated[int | None, _count("Snapshots of each VM (0).", 0, 16)] = None,
    seed: Annotated[
        int, typer.Option(help="The same seed makes the same pool.", rich_help_panel=_POOL)
    ] = 1,
    list_presets: Annotated[
        bool,
        typer.Option(
            "--list-presets",
            help="Print the names that --preset and --load take, and end.",
            rich_help_panel=_POOL,
        ),
    ] = False,
    database: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `xe pool-dump-database` wrote.", rich_help_panel=_REAL
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where `record` wrote.", rich_help_panel=_REAL),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Of the journal: ISO time, -2h, @SEQ (now).",
            rich_help_panel=_REAL,
        ),
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Of the journal: which pool.", rich_help_panel=_REAL)
    ] = None,
    rewrite_addresses: Annotated[
        bool,
        typer.Option(
            "--rewrite-addresses",
            help="Hosts tell their addresses on loopback, not those that they had.",
            rich_help_panel=_REAL,
        ),
    ] = False,
    realtime: Annotated[
        float,
        typer.Option(
            min=0,
            max=10**6,
            metavar="FACTOR",
            callback=_number,
            help="How long operations take: 1 as in life, 0 no time at all.",
            rich_help_panel=_LIFE,
        ),
    ] = 1.0,
    load: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="What the pool does by itself (ordinary; none for a real pool).",
            rich_help_panel=_LIFE,
        ),
    ] = None,
    activity: Annotated[
        float | None,
        typer.Option(
            min=0, max=10**6, help="Operations a minute, of that load.", rich_help_panel=_LIFE
        ),
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What goes wrong; see config/faults.", rich_help_panel=_LIFE
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="One more rule, in one line: keys and values of TOML, or JSON.",
            rich_help_panel=_LIFE,
        ),
    ] = None,
    control: Annotated[
        Path | None,
        typer.Option(
            metavar="SOCKET", help="Take commands there from `fault`.", rich_help_panel=_LIFE
        ),
    ] = None,
) -> None:
    """Serve pools on loopback until SIGTERM or SIGINT: made up, or as they really were."""
    from ..service import process
    from ..simulator import serve

    if list_presets:
        _list_presets()
        return
    given: dict[str, int | None] = {
        "hosts": hosts,
        "vms": vms,
        "storage": storage,
        "networks": networks,
        "disks": disks,
        "interfaces": interfaces,
        "snapshots": snapshots,
    }
    real = database is not None or journal is not None
    _check_fit(
        {"pools": pools, "preset": preset, **given}, real=real, rewrite_addresses=rewrite_addresses
    )
    options = serve.SimulateOptions(
        port=port,
        tls_port=tls_port,
        pools=pools or 1,
        counts=_counts(preset, given),
        seed=seed,
        password=password,
        speed=realtime,
        load=_load(load, activity, real=real),
        faults=_plan(faults, fault or []),
        control=control,
        format=serve.Format(form.value),
        image=_image(database, journal, at=at, pool=pool),
        rewrite_addresses=rewrite_addresses,
        users=_users(user or []),
    )
    process.run(partial(serve.simulate, options, announce=partial(print, flush=True)))


def fault(
    socket: Annotated[Path, typer.Argument(help="What `simulate --control` was given.")],
    command: Annotated[
        str, typer.Argument(help="A rule as --fault takes it, or a command in JSON.")
    ] = "",
    show: Annotated[bool, typer.Option("--list", help="Show rules and what they did.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Take all rules away.")] = False,
    remove: Annotated[str, typer.Option(metavar="NAME", help="Take one rule away.")] = "",
    pool: Annotated[str, typer.Option(help="Only in this pool.")] = "",
) -> None:
    """Tell a running simulator what goes wrong from now on, or ask it what does."""
    import trio

    from ..simulator.control import ask, command_of, shown

    chosen: dict[str, bool | str] = {
        "RULE": command,
        "--list": show,
        "--clear": clear,
        "--remove": remove,
    }
    if sum(map(bool, chosen.values())) != 1:
        raise ConfigError(f"give one of {', '.join(chosen)}")
    verb = "list" if show else "clear"
    text = command or json.dumps({"do": "remove", "name": remove} if remove else {"do": verb})
    for line in shown(trio.run(ask, socket, command_of(text, pool=pool))):
        typer.echo(line)


def _users(texts: list[str]) -> "list[UserSpec]":
    """Read users, each of whom needs a name of his own. Raises ConfigError."""
    from ..simulator.users import UserSpec

    users: dict[str, UserSpec] = {}
    for text in texts:
        try:
            user = UserSpec.parse(text)
        except ValueError as error:
            raise ConfigError(f"--user {text!r}: {error}") from error
        if user.name == "root":
            raise ConfigError(f"--user {text!r}: root is there anyway: see --password")
        if user.name in users:
            raise ConfigError(f"--user {text!r}: there is a user {user.name} already")
        users[user.name] = user
    return list(users.values())


def _list_presets() -> None:
    """Print the names that --preset and --load take."""
    from ..simulator import load, presets

    for name, counts in presets.PRESETS.items():
        words = (f"{key} {count}" for key, count in asdict(counts).items())
        typer.echo(f"--preset {name}: {', '.join(words)}")
    for name, busy in load.PRESETS.items():
        typer.echo(f"--load {name}: {busy.per_minute:g} a minute, curve {busy.curve}")


def _check_fit(counts: dict[str, object], *, real: bool, rewrite_addresses: bool) -> None:
    """Raise ConfigError for options that would have no effect."""
    made_up = [name for name, count in counts.items() if count is not None]
    if real and made_up:
        raise ConfigError(
            f"--{made_up[0]} makes up a pool, --database and --journal bring one: choose"
        )
    if rewrite_addresses and not real:
        raise ConfigError(
            "--rewrite-addresses is for --database and --journal: a made-up pool needs none"
        )


def _counts(preset: str | None, given: dict[str, int | None]) -> "Counts":
    """Return the counts of a preset with those that were given. Raises ConfigError."""
    from ..simulator.presets import PRESETS

    name = preset or "default"
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise ConfigError(f"no such preset: {name!r} is none of {known}")
    return replace(PRESETS[name], **{key: n for key, n in given.items() if n is not None})


def _load(name: str | None, per_minute: float | None, *, real: bool) -> "Load":
    """Return what a pool does by itself. Raises ConfigError."""
    import msgspec

    from ..simulator.load import named

    load = named(name or ("none" if real and per_minute is None else "ordinary"))
    return load if per_minute is None else msgspec.structs.replace(load, per_minute=per_minute)


def _plan(file: Path | None, texts: list[str]) -> "Plan | None":
    """Return the rules of a file and those of the command line. Raises ConfigError."""
    from ..simulator.faults.reading import load, rule_in
    from ..simulator.faults.rule import Plan

    if file is None and not texts:
        return None
    plan = Plan() if file is None else load(file)
    return replace(plan, rules=(*plan.rules, *(rule_in(text, "--fault") for text in texts)))


def _image(
    database: Path | None, journal: Path | None, *, at: str | None, pool: str | None
) -> "PoolImage | None":
    """Return the real pool that was asked for, None for a made-up one. Raises ConfigError."""
    if journal is None and (at is not None or pool is not None):
        raise ConfigError("--at and --pool choose from a journal: say which with --journal")
    if database is not None and journal is not None:
        raise ConfigError("--database and --journal bring a pool each: choose one")
    if database is not None:
        return _dumped(database)
    return (
        None if journal is None else _recorded(journal, at="now" if at is None else at, pool=pool)
    )


def _dumped(path: Path) -> "PoolImage":
    from ..simulator.dump import read_dump

    dumped = read_dump(path)
    for table, rows in dumped.left_out.items():
        _say(f"table {table} is left out ({rows} rows): the API has no such class")
    _say(f"{path} has {dumped.image.count():,} objects of {dumped.image.name}")
    return dumped.image


def _recorded(folder: Path, *, at: str, pool: str | None) -> "PoolImage":
    from ..clock import wall_ns
    from ..instant import parse_instant
    from ..past.read import read_past

    if not folder.is_dir():
        raise JournalError(f"--journal {folder}: there is no such folder: name that of a recorder")
    past = read_past(folder, parse_instant(at, now_ns=wall_ns()), pool=pool)
    for caveat in past.caveats:
        _say(f"note: {caveat}")
    _say(f"at @{past.seq} the journal has {past.image.count():,} objects of {past.image.name}")
    return past.image


def _say(text: str) -> None:
    typer.echo(text, err=True)
