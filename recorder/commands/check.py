"""`xentrail check`: tries everything that a recorder needs, and records nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ..errors import ConfigError
from .options import DEMO_MARKER, ConfigOption, DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from ..checking.preflight import Finding
    from ..config import Config


def _pools_in_config(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the shell the sound pools of the file that --config names."""
    from ..config import read

    file = ctx.params.get("config")
    pools = () if file is None else read(Path(file)).config.pools
    return [pool.name for pool in pools if pool.name.startswith(incomplete)]


def check(
    config: ConfigOption,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            "--pool",
            metavar="NAME",
            help="Try only this pool; may be repeated.",
            autocompletion=_pools_in_config,
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Try the configuration, its pools and this machine without recording; exit 1 unless well."""
    import trio

    from ..checking import preflight, premises, trial
    from ..checking import workloads as workload_trial
    from ..config import read

    reading = read(config)
    wanted = _only(reading.config, pool or [], config)
    around = premises.look_around(wanted, data_folder(data, wanted), DEMO_MARKER)
    of_scripts, scripts = workload_trial.read_scripts(wanted.schedules)
    try_pools = partial(trial.try_pools, wanted, around.uuids, scripts=scripts)
    findings = [
        *preflight.of_file(config, reading.mistakes, len(reading.config.pools)),
        *around.findings,
        *of_scripts,
        *trio.run(try_pools),
    ]
    well = preflight.all_is_well(findings)
    if form is ReportFormat.JSON:
        plain = {"well": well, "findings": msgspec.to_builtins(findings)}
        print(json.dumps(plain, indent=2))
    else:
        _print_table(findings)
        _print_sum(findings)
    raise typer.Exit(0 if well else 1)


def _only(config: "Config", names: Sequence[str], file: Path) -> "Config":
    """Return the configuration with only these pools, all if none is named."""
    import msgspec

    known = [pool.name for pool in config.pools]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--pool {name}: {file} has no sound pool of this name; it has"
                f" {', '.join(known) or 'none'}"
            )
    pools = tuple(pool for pool in config.pools if not names or pool.name in names)
    kept = {pool.name for pool in pools}
    schedules = tuple(one for one in config.schedules if kept.intersection(one.pools))
    return msgspec.structs.replace(config, pools=pools, schedules=schedules)


def _print_table(findings: Sequence["Finding"]) -> None:
    """Print a line a finding, and what to do below it.

    Lines are as long as they are: a fingerprint that is cut short or folded is of no use.
    """
    rows = [(str(one.verdict), one.subject, one.point) for one in findings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, one in zip(rows, findings, strict=True):
        head = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{head}  {one.text}")
        if one.advice:
            print(f"{' ' * (widths[0] + 2)}-> {one.advice}")


def _print_sum(findings: Sequence["Finding"]) -> None:
    counts = Counter(str(one.verdict) for one in findings)
    told = [f"{counts[verdict]} {verdict}" for verdict in ("error", "warning", "ok")]
    typer.echo(f"xentrail: {', '.join(told)}", err=True)
