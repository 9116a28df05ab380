"""The list of a pool's members: learned, kept, replaced."""

import json

import pytest

from recorder.model import Event, Operation
from recorder.xapi.members import MEMBERS_MAX, Members


def host(address: str) -> bytes:
    return json.dumps({"uuid": "u", "address": address}).encode()


def event(cls: str, ref: str, operation: str = "mod", **fields: str) -> Event:
    return Event(1, 0.0, cls, Operation(operation), ref, json.dumps(fields).encode())


def known() -> Members:
    """Three hosts, of which b is the master."""
    members = Members(None)
    members.begin()
    members.read("host", {ref: host(f"10.0.0.{number}") for number, ref in enumerate("abc", 1)})
    members.read("pool", {"p": json.dumps({"master": "b"}).encode()})
    return members


def test_master_comes_first() -> None:
    """Where it was last is where it is most likely to be."""
    members = known()
    assert members.news() == "10.0.0.2 10.0.0.1 10.0.0.3"
    assert members.addresses == ("10.0.0.2", "10.0.0.1", "10.0.0.3")


def test_what_is_known_is_told_once() -> None:
    """A mark is written when the list changes, and not with every baseline."""
    members = known()
    text = members.news()
    assert members.news() is None
    again = Members(text)
    again.begin()
    again.read("host", {ref: host(f"10.0.0.{number}") for number, ref in enumerate("abc", 1)})
    again.read("pool", {"p": b'{"master":"b"}'})
    assert again.news() is None


def test_list_of_the_last_epoch_serves_until_the_next_has_read_its_own() -> None:
    """In between is when it is needed."""
    members = known()
    members.news()
    members.begin()
    assert members.addresses == ("10.0.0.2", "10.0.0.1", "10.0.0.3")
    members.read("host", {"c": host("10.0.0.3")})
    assert members.news() is None, "the master is not known yet"
    members.read("pool", {"p": b'{"master":"c"}'})
    assert members.news() == "10.0.0.3", "ejected hosts are gone, not merged"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (event("host", "a", address="10.0.0.9"), "10.0.0.2 10.0.0.3 10.0.0.9"),
        (event("host", "d", "add", address="10.0.0.4"), "10.0.0.2 10.0.0.1 10.0.0.3 10.0.0.4"),
        (event("host", "c", "del"), "10.0.0.2 10.0.0.1"),
        (event("pool", "p", master="c"), "10.0.0.3 10.0.0.1 10.0.0.2"),
        (event("host", "a", address=""), "10.0.0.2 10.0.0.3"),
        (event("host", "a", address="10.0.0.1 10.6.6.6"), "10.0.0.2 10.0.0.3"),
        (event("pool", "p"), None),
        (event("vm", "a", address="10.0.0.9"), None),
    ],
)
def test_events_keep_the_list_up_to_date(change: Event, text: str | None) -> None:
    """A host that is added, moved or ejected, another master; other classes say nothing of it."""
    members = known()
    members.news()
    members.take(change)
    assert members.news() == text


def test_journal_remembers_the_list() -> None:
    """After a restart the recorder knows where to look before it has heard anything."""
    assert Members("10.0.0.2 10.0.0.1").addresses == ("10.0.0.2", "10.0.0.1")
    assert Members(None).addresses == ()


def test_list_has_an_end() -> None:
    """A broken server can tell of any number of hosts."""
    members = known()
    members.read("host", {str(number): host(f"h{number}") for number in range(10 * MEMBERS_MAX)})
    for number in range(10):
        members.take(event("host", f"more{number}", "add", address="h"))
    text = members.news()
    assert text is not None
    assert len(text.split()) == MEMBERS_MAX


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"address":7}', b"\xff"])
def test_record_that_is_none_says_nothing(raw: bytes) -> None:
    """What is no record of a host does not say where it is, and harms nobody."""
    members = known()
    members.read("host", {"a": raw, "b": host("10.0.0.2")})
    members.take(Event(1, 0.0, "pool", Operation.MOD, "p", raw))
    assert members.news() == "10.0.0.2"
