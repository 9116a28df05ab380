"""Dumps of databases: what is read, what is left out, and what is said about a broken one."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.errors import ConfigError
from recorder.simulator import dump
from recorder.simulator.datamodel import fields
from recorder.simulator.dump import Dumped, read_dump
from recorder.simulator.dump_values import BadText, guessed, unprotected, value_of
from recorder.simulator.values import NULL_REF, DateTime, Value
from tests.simulator.images.recorded import DUMPS

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<database><manifest>'
MANIFEST = HEAD + '<pair key="generation_count" value="77"/></manifest>'
POOL = '<table name="pool"><row ref="OpaqueRef:p" master="OpaqueRef:h" name_label="Lab"/></table>'
HOSTS = '<table name="host"><row ref="OpaqueRef:h" name__label="one"/></table>'
VM = '\n<table name="VM">\n<row ref="OpaqueRef:v" {}/>\n</table>'
END = "</database>"

Read = Callable[[str], Dumped]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written(text: str) -> Dumped:
        path = tmp_path / "pool.xml"
        path.write_text(text, encoding="utf-8")
        return read_dump(path)

    return written


def _with(row: str) -> str:
    return MANIFEST + POOL + HOSTS + VM.format(row) + END


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "", ""),
        ("enum/vm_power_state", "Running", "Running"),
        ("@host", "OpaqueRef:1", "OpaqueRef:1"),
        ("@host", "", NULL_REF),
        ("bool", "true", True),
        ("bool", "false", False),
        ("int", "-9223372036854775808", -(2**63)),
        ("float", "1", 1.0),
        ("float", "0.25", 0.25),
        ("datetime", "20250131T10:11:12Z", DateTime("20250131T10:11:12Z")),
        ("datetime", "2025-01-31T10:11:12.250Z", DateTime("20250131T10:11:12Z")),
        ("set:string", "()", []),
        ("set:string", "('a' 'it\\'s' 'b\\\\c' '')", ["a", "it's", "b\\c", ""]),
        ("set:string", '("a" "say \\"b\\"")', ["a", 'say "b"']),
        ("set:int", "('1' '2')", [1, 2]),
        ("map:string:string", "()", {}),
        ("map:string:string", "(('b' '1')  ('a' '(\\'x\\')'))", {"b": "1", "a": "('x')"}),
        ("map:string:string", "(('a' '1') ('a' '2'))", {"a": "1"}),
        ("map:int:float", "(('0' '0.5'))", {"0": 0.5}),
        ("map:int:set:string", "(('0' '(\\'x\\' \\'y\\')'))", {"0": ["x", "y"]}),
    ],
)
def test_texts_become_values_of_their_type(kind: str, text: str, value: Value) -> None:
    """The database keeps text; a field's type says what it stands for."""
    found = value_of(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("bool", "yes"),
        ("int", "1.5"),
        ("int", "9223372036854775808"),
        ("float", "much"),
        ("datetime", "yesterday"),
        ("set:string", ""),
        ("set:string", "'a'"),
        ("set:string", "('a'"),
        ("set:string", "('a'))"),
        ("set:string", "(('a' 'b'))"),
        ("map:string:string", "('a' 'b')"),
        ("map:string:string", "(('a'))"),
        ("map:string:string", "(('a' 'b' 'c'))"),
        ("map:string:int", "(('a' 'b'))"),
    ],
)
def test_a_text_of_another_type_is_refused(kind: str, text: str) -> None:
    """Nothing is guessed where the type is known."""
    with pytest.raises(BadText):
        value_of(kind, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("17", 17),
        ("017", "017"),
        ("12345678901234567890", "12345678901234567890"),
        ("20250131T10:11:12Z", DateTime("20250131T10:11:12Z")),
        ("('a' 'b')", ["a", "b"]),
        ("()", []),
        ("(('a' 'b'))", {"a": "b"}),
        ("(see below)", "(see below)"),
        ("plain", "plain"),
    ],
)
def test_the_type_of_an_unknown_field_is_guessed(text: str, value: Value) -> None:
    """It looks like what it is; an empty set and an empty map look alike."""
    found = guessed(text)
    assert found == value
    assert type(found) is type(value)


def test_protected_white_space_is_restored() -> None:
    """Attributes of XML lose white space: the server writes it as %. %n %t %r, and % as %%."""
    assert unprotected("a%.b%nc%td%re%%n%_f%x") == "a b\nc\td\re%n  f%x"


# -- whole dumps -------------------------------------------------------------------------------


def test_rows_become_records(read: Read) -> None:
    """Names lose their second underscore; texts get the types of the data model."""
    row = (
        'name__label="web%.1" memory__target="1024" other_config="((\'a\' \'b\'))"'
        ' _ref="OpaqueRef:v" __ctime="5" __mtime="9"'
    )
    image = read(_with(row)).image
    assert image.tables["VM"] == {
        "OpaqueRef:v": {"name_label": "web 1", "memory_target": 1024, "other_config": {"a": "b"}}
    }
    assert (image.name, image.pool_ref, image.generation) == ("Lab", "OpaqueRef:p", 77)


