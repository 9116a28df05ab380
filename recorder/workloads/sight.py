"""How a pool is found by whoever begins or resumes a run: its objects, and who keeps its tasks."""

from collections.abc import Mapping

import msgspec

from ..client.session import Session
from .inventory import NULL_REF, Inventory, inventory_in


class Sight(msgspec.Struct, frozen=True):
    """A pool at one time.

    `records` are those of its VMs. `toolstack` names its master and when that was started: as long
    as it is the same, the pool has forgotten no task of the last hour. It is "" if that cannot be
    told. `tasks` are those that were there.
    """

    inventory: Inventory
    records: Mapping[str, bytes]
    toolstack: str
    tasks: frozenset[str]


class _Pool(msgspec.Struct):
    master: str = NULL_REF


class _Host(msgspec.Struct):
    other_config: dict[str, str] = {}


async def look_at(session: Session, pool: str) -> Sight:
    """Read a pool. Raises as the calls of `session` do, and ProtocolError."""
    vms = await session.get_all_records("VM")
    hosts = await session.get_all_records("host")
    tasks = await session.get_all_records("task")
    pools = await session.get_all_records("pool")
    inventory = inventory_in(pool, vms, hosts)
    return Sight(inventory, vms, _toolstack(pools, hosts), frozenset(tasks))


def _toolstack(pools: Mapping[str, bytes], hosts: Mapping[str, bytes]) -> str:
    try:
        (master,) = (msgspec.json.decode(text, type=_Pool).master for text in pools.values())
        host = msgspec.json.decode(hosts.get(master, b"{}"), type=_Host)
    except (msgspec.DecodeError, ValueError):
        return ""
    started = host.other_config.get("agent_start_time", "")
    return f"{master} since {started}" if started else ""
