"""The ends of lines: what was captured of a real xapi, cut at every byte."""

from pathlib import Path

import pytest

from recorder.pools.trail.ends import earlier, instant_of, is_complete, parsed

GOLDEN = Path(__file__).parents[1] / "golden" / "audit"


def captured() -> list[bytes]:
    """All lines of the frozen replies."""
    bodies = [path.read_bytes().partition(b"\r\n\r\n")[2] for path in sorted(GOLDEN.glob("*.resp"))]
    return [line for body in bodies for line in body.split(b"\n") if line]


def test_captured_lines_are_complete_and_no_part_of_one_is() -> None:
    """Names hold quotes, backslashes, brackets and parentheses; half a line never passes."""
    lines = [line for line in captured() if b"|audit] (" in line and b"(partial" not in line]
    assert len(lines) > 60
    assert any(b"\\\\'" in line and b"(paren)" in line for line in lines)
    for line in lines:
        assert is_complete(line), line
        cut = [at for at in range(len(line)) if is_complete(line[:at])]
        assert cut == [], line


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"short",
        b"Nov 23 17:00:00 host1 rsyslogd: no bracket here (at all)",
        b"[20261123T17:13:34.250Z|audit||1 x|y|audit] ('a)",
        b"[20261123T17:13:34.250Z|audit||1 x|y|audit] ('a\\')",
        b"[20261123T17:13:34.250Z|audit||1 x|y|audit] (('a')",
    ],
)
def test_other_lines_are_not_complete(line: bytes) -> None:
    """What cannot be said to be all there is not."""
    assert not is_complete(line)


def test_unclosed_quotes_are_read_once() -> None:
    """A line of a megabyte that never ends takes no longer than its length."""
    head = b"[20261123T17:13:34.250Z|audit||1 x|y|audit] ("
    assert not is_complete(head + b"'a\\\\'" * 200_000 + b")")
    assert is_complete(head + b"'a' " * 200_000 + b")")


@pytest.mark.parametrize(
    ("line", "instant"),
    [
        (b"Nov 23 17:13:34 h xapi: [20261123T17:13:34.250Z|audit", b"20261123T17:13:34.250"),
        (
            b"2026-11-23T17:22:44.8+00:00 vm xapi: [20261123T17:13:34.250Z|",
            b"20261123T17:13:34.250",
        ),
        (b"Nov 23 17:00:00 host1 rsyslogd: no bracket", b"Nov 23 17:00:00 host1"),
        (b"x [short", b"short"),
    ],
)
def test_instant_is_what_xapi_compares(line: bytes, instant: bytes) -> None:
    """21 characters behind the first bracket, or from the beginning."""
    assert instant_of(line) == instant


def test_instants_are_times_or_none() -> None:
    """What is no time in the form of xapi has none, and time is subtracted over midnight."""
    assert parsed(b"20260231T00:00:00.000") is None
    assert parsed(b"Nov 23 17:00:00 host1") is None
    assert earlier(b"20261201T00:00:01.250", 2.5) == b"20261130T23:59:58.750"