def test_a_field_that_nobody_knows_is_kept(read: Read) -> None:
    """A newer server may have more fields than the data model."""
    (vm,) = read(_with('colour="blue" uuid="u"')).image.tables["VM"].values()
    assert vm == {"colour": "blue", "uuid": "u"}


def test_what_a_server_makes_anew_is_left_out(read: Read) -> None:
    """Sets that mirror another side, and metrics that are only kept in memory."""
    text = _with('VBDs="(\'OpaqueRef:x\')" uuid="u"').replace(
        END, '<table name="VBD"><row ref="OpaqueRef:b" reserved="false" mode="RO"/></table>' + END
    )
    tables = read(text).image.tables
    assert tables["VM"]["OpaqueRef:v"] == {"uuid": "u"}
    assert tables["VBD"]["OpaqueRef:b"] == {"mode": "RO"}


def test_sessions_and_tasks_of_a_dump_are_gone(read: Read) -> None:
    """They ended with the server that wrote it."""
    text = _with("").replace(END, '<table name="task"><row ref="OpaqueRef:t" x="1"/></table>' + END)
    dumped = read(text)
    assert not dumped.image.tables["task"]
    assert dumped.left_out == {}


def test_a_table_without_a_class_is_told(read: Read) -> None:
    """Rows that the API has no class for can't be served, and aren't dropped in silence."""
    rows = '<row ref="OpaqueRef:1"/><row ref="OpaqueRef:2"/>'
    dumped = read(MANIFEST + POOL + HOSTS + f'<table name="hologram">{rows}</table>' + END)
    assert dumped.left_out == {"hologram": 2}


def test_internal_fields_are_none_of_the_model() -> None:
    """What the model has is shown; only fields of memory are emptied, and they exist."""
    for cls, names in dump.INTERNAL.items():
        assert not names & fields(cls).keys()
    for cls, names in dump.VOLATILE.items():
        assert names <= fields(cls).keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no XML (no element found)"),
        (MANIFEST + POOL, "line 2: no XML (no element found)"),
        ("nonsense", "line 1: no XML (syntax error)"),
        ("<html/>", "line 1: no dump: <html>"),
        ("<database><row/></database>", "line 1: no dump: <row> in <database>"),
        (
            '<!DOCTYPE d [<!ENTITY a "aaaa">]><database/>',
            "line 1: a document type, which no dump has",
        ),
        (
            _with('memory__target="lots"'),
            "line 4, table VM, row OpaqueRef:v, field memory__target: 'lots' is not a whole number",
        ),
        (
            _with("other_config=\"(('a'))\""),
            "line 4, table VM, row OpaqueRef:v, field other_config: \"(('a'))\" is not a map such",
        ),
        (
            _with('uuid="1"/><row ref="OpaqueRef:v"'),
            "line 4, table VM, row OpaqueRef:v: a row that is there twice",
        ),
        (_with("").replace(' ref="OpaqueRef:v"', ""), "line 4, table VM, row : a row without a"),
    ],
)
def test_a_broken_dump_says_where(read: Read, text: str, message: str) -> None:
    """File, line, table, row and field; exit code 2."""
    with pytest.raises(ConfigError) as error:
        read(text)
    assert f"pool.xml, {message}" in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MANIFEST + HOSTS + END, "holds 0 pools, not one: it cannot be served"),
        (MANIFEST + POOL + END, "names OpaqueRef:h as master of the pool, which is no host"),
        (_with("").replace('"77"', '"many"'), "generation_count 'many' is no number"),
    ],
)
def test_a_dump_without_a_pool_is_refused(read: Read, text: str, message: str) -> None:
    """A database of something else, or half of one."""
    with pytest.raises(ConfigError) as error:
        read(text)
    assert message in str(error.value)


def test_a_compressed_dump_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    path = tmp_path / "pool.xml.gz"
    path.write_bytes(gzip.compress(b"<database/>"))
    with pytest.raises(ConfigError, match="compressed; unpack it with gunzip first"):
        read_dump(path)


def test_a_missing_dump_is_refused(tmp_path: Path) -> None:
    """The message is that of the system."""
    with pytest.raises(ConfigError, match=r"no\.xml cannot be read: No such file or directory"):
        read_dump(tmp_path / "no.xml")


def test_a_tag_without_end_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are read one by one; what claims to be a row of gigabytes is none."""
    monkeypatch.setattr(dump, "_TAG_BYTES_MAX", 200_000)
    path = tmp_path / "pool.xml"
    path.write_text(_with('name__label="' + "a" * 1_000_000 + '"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="a tag is longer than 200,000 bytes"):
        read_dump(path)


def test_a_dump_without_end_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are kept in memory, so there is a limit."""
    monkeypatch.setattr(dump, "_ROWS_MAX", 2)
    with pytest.raises(ConfigError, match="more than 2 rows, which no pool has"):
        read(_with(""))


def test_the_golden_dump_is_read_whole() -> None:
    """Every row of every table, and a generation."""
    image = read_dump(DUMPS / "pool.xml").image
    rows = (DUMPS / "pool.xml").read_text(encoding="utf-8").count("<row ")
    assert (image.count(), image.generation) == (rows, 6880)
