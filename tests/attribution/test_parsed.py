"""The reader of lines takes apart what the simulator writes, as another reader does."""

import pytest

from query.load.trail.lines import line_in
from tests.attribution.day import day_of
from tests.attribution.told import told


@pytest.mark.parametrize("seed", range(4))
def test_every_line_is_read_as_it_was_meant(seed: int) -> None:
    """Names with quotes, brackets, backslashes and letters beyond ASCII among them."""
    names = set()
    for line in (line for lines in day_of(seed).lines.values() for line in lines):
        read, meant = line_in(line.encode()), told(line)
        assert read is not None, line
        assert read.at_us == round(meant.at_s * 1e6)
        assert (read.trackid, read.sid, read.user) == (meant.trackid, meant.sid, meant.user)
        assert (read.verdict, read.result, read.call) == (meant.verdict, meant.result, meant.call)
        atoms = [atom for item in read.arguments for atom in (item.name, item.value, item.uuid)]
        assert set(atoms) <= set(meant.arguments)
        names |= {item.value for item in read.arguments}
    assert any("é" in name for name in names)
    assert any("\\" in name for name in names)
    assert any("a|b] (c" in name for name in names)
