"""Which object a word means."""

from collections.abc import Iterator

import pytest

from query.errors import AmbiguousObject, NoSuchObject
from query.history.database import History
from query.questions.objects import find, names_in
from tests.history.journals import Pool, Told, loaded


def one(name: str, uuid: str) -> dict[str, object]:
    return {"uuid": uuid, "name_label": name}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    told = Told()
    lab, east = Pool(told), Pool(told, "east")
    for pool in (lab, east):
        pool.register()
    lab.chunk(
        "vm",
        {
            "11111111-aaaa": one("web1", "aaaa1111-0000"),
            "22222222-bbbb": one("web2", "aaaa2222-0000"),
            "33333333-cccc": one("shared", "bbbb3333-0000"),
            "44444444-dddd": one("a/b:c", "dddd4444-0000"),
        },
    )
    lab.chunk("host", {"55555555-eeee": one("shared", "eeee5555-0000")})
    east.chunk("vm", {"66666666-ffff": one("web1", "ffff6666-0000")})
    lab.event("mod", "vm", "22222222-bbbb", one("renamed", "aaaa2222-0000"))
    lab.event("add", "vm", "77777777-aaaa", one("short", "77777777-0000"))
    lab.event("del", "vm", "77777777-aaaa", one("short", "77777777-0000"))
    path = tmp_path_factory.mktemp("objects") / "history.duckdb"
    with loaded(path, told.entries) as opened:
        yield opened


@pytest.mark.parametrize(
    ("word", "ref"),
    [
        ("OpaqueRef:11111111-aaaa", "11111111-aaaa"),
        ("aaaa1111-0000", "11111111-aaaa"),
        ("aaaa1", "11111111-aaaa"),
        ("AAAA1", "11111111-aaaa"),
        ("11111111", "11111111-aaaa"),
        ("lab/web1", "11111111-aaaa"),
        ("east/web1", "66666666-ffff"),
        ("east/VM:web1", "66666666-ffff"),
        ("renamed", "22222222-bbbb"),
        ("web2", "22222222-bbbb"),
        ("host:shared", "55555555-eeee"),
        ("vm:shared", "33333333-cccc"),
        ("a/b:c", "44444444-dddd"),
        ("lab/vm:a/b:c", "44444444-dddd"),
        ("short", "77777777-aaaa"),
    ],
)
def test_object_is_found(history: History, word: str, ref: str) -> None:
    """By reference, uuid, four characters of either, name now or before; class in any case."""
    assert find(history, word).ref == f"OpaqueRef:{ref}"


def test_object_is_found_within_a_pool_or_class(history: History) -> None:
    """What the options say narrows the choice."""
    assert find(history, "web1", pool="east").pool == "east"
    assert find(history, "shared", cls="Host").cls == "host"


def test_object_that_is_none_names_the_nearest(history: History) -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(NoSuchObject) as caught:
        find(history, "vm:wbe1")
    assert str(caught.value) == (
        "no recorded object is called 'vm:wbe1'; the nearest names are web1"
    )
    with pytest.raises(NoSuchObject) as caught:
        find(history, "aaa")
    assert str(caught.value) == "no recorded object is called 'aaa'"


def test_object_that_is_several_lists_them(history: History) -> None:
    """Pool, class, name and uuid of each, so that one can be chosen."""
    with pytest.raises(AmbiguousObject) as caught:
        find(history, "web1")
    assert str(caught.value) == (
        "2 objects answer to 'web1'; name one by its uuid, or as pool/class:name:"
    )
    assert caught.value.choices == (
        "east/vm:web1 (uuid ffff6666-0000)",
        "lab/vm:web1 (uuid aaaa1111-0000)",
    )


def test_names_of_references_are_found(history: History) -> None:
    """Only those that texts mention, and only of their pool."""
    text = '["OpaqueRef:11111111-aaaa", "OpaqueRef:66666666-ffff", "OpaqueRef:NULL"]'
    assert names_in(history, "lab", [text]) == {"OpaqueRef:11111111-aaaa": "web1"}
    assert names_in(history, "lab", []) == {}
