"""What whoever asks the history may do: read it, and nothing else. Two walls.

The first is DuckDB's own configuration, which holds for every connection that reads: no file but
the history, no network, no extension, no setting, and bounds on memory and disk. The second lets
only statements through that ask, and says clearly that anything else is refused.
"""

import os
from pathlib import Path

import duckdb

from ..errors import BadSql

MEMORY_LIMIT = "50%"
"""Of the machine, or of the control group. What a question needs beyond that goes to the disk."""
SPILL_LIMIT = "4GiB"
"""DuckDB's own limit is 90 % of what is free, and the journal may be on the same disk."""


def reading_config(path: Path) -> dict[str, str]:
    """Return how DuckDB is configured for reading the history at `path`.

    What a question puts on the disk lies beside the history while it runs, or nowhere if nothing
    can be written there.
    """
    config = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "memory_limit": MEMORY_LIMIT,
        "max_temp_directory_size": SPILL_LIMIT,
    }
    if not os.access(path.parent, os.W_OK):
        config["temp_directory"] = ""
    return config


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Let nobody change a setting any more, through any connection of this process to the file."""
    if connection.execute("SELECT current_setting('lock_configuration')").fetchall() == [(False,)]:
        connection.execute(
            "SET GLOBAL TimeZone = 'UTC'; SET enable_progress_bar = false;"
            " SET lock_configuration = true"
        )


_ASKING = ("SELECT", "EXPLAIN", "PRAGMA", "MULTI")
_REFUSED = "the history can only be asked: write SELECT, FROM, WITH, SHOW, DESCRIBE or EXPLAIN"


def statements_of(text: str) -> list[str]:
    """Cut a text into its statements. Raises BadSql if it is no SQL, or if one does not ask."""
    try:
        statements = duckdb.extract_statements(text)
        kinds = [statement.type.name for statement in statements]
    except duckdb.Error as error:
        raise BadSql(one_line(error)) from error
    except ValueError as error:
        # A kind of statement that the library itself has no name for, such as UPDATE EXTENSIONS.
        raise BadSql(_REFUSED) from error
    if any(kind not in _ASKING for kind in kinds):
        raise BadSql(_REFUSED)
    return [statement.query.strip().removesuffix(";").rstrip() for statement in statements]


def one_line(error: duckdb.Error) -> str:
    """Return what DuckDB says without its drawing of where."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(("LINE ", "^"))]
    return " ".join(kept)
