"""Where a line may be missing, or is not all there, nothing is sure that it could change."""

from pathlib import Path

import pytest

from recorder.model import AuditLine, Body, GapCause, GapOpened
from tests.attribution.test_hosts import (
    AT,
    DUMMY,
    HOST,
    IN_BACKGROUND,
    MARK,
    OTHER,
    OWN,
    SETS,
    SOCKET,
    USER,
    line,
    told,
)

AT_NS = int(AT.timestamp()) * 10**9
CUT = AuditLine("10.0.0.1", line("root", USER, "VM.start R:0123456789ab").line[:150], False)
ELSEWHERE = AuditLine("10.0.0.1", CUT.line.replace(b"T17:13", b"T16:13"), imported=False)
SETTER = line("root", USER, DUMMY, call=SETS)


def lost(since_s: float | None) -> GapOpened:
    """Return a gap of the trail that lasts until the event, or rather the entry, is written."""
    since_ns = None if since_s is None else AT_NS + int(since_s * 1e9)
    return GapOpened(GapCause.AUDIT_TRAIL, "lines are missing", None, since_ns)


@pytest.mark.parametrize(
    ("more", "confidence"),
    [([], "exact"), ([ELSEWHERE], "exact"), ([CUT], "likely"), ([lost(-5.0)], "likely")],
)
@pytest.mark.parametrize("known", [line("root", USER, OWN), SETTER])
def test_user_is_only_likely(
    known: AuditLine, more: list[Body], confidence: str, tmp_path: Path
) -> None:
    """Another may have lied, or set the same field: his line is the one that is not there."""
    ((_about, *whose),) = told(tmp_path, known, *more)
    assert whose == ["root", confidence, False]


@pytest.mark.parametrize(
    ("client", "more", "confidence"),
    [
        (SOCKET, CUT, "exact"),
        (SOCKET, lost(None), "exact"),
        (OTHER, ELSEWHERE, "likely"),
        (OTHER, lost(-5.0), "several"),
        (OTHER, CUT, None),
    ],
)
def test_host_is_sure_by_its_own_socket_only(
    client: str, more: Body, confidence: str | None, tmp_path: Path
) -> None:
    """The line of the user for whom a host did what another had asked it for is not there."""
    found = told(tmp_path, line(HOST, client, OWN), more)
    assert found == ([] if confidence is None else [("task", HOST, confidence, True)])


def test_what_is_suspicious_stays_so(tmp_path: Path) -> None:
    """Missing lines make nobody less suspicious."""
    found = told(tmp_path, line("root", USER, f"x {MARK}"), lost(None), task=IN_BACKGROUND[:-15])
    assert [confidence for _about, _user, confidence, _internal in found] == ["suspicious"]
