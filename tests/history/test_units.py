"""Values with their units."""

import pytest

from query.records import FieldChange, Json
from query.units import bytes_text, with_unit
from query.values import change_text, field_text


@pytest.mark.parametrize(
    ("cls", "field", "value", "text"),
    [
        ("vm", "memory_static_max", 2147483648, "2 GiB"),
        ("vm", "memory_static_max", "2147483648", "2 GiB"),
        ("vm", "memory_target", 0, "0 bytes"),
        ("vdi", "virtual_size", 1_572_864, "1.5 MiB"),
        ("vdi", "physical_utilisation", 1_000_000, "976.56 KiB"),
        ("sr", "physical_size", 5 * 2**40, "5 TiB"),
        ("sr", "physical_size", 3000 * 2**50, "3000 PiB"),
        ("vm", "start_delay", 90, "90 s"),
        ("vm", "memory_target", 1, "1 byte"),
        ("vm", "memory_target", 4 * 2**30 + 1, "4.00 GiB"),
        ("vdi", "virtual_size", 2**53 + 1, "8.00 PiB"),
        ("pool", "ext_auth_cache_expiry", 2_592_000, "2592000 s"),
        ("vif_metrics", "io_read_kbs", 12.3456, "12.35 KiB/s"),
        ("vif_metrics", "io_read_kbs", 123456.7, "123456.7 KiB/s"),
        ("pif_metrics", "speed", 10_000, "10000 Mbit/s"),
        ("task", "progress", 0.25, "25 %"),
        ("task", "progress", 0.99999, "99.99 %"),
        ("task", "created", "20261128T03:12:00Z", "2026-11-28T03:12:00Z"),
        ("task", "finished", "19700101T00:00:00Z", "never"),
    ],
)
def test_fields_of_the_data_model_have_units(cls: str, field: str, value: Json, text: str) -> None:
    """Numbers may be texts; a time of the server is one that can be asked for."""
    assert with_unit(cls, field, value) == text


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        ("vm", "memory_static_max", "a lot"),
        ("vm", "memory_static_max", True),
        ("vm", "memory_static_max", 1.5),
        ("vm", "memory_static_max", None),
        ("vm", "name_label", 2147483648),
        ("vm", "VCPUs_max", 4),
        ("host", "memory_static_max", 2147483648),
        ("task", "created", "yesterday"),
        ("task", "progress", "nan of it"),
        ("task", "progress", "nan"),
        ("pif_metrics", "speed", "inf"),
    ],
)
def test_what_has_no_unit_is_left_alone(cls: str, field: str, value: Json) -> None:
    """No field is taken for another, and no value for what it is not."""
    assert with_unit(cls, field, value) is None


def test_negative_sizes_keep_their_sign() -> None:
    """Some storage says -1 where it does not know."""
    assert bytes_text(-1) == "-1 byte"


def test_change_that_rounding_would_hide_is_shown_exactly() -> None:
    """1.46 GiB → 1.46 GiB says nothing."""
    change = FieldChange("virtual_size", "1567890000", "1567890001")
    assert change_text("vdi", change, {}) == "virtual_size: 1567890000 → 1567890001"
    grown = FieldChange("virtual_size", "1073741824", "2147483648")
    assert change_text("vdi", grown, {}) == "virtual_size: 1 GiB → 2 GiB"
    assert change_text("vdi", FieldChange("virtual_size", None, "1024"), {}) == (
        "virtual_size: (missing) → 1 KiB"
    )
    assert field_text("vm", "name_label", "web1", {}) == "web1"
