"""A whole pool as it was at one moment: all its objects, to be served instead of a made-up pool.

Where an image comes from, a dump of a database or a journal, is the business of others.
"""

from collections.abc import Mapping

import msgspec

from ..errors import ConfigError
from .database import Database
from .datamodel import classes
from .relations import relations
from .rows import MESSAGE
from .values import NULL_REF, Record, Value

UNSERVED = frozenset({"role", "session", "task"})
"""Classes that no image brings along: sessions and tasks end with the process of the server, and
roles come with it."""

_UNNAMED = "pool-1"
"""How a pool without a name is announced: most pools of a single host have none."""
_NAME_LETTERS_MAX = 64
"""The name stands in the certificate, too, where no more fit."""

_UNDER_WAY = frozenset({"current_operations", "scheduled_to_be_resident_on"})
"""Fields that speak of operations under way: those, too, ended with the process of the server."""

Tables = Mapping[str, Mapping[str, Record]]
"""Objects by class and reference. A record may lack fields, which get their default, and may have
fields that its class does not know, which are served after the others."""


class PoolImage(msgspec.Struct, frozen=True):
    """The objects of a pool, checked to be one; see `of`.

    `hosts` are references, the master's first. `generation` is the one of the database: all
    objects are shown by `event.from` as of then.
    """

    name: str
    tables: Tables
    pool_ref: str
    hosts: tuple[str, ...]
    generation: int

    @classmethod
    def of(cls, tables: Tables, *, source: str, generation: int = 1) -> "PoolImage":
        """Return the image of a pool; `source` names where it is from, for errors.

        Raises ConfigError unless there is one pool with a master that exists.
        """
        pools = tables.get("pool", {})
        if len(pools) != 1:
            raise ConfigError(f"{source} holds {len(pools)} pools, not one: it cannot be served")
        ((pool_ref, pool),) = pools.items()
        hosts = tables.get("host", {})
        master = pool.get("master", NULL_REF)
        if not isinstance(master, str) or master not in hosts:
            raise ConfigError(f"{source} names {master} as master of the pool, which is no host")
        name = str(pool.get("name_label") or _UNNAMED)[:_NAME_LETTERS_MAX]
        others = tuple(sorted(ref for ref in hosts if ref != master))
        return cls(name, tables, pool_ref, (master, *others), generation)

    def count(self) -> int:
        """Return the number of objects."""
        return sum(len(rows) for rows in self.tables.values())


def restore(database: Database, image: PoolImage) -> None:
    """Fill an empty database, which is being built, with the objects of an image.

    Sets that the server keeps by itself are left to it. What a pool cannot live without is made:
    hosts and VMs have metrics, whether or not the image has them.
    """
    # Messages have a count of generations of their own; coming first keeps theirs small.
    for cls in (MESSAGE, *(cls for cls in classes() if cls not in {MESSAGE, *UNSERVED})):
        rows = image.tables.get(cls, {})
        for ref in sorted(rows):
            given = {name: rows[ref][name] for name in rows[ref] if name not in _UNDER_WAY}
            database.create(cls, given, ref, extra=True)
    for cls in ("host", "VM"):
        _make_metrics(database, cls)


def settle(database: Database, image: PoolImage) -> None:
    """Make a pool that was just set up look as if its database had been loaded right now.

    Sets follow from the other side: in descending order of the references, as xapi makes them, or
    in the order of the image where it has the same members. All objects are of the generation of
    the image, whatever was written since, and are listed in descending order of their references.
    """
    _keep_order(database, image)
    rows = database.hub.rows
    for table in rows.tables.values():
        table.rows = dict(sorted(table.rows.items(), reverse=True))
        table.recent = dict.fromkeys(table.rows)
    rows.generation = max(image.generation, len(rows.tables[MESSAGE].rows) + 1)
    rows.forget_history()


def readdress(database: Database, addresses: Mapping[str, str]) -> None:
    """Make hosts (references) and their management interfaces tell other addresses."""
    for host, address in addresses.items():
        database.write("host", host, "address", address)
    for pif in database.find("PIF", "management", True):
        host = str(database.field("PIF", pif, "host"))
        if host in addresses:
            database.write("PIF", pif, "IP", addresses[host])


def _make_metrics(database: Database, cls: str) -> None:
    for ref in database.refs(cls):
        metrics = database.field(cls, ref, "metrics")
        if not database.exists(f"{cls}_metrics", str(metrics)):
            database.write(cls, ref, "metrics", database.create(f"{cls}_metrics", {}))


def _keep_order(database: Database, image: PoolImage) -> None:
    for relation in relations():
        for ref, given in image.tables.get(relation.other_cls, {}).items():
            told = given.get(relation.other_field)
            if not isinstance(told, list) or len(told) < 2 or relation.other_cls in UNSERVED:
                continue
            row = database.row(relation.other_cls, ref)
            made = row.record[relation.other_field]
            if told != made and _members(told) == _members(made):
                row.record = {**row.record, relation.other_field: told}


def _members(value: Value) -> list[str]:
    return sorted(map(str, value)) if isinstance(value, list) else []
