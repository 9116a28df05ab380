"""What constructors take: a record in which some fields must be given, others have a default."""

from collections.abc import Iterable

from .datamodel import blank
from .values import Fault, Record, Value


def given(cls: str, record: Value, required: Iterable[str]) -> Record:
    """Return the fields of a new object of a class, with the defaults of those that were not sent.

    Raises Fault FIELD_TYPE_ERROR [field] for the first required one that is missing.
    """
    assert isinstance(record, dict)
    for field in required:
        if field not in record:
            raise Fault("FIELD_TYPE_ERROR", field)
    fields = blank(cls) | record
    del fields["uuid"]
    return fields


def subset(record: Record, fields: Iterable[str]) -> Record:
    """Return only these fields of a record."""
    return {field: record[field] for field in fields}
