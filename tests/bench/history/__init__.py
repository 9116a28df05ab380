"""The history: how fast it is loaded, how small it is, how soon it answers."""

from tests.bench.chapter import Bench, Chapter
from tests.bench.history.asking import ask
from tests.bench.history.loads import load
from tests.bench.history.made import write_food

TITLE = "The history"
EVENTS = 100_000

WORK = """
One packed journal of a made, busy pool (560 VMs, some 2,700 objects), or the same events as lines
of JSON.

- *Load*: xentrail reads the journal, compares each record with the one before, and writes events,
  changed fields and objects. DuckDB's `read_json` reads the lines, finds no changes, and keeps
  records as they come: as anybody calls it, and told the columns and that a record is text. SQLite
  gets, in one transaction, the rows that the change detection of xentrail finds, and its indices:
  what is compared there is the store.
- *Ask*: the median of several questions of each kind on an open connection. xentrail answers in
  full, with how certain that is, the gaps and who did it; SQLite answers from its indices with the
  rows alone; the walk reads lines until it knows, as audit logs without a database must. That all
  three find the same is checked.

The limits are those for a million events (`python -m tests.bench.history` measures that); a quick
run has too few for those of loading.
"""

BOUND = """
Loading is bound by Python and by one processor: reading and checking the journal, cutting records
into fields and comparing them, and making the rows that Arrow takes, in about equal parts; DuckDB
compresses and writes them beside that. `read_json` does none of it but the last, on all processors.

A question about one object looks for its number in each batch that was loaded, and unpacks what
lies there of each column, some 2,000 rows at a time: snapshots and values are packed with zstd,
thousands together, which is what makes the history a fraction of the size of SQLite's. What is left
is DuckDB's planning, 0.5 ms and more for each of a few questions. SQLite finds single rows by its
indices in no time, and is behind where many rows are counted.
"""


def measure(bench: Bench) -> Chapter:
    """Measure all of it."""
    chapter = Chapter(WORK, BOUND)
    write_food(bench.folder, bench.of(EVENTS, EVENTS // 20))
    load(bench, chapter)
    ask(bench, chapter)
    return chapter
