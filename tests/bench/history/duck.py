"""The events in DuckDB alone, from lines of JSON and without any change detection."""

from pathlib import Path

import duckdb

from tests.bench.history.made import lines_of

PLAIN = "CREATE TABLE events AS SELECT * FROM read_json($file)"
TOLD = """
CREATE TABLE events (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, event_id BIGINT, class VARCHAR,
    operation VARCHAR, ref VARCHAR, snapshot VARCHAR USING COMPRESSION zstd
);
INSERT INTO events SELECT seq, pool, make_timestamptz(received_at_us), event_id, class, operation,
    ref, snapshot
FROM read_json($file, format = 'newline_delimited', columns = {seq: 'BIGINT', pool: 'VARCHAR',
    received_at_us: 'BIGINT', event_id: 'BIGINT', class: 'VARCHAR', operation: 'VARCHAR',
    ref: 'VARCHAR', snapshot: 'JSON'})
"""


def load(folder: Path, sql: str, name: str) -> None:
    """Load the lines in `folder` into a new database there."""
    path = folder / name
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        *before, insert = sql.split(";")
        for statement in before:
            connection.execute(statement)
        connection.execute(insert, {"file": str(lines_of(folder))})
