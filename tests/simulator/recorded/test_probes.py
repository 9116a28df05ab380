"""The probes of raw HTTP that were recorded with two versions are those a server is tested with."""

import re
from pathlib import Path

import pytest

from .recordings import read

PROBES = Path(__file__).parents[2] / "golden" / "wire" / "http" / "probes"
_REF = re.compile(rb"OpaqueRef:[0-9a-f-]{36}")


@pytest.mark.parametrize("folder", ["v25.32.0-http", "v24.11.0-http"])
def test_probes_of_every_version_are_tested(folder: str) -> None:
    """Both versions speak HTTP alike, to the byte: what holds for one recording holds for both."""
    tested = {
        path.stem: (path.read_bytes(), _REF.sub(b"REF", path.with_suffix(".resp").read_bytes()))
        for path in PROBES.glob("*.req")
    }
    assert len(tested) == 24
    probes = {item.name: (item.request, _REF.sub(b"REF", item.reply)) for item in read(folder)}
    assert probes == tested
