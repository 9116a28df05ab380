"""One test a field: no secret of a record is left, and nothing else is lost."""

import json
import re

import pytest

from recorder.redaction.masks import PREFIX
from tests.redaction.secrets import (
    KEY,
    PLACES,
    SECRET,
    SESSION,
    SPELLINGS,
    UUID,
    Place,
    Spell,
    Value,
    compact,
    redactor,
)

MASK = re.compile(PREFIX + "[0-9a-f]{16}")


def shape(value: Value) -> object:
    """Return a value with its texts left out: types and keys."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_secret_of_a_field_is_replaced(place: Place, spell: Spell) -> None:
    """However the record is written, the secret is gone, and what is around it stays."""
    record = place.record()
    clean = redactor().record(place.cls.lower(), spell(record))
    told = json.loads(clean)
    text = json.dumps(told)
    assert SECRET not in text
    assert MASK.search(text)
    assert [open_ for open_ in place.open if open_ not in text] == []
    assert shape(told) == shape(record)
    assert {**told, place.field: None} == {**record, place.field: None}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_all_but_the_field_stays_to_the_byte(place: Place) -> None:
    """What stands before and behind the value of the field is what the server sent."""
    raw = compact(place.record())
    clean = redactor().record(place.cls.lower(), raw)
    before, after = raw.split(compact(place.value))
    assert clean.startswith(before)
    assert clean.endswith(after)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_digest_tells_the_same_secret_from_another(place: Place) -> None:
    """The same secret is replaced by the same text, another or another key by another text."""
    raw = compact(place.record())
    other = raw.replace(SECRET.encode(), b"another")
    cls = place.cls.lower()
    clean = redactor().record(cls, raw)
    assert redactor().record(cls, raw) == clean
    assert redactor().record(cls, other) != clean
    assert redactor(key=KEY[::-1]).record(cls, raw) != clean


@pytest.mark.parametrize("empty", ["", {}, [], {"password": ""}, [""]])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_empty_value_stays_empty(place: Place, empty: Value) -> None:
    """Where nothing is, nothing is hidden: the record is the very one that came."""
    raw = compact(place.record() | {place.field: empty})
    assert redactor().record(place.cls.lower(), raw) == raw


@pytest.mark.parametrize("key", ["password", "PassWd", "chapuser", "auth", "xo:token", "api_key"])
def test_keys_are_known_by_words_in_upper_and_lower_case(key: str) -> None:
    """A word anywhere in a key makes its value secret."""
    raw = compact({"other_config": {key: SECRET, "folder": "/Prod"}})
    clean = redactor().record("vm", raw)
    assert SECRET.encode() not in clean
    assert b'"folder":"/Prod"' in clean


@pytest.mark.parametrize(
    ("key", "value", "stays"),
    [
        ("cifspassword_secret", UUID, True),
        ("cifspassword_secret", UUID.upper(), True),
        ("cifspassword_secret", SECRET, False),
        ("cifspassword_secret", f"{UUID} {SECRET}", False),
        ("cifspassword", UUID, False),
        ("cifspassword_secret_", UUID, False),
        ("secret", UUID, False),
    ],
)
def test_uuid_of_a_secret_object_stays(key: str, value: str, stays: bool) -> None:
    """`…_secret` that holds a uuid names an object, and is no secret; everything else is."""
    raw = compact({"device_config": {key: value}})
    clean = redactor().record("pbd", raw)
    assert (clean == raw) is stays
    assert (value.encode() in clean) is stays


REF = "OpaqueRef:7d2186d3-e323-4e54-b711-5c02f44d7e40"


@pytest.mark.parametrize(
    "result",
    [
        "",
        "<value></value>",
        f"<value>{REF}</value>",
        "<value>OpaqueRef:NULL</value>",
        f"<value><array><data><value>{REF}</value><value>{REF}</value></data></array></value>",
        "<value><boolean>1</boolean></value>",
    ],
)
def test_result_of_a_task_that_names_objects_stays(result: str) -> None:
    """Which VM a clone made is no secret."""
    raw = compact({"status": "success", "result": result})
    assert redactor().record("task", raw) is raw


@pytest.mark.parametrize(
    "error",
    [
        ["VM_BAD_POWER_STATE", REF, "halted", "running"],
        ["HANDLE_INVALID", "VM", REF],
        ["SR_BACKEND_FAILURE_47", "", "", ""],
        [],
    ],
)
def test_error_without_a_secret_stays(error: list[Value]) -> None:
    """Why a task failed is what a history is asked for."""
    raw = compact({"error_info": error})
    assert redactor().record("task", raw) == raw


def test_reference_of_a_living_session_is_replaced_anywhere() -> None:
    """In a field that nobody would look into, in a longer text, and as a key."""
    raw = compact(
        {"name_label": SESSION, "location": f"https://h/?id={SESSION}", "m": {SESSION: 1}}
    )
    clean = redactor().record("console", raw, [SESSION.encode()])
    assert SESSION.encode() not in clean
    assert len(set(MASK.findall(clean.decode()))) == 1
    assert redactor().record("console", raw) == raw


@pytest.mark.parametrize(
    "text",
    [
        b'{"other_config":{"password":"S3cr3t-hunter2","password":"S3cr3t-hunter2"}}',
        b'{"other_config":{"password":"S3cr3t-hunter2"},"other_config":{}}',
        b'{"other_config":{"password":"S3cr3t-hunter2"},"other_config":{"a":"b"}}',
        b'{"other_config":{"a":"b"},"other_config":{"password":"S3cr3t-hunter2"}}',
        b'{"snapshot_metadata":"S3cr3t-hunter2","snapshot_metadata":""}',
        b'{"snapshot_metadata":"","snapshot_metadata":"S3cr3t-hunter2"}',
        b'{"other_config":{"a":{"password":"S3cr3t-hunter2"}}}',
        b'{"other_config":{"a":[{"password":"S3cr3t-hunter2"}]}}',
        b'{"other_config":{"password":{"a":["S3cr3t-hunter2"]}}}',
        b'{"other_config":{"password":["S3cr3t-hunter2"],"a":"}\\"}"}}',
        b'{"other_config":{"a":"\\"}","password":"S3cr3t-hunter2"}}',
        b'{"other_config":{"\\u0070assword":"S3cr3t-hunter2"}}',
        b'{"other\\u005fconfig":{"password":"S3cr3t-hunter2"}}',
        b'{"other_config":"S3cr3t-hunter2"}',
        b'{"other_config":["S3cr3t-hunter2",{"password":"S3cr3t-hunter2"}]}',
        b'{"xenstore_data":["S3cr3t-hunter2"]}',
        b'{"xenstore_data":"S3cr3t-hunter2"}',
        b'{ "other_config" : { "password" : "S3cr3t-hunter2" } }',
        b'["S3cr3t-hunter2"]',
        b'"S3cr3t-hunter2"',
    ],
)
def test_secret_is_found_however_odd_the_record(text: bytes) -> None:
    """Duplicates, nesting, escapes and wrong types: what no real server sends hides nothing."""
    clean = redactor().record("vm", text)
    assert SECRET.encode() not in clean
    json.loads(clean)


def test_number_under_a_secret_key_is_no_number_any_more() -> None:
    """A PIN is replaced, too; what is true, false or null tells nothing."""
    clean = redactor().record("vm", b'{"other_config":{"passcode":1234,"auth":true,"n":5}}')
    told = json.loads(clean)["other_config"]
    assert MASK.fullmatch(told["passcode"])
    assert (told["auth"], told["n"]) == (True, 5)


def test_policy_of_the_configuration_adds_and_takes_away() -> None:
    """Words, open keys and rules of fields decide; of every class and of one."""
    raw = compact(
        {"NVRAM": {"a": "b"}, "name_label": SECRET, "other_config": {"pin": "1", "k": ""}}
    )
    rules = {"VM.NVRAM": "keep", "VM.name_label": "whole"}
    told = json.loads(redactor(rules, words=("PIN",)).record("vm", raw))
    assert told["NVRAM"] == {"a": "b"}
    assert MASK.fullmatch(told["name_label"])
    assert MASK.fullmatch(told["other_config"]["pin"])
    open_ = redactor({"*.other_config": "keep"})
    raw = compact({"other_config": {"password": SECRET}})
    assert open_.record("vbd", raw) == raw


def test_policy_has_a_digest_of_its_own() -> None:
    """Readers of a journal can tell whether the rules, or the key, were the same."""
    plain, same = redactor().in_force, redactor({"VM.NVRAM": "whole"}).in_force
    assert plain == same
    assert redactor({"VM.NVRAM": "keep"}).in_force["redaction"] != plain["redaction"]
    assert redactor(words=("pin",)).in_force["redaction"] != plain["redaction"]
    other_key = redactor(key=KEY[::-1]).in_force
    assert other_key["redaction"] == plain["redaction"]
    assert other_key["redaction_key"] != plain["redaction_key"]
