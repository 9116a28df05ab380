"""What devices offer, compared with a pool of real hosts, and names that servers make up."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from recorder.simulator import vbdstate, vifstate
from recorder.simulator.addresses import generated_mac
from recorder.simulator.database import Database
from recorder.simulator.drives import linux_name, number_of
from recorder.simulator.values import Record, Value
from tests.simulator.core.support import a_database

RECORDED = Path(__file__).parents[2] / "golden/simulator/offers/devices-cowley1.json"
CASES = json.loads(RECORDED.read_text(encoding="utf-8"))
OFFERS = {"VBD": vbdstate.offer, "VIF": vifstate.offer}


def _device(database: Database, case: Mapping[str, Mapping[str, Value]], cls: str) -> str:
    vm: Record = dict(case["vm"])
    for field, other, key in (
        ("guest_metrics", "VM_guest_metrics", "guest"),
        ("metrics", "VM_metrics", "metrics"),
    ):
        if case[key] is not None:
            vm[field] = database.create(other, case[key])
    fields: Record = {**case["device"], "VM": database.create("VM", vm)}
    if cls == "VBD" and fields["empty"] is False:
        fields["VDI"] = database.create("VDI", {"managed": True})
    return database.create(cls, fields)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_devices_offer_what_they_did_in_a_real_pool(number: int) -> None:
    """PV and HVM guests, with drivers and without, at rest and running; drives and disks.

    The order is that of a newer server, so only the sets are compared.
    """
    case, database = CASES[number], a_database()
    cls = case["cls"]
    assert sorted(OFFERS[cls](database, _device(database, case, cls))) == case["offers"]


@pytest.mark.parametrize(
    ("seed", "device", "mac"),
    [
        ("51d6a97f-6a02-66a4-e19d-67dd73b6bc24", 2, "32:88:6a:c7:6f:13"),
        ("ce60ee24-5f7d-4442-254e-336f676bd1b2", 1, "46:60:c6:24:5c:aa"),
        ("d7e05897-9bdd-2954-224b-9dc48abf77a1", 0, "32:d0:9b:ab:0b:ca"),
    ],
)
def test_mac_addresses_are_those_of_real_servers(seed: str, device: int, mac: str) -> None:
    """They come from the seed in a VM's other_config and the number of the device."""
    assert generated_mac(device, seed) == mac


@pytest.mark.parametrize(
    ("name", "number"),
    [("0", 0), ("xvdb", 1), ("hdd", 3), ("sdc", 2), ("xvda1", 0), ("xvdaa", 26), ("fda", None)],
)
def test_names_of_disks_are_numbers(name: str, number: int | None) -> None:
    """Floppies are not counted among the disks."""
    assert number_of(name) == number


def test_linux_names_go_on_after_z() -> None:
    """The number of a name is the number it was made of."""
    assert [linux_name(number) for number in (0, 25, 26, 27)] == ["xvda", "xvdz", "xvdaa", "xvdab"]
    assert [number_of(linux_name(number)) for number in range(255)] == list(range(255))
