"""What the shell may offer for a word: pools, classes and objects of the history as it lies there.

Somebody waits with a finger on the Tab key, so nothing is loaded from the journal, and nothing is
said: a history that is not there, in use or broken has nothing to offer.
"""

from collections.abc import Sequence
from pathlib import Path

import typer

from recorder.cli import data_folder
from recorder.errors import QueryError

OFFERS_MAX = 100
"""More than a screen holds helps nobody to choose."""


def pools(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer pools that were recorded."""
    sql = "SELECT pool AS word, '' AS help FROM pools WHERE starts_with(pool, $begin) ORDER BY pool"
    return [word for word, _ in _offers(ctx, sql, incomplete)]


def classes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer classes of which an object was recorded, in the case that was begun with."""
    sql = """
        SELECT DISTINCT class AS word, '' AS help FROM objects
        WHERE starts_with(class, lower($begin)) ORDER BY word
    """
    return [
        incomplete + word.removeprefix(incomplete.lower())
        for word, _ in _offers(ctx, sql, incomplete)
    ]


def objects(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer names of objects, those that are still there first; beside each, what it is.

    A class or a pool in front of the name (`vm:`, `lab/`) narrows the names down and is kept. Tasks
    and messages have names that nobody types.
    """
    head, name = _split(incomplete)
    sql = """
        SELECT name AS word, min(class) || ' of ' || min(pool) AS help FROM objects
        WHERE starts_with(name, $begin) AND name <> '' AND class NOT IN ('task', 'message')
            AND ($pool IS NULL OR pool = $pool) AND ($class IS NULL OR class = $class)
        GROUP BY name ORDER BY bool_and(gone), name LIMIT $most
    """
    pool, cls = _scope(ctx, head)
    found = _offers(ctx, sql, name, {"pool": pool, "class": cls, "most": OFFERS_MAX})
    return [(f"{head}{word}", help_) for word, help_ in found]


def calls(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the calls that tasks were made for, in the case that was begun with."""
    sql = """
        SELECT DISTINCT operation AS word, '' AS help FROM tasks
        WHERE starts_with(lower(operation), lower($begin)) ORDER BY word
    """
    return [incomplete + word[len(incomplete) :] for word, _ in _offers(ctx, sql, incomplete)]


def tasks(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the uuids of tasks, the newest first; beside each, what it was and how it stands."""
    sql = """
        SELECT uuid AS word, coalesce(operation, 'task') || ' of ' || pool || ', ' || status AS help
        FROM tasks WHERE starts_with(uuid, lower($begin)) AND ($pool IS NULL OR pool = $pool)
        ORDER BY first_seq DESC LIMIT $most
    """
    scope: dict[str, object] = {"pool": ctx.params.get("pool"), "most": OFFERS_MAX}
    return [*_offers(ctx, sql, incomplete, scope)]


def _split(incomplete: str) -> tuple[str, str]:
    """Return the qualifiers (`lab/vm:`) and the beginning of the name behind them."""
    cut = max(incomplete.rfind("/"), incomplete.rfind(":")) + 1
    return incomplete[:cut], incomplete[cut:]


def _scope(ctx: typer.Context, head: str) -> tuple[str | None, str | None]:
    """Return pool and class: those in front of the name, or else those of the options."""
    pool, _, cls = head.rpartition("/") if "/" in head else ("", "", head)
    given_class = cls.removesuffix(":") or ctx.params.get("class_")
    return pool or ctx.params.get("pool"), given_class.lower() if given_class else None


def _offers(
    ctx: typer.Context, sql: str, begin: str, params: dict[str, object] | None = None
) -> Sequence[tuple[str, str]]:
    from .history.database import history_file, open_for_reading

    data, database = (
        None if value is None else Path(value)
        for value in (ctx.params.get("data"), ctx.params.get("database"))
    )
    file = history_file(data_folder(data), database)
    if not file.exists():
        return []
    try:
        with open_for_reading(file) as history:
            rows = history.plain(sql, {"begin": begin, **(params or {})})
    except QueryError:
        # Being loaded by another process, of another version, or broken: a real command says so.
        return []
    return [(str(word), str(told)) for word, told in rows]
