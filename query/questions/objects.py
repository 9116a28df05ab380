"""Which object a word means: a reference, a uuid, the beginning of one, or a name."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec

from ..errors import AmbiguousObject, NoSuchObject, NoSuchPool
from ..history.database import History

CHOICES_MAX = 12
_NAMES_MAX = 50_000
_REF = re.compile(r"OpaqueRef:[0-9A-Za-z-]+")
_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{3,35}")


class Found(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object that was recorded at some time; `name` is its last known one.

    `first_seq` is the entry that told of it first, None if nobody looked (see `number_of`).
    """

    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    gone: bool
    first_seq: int | None = None

    def __str__(self) -> str:
        state = ", gone" if self.gone else ""
        return f"{self.pool}/{self.cls}:{self.name or '-'} (uuid {self.uuid or '-'}{state})"


_FOUND = "SELECT pool, class, ref, uuid, name, gone, first_seq FROM objects o WHERE"
_SCOPE = "($pool IS NULL OR pool = $pool) AND ($class IS NULL OR class = $class)"
# Tried in this order; the first that finds anything is what was meant.
_MEANINGS = (
    "ref = $word",
    "uuid = $word",
    "name = $word",
    "(starts_with(uuid, $prefix) OR starts_with(ref, 'OpaqueRef:' || $prefix))",
    "(pool, class, ref) IN (SELECT (pool, class, ref) FROM events WHERE name = $word)",
)


def find(history: History, word: str, *, pool: str | None = None, cls: str | None = None) -> Found:
    """Return the one object that a word means.

    The word may be qualified: `vm:web1`, `lab/web1`, `lab/vm:web1`; classes in any case. Raises
    NoSuchObject with the nearest names, or AmbiguousObject with the choices.
    """
    check_pool(history, pool)
    cls = None if cls is None else cls.lower()
    for bare, in_pool, of_class in _readings(history, word, pool, cls):
        for meaning in _MEANINGS:
            found = _matching(history, meaning, bare, in_pool, of_class)
            if len(found) == 1:
                return found[0]
            if found:
                raise _ambiguous(word, found)
    raise NoSuchObject(_nothing(history, word))


def _readings(
    history: History, word: str, pool: str | None, cls: str | None
) -> list[tuple[str, str | None, str | None]]:
    """Return word, pool and class: the word as it is, then with its qualifiers taken off."""
    readings = [(word, pool, cls)]
    head, slash, rest = word.partition("/")
    if slash and head in pools(history):
        readings.append((rest, head, cls))
    for bare, in_pool, _ in list(readings):
        head, colon, rest = bare.partition(":")
        if colon and head != "OpaqueRef":
            readings.append((rest, in_pool, head.lower()))
    return readings


def _matching(
    history: History, meaning: str, word: str, pool: str | None, cls: str | None
) -> list[Found]:
    params: dict[str, object] = {"pool": pool, "class": cls}
    if "$prefix" in meaning:
        prefix = word.removeprefix("OpaqueRef:")
        if not _PREFIX.fullmatch(prefix):
            return []
        params["prefix"] = prefix.lower()
    else:
        params["word"] = word
    order = "ORDER BY gone, pool, class, name, first_seq DESC"
    return history.all(Found, f"{_FOUND} {_SCOPE} AND {meaning} {order}", params)


def _ambiguous(word: str, found: Sequence[Found]) -> AmbiguousObject:
    choices = [str(one) for one in found[:CHOICES_MAX]]
    if len(found) > CHOICES_MAX:
        choices.append(f"and {len(found) - CHOICES_MAX} more")
    text = f"{len(found)} objects answer to {word!r}; name one by its uuid, or as pool/class:name:"
    return AmbiguousObject(text, choices)


class _Name(msgspec.Struct):
    name: str


def _nothing(history: History, word: str) -> str:
    sql = f"""
        SELECT DISTINCT name FROM objects
        WHERE name IS NOT NULL AND class NOT IN ('task', 'message') LIMIT {_NAMES_MAX}
    """  # noqa: S608  # a number of ours
    names = sorted(row.name for row in history.all(_Name, sql))
    bare = word.rpartition("/")[2].rpartition(":")[2]
    near = get_close_matches(bare, names, n=5, cutoff=0.5)
    hint = f"; the nearest names are {', '.join(near)}" if near else ""
    return f"no recorded object is called {word!r}{hint}"


def pools(history: History) -> list[str]:
    """Return the names of the pools that were recorded."""
    sql = "SELECT pool FROM pools ORDER BY pool"
    return list(
        history.once("pools", lambda: tuple(str(pool) for (pool,) in history.plain(sql, {})))
    )


def check_pool(history: History, pool: str | None) -> None:
    """Raise NoSuchPool unless `pool` is None or was recorded."""
    names = pools(history)
    if pool is not None and pool not in names:
        known = f"the history has {', '.join(names)}" if names else "the history has none yet"
        raise NoSuchPool(f"no pool is called {pool!r}; {known}")


def number_of(history: History, found: Found) -> int:
    """Return the number by which the rows of an object are found, 0 if it was never recorded.

    It is the column `object`. Measured in a million events, beside pool, class and reference: its
    rows are found in half the time, because no text has to be unpacked to look for them.
    """
    if found.first_seq is not None:
        return found.first_seq
    rows = history.plain(
        "SELECT first_seq FROM objects WHERE pool = $pool AND class = $class AND ref = $ref",
        {"pool": found.pool, "class": found.cls, "ref": found.ref},
    )
    return msgspec.convert(rows[0][0], int) if rows else 0  # Entries count from 1.


class _Named(msgspec.Struct):
    ref: str
    name: str


def names_in(history: History, pool: str, texts: Iterable[str]) -> dict[str, str]:
    """Return the last known name of each object of a pool that texts hold a reference to."""
    refs = sorted({ref for text in texts for ref in _REF.findall(text)})
    if not refs:
        return {}
    sql = """
        SELECT ref, name FROM objects
        WHERE pool = $pool AND name IS NOT NULL AND list_contains($refs, ref)
    """
    return {row.ref: row.name for row in history.all(_Named, sql, {"pool": pool, "refs": refs})}
