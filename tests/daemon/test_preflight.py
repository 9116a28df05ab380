"""How a preflight judges what it was told: facts in, verdicts and advice out."""

from pathlib import Path

import pytest

from recorder.checking.preflight import (
    Finding,
    Judge,
    Verdict,
    all_is_well,
    of_certificate,
    of_clock,
    of_disk,
    of_identity,
    of_methods,
    of_open_files,
    of_pressure,
    of_role,
    of_twins,
)
from recorder.client.address import Address
from recorder.client.tls import Presented, TlsPolicy
from recorder.config import Pool
from recorder.errors import CertificateRefused
from recorder.model import Stream

JUDGE = Judge("pool lab")
POOL = Pool(name="lab", addresses=("https://xen1",), user="audit")
ADDRESS = Address.parse("https://xen1")
GIB = 1024**3
NOW_NS = 1_790_000_000 * 10**9
ALLOWED = frozenset(
    {"event.get_current_id", "event.register", "event.next", "vm.get_all_records"}
    | {"host.get_all_records", "http/get_audit_log"}
)
GRANT = "give user 'audit' the role read-only, or one above it"


def test_all_is_well_only_without_warnings() -> None:
    """A warning is something to do, too."""
    fine = JUDGE.ok("clock", "right")
    assert all_is_well([fine])
    assert not all_is_well([fine, JUDGE.warning("clock", "late", "set it")])
    assert not all_is_well([fine, JUDGE.error("clock", "no answer")])


def verdicts(found: list[Finding]) -> list[tuple[str, Verdict]]:
    return [(one.point, one.verdict) for one in found]


def test_role_that_allows_all_that_is_needed_is_well() -> None:
    """Three findings say what the role allows: events, records, the audit log."""
    found = of_role(JUDGE, POOL, ALLOWED, ["VM", "host"])
    assert verdicts(found) == [
        ("role: events", Verdict.OK),
        ("role: records", Verdict.OK),
        ("role: audit log", Verdict.OK),
    ]


def test_role_that_lacks_something_is_told_with_what() -> None:
    """Without events or records nothing can be recorded; without the audit log it can."""
    found = of_role(JUDGE, POOL, frozenset({"event.next", "vm.get_all_records"}), ["VM", "host"])
    assert found == [
        JUDGE.error(
            "role: events", "user 'audit' may not call event.get_current_id, event.register", GRANT
        ),
        JUDGE.error("role: records", "user 'audit' may not read host", GRANT),
        JUDGE.warning(
            "role: audit log", "user 'audit' may not read it: who did what stays unknown", GRANT
        ),
    ]


def test_many_classes_that_cannot_be_read_are_told_in_short() -> None:
    """A line names some of them and counts the rest."""
    found = of_role(JUDGE, POOL, ALLOWED, [f"c{number}" for number in range(9)])
    assert found[1].text == "user 'audit' may not read c0, c1, c2, c3, c4, c5 and 3 more"


@pytest.mark.parametrize(
    ("stream", "missing", "other"),
    [(Stream.REGISTER, "event.next", "from"), (Stream.FROM, "event.from", "register")],
)
def test_server_without_the_calls_of_the_stream_is_told_the_other(
    stream: Stream, missing: str, other: str
) -> None:
    """Servers may drop one way to follow events."""
    calls = {"event.get_current_id", "event.register", "event.next", "event.inject", "event.from"}
    assert of_methods(JUDGE, calls, stream).verdict is Verdict.OK
    found = of_methods(JUDGE, calls - {missing}, stream)
    assert found == JUDGE.error(
        "event calls",
        f"the server has no {missing}",
        f'write stream = "{other}" for this pool',
    )


@pytest.mark.parametrize(
    ("offset_s", "error_s", "verdict", "text"),
    [
        (0.3, 0.5, Verdict.OK, "within 0.8 s of this machine's"),
        (-5.4, 0.5, Verdict.OK, "within 5.9 s of this machine's"),
        (7.0, 0.5, Verdict.WARNING, "7.0 s ahead of this machine's (give or take 0.5 s)"),
        (-90.0, 1.0, Verdict.WARNING, "90.0 s behind this machine's (give or take 1.0 s)"),
    ],
)
def test_clock_is_judged_by_what_is_certain(
    offset_s: float, error_s: float, verdict: Verdict, text: str
) -> None:
    """A slow answer is not taken for a wrong clock."""
    found = of_clock(JUDGE, offset_s=offset_s, error_s=error_s)
    assert (found.verdict, found.text) == (verdict, text)


@pytest.mark.parametrize(
    ("events", "verdict", "begins"),
    [
        (0, Verdict.OK, "no event in 2.0 s; it has 10 MB for all its subscribers"),
        (20, Verdict.OK, "10 events/s; it has 10 MB"),
        (2000, Verdict.WARNING, "1000 events/s; it has 10 MB"),
    ],
)
def test_pressure_is_judged_by_how_fast_the_queue_fills(
    events: int, verdict: Verdict, begins: str
) -> None:
    """How full the queue is nobody tells; how long it lasts can be reckoned."""
    found = of_pressure(JUDGE, events=events, over_s=2.0)
    assert found.verdict is verdict
    assert found.text.startswith(begins)


def test_pools_that_are_the_same_are_told_of_every_one_but_the_first() -> None:
    """Three names for one pool are two too many."""
    found = of_twins([("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")])
    assert [one.subject for one in found] == ["pool c", "pool d"]


def test_identity_is_compared_with_the_journal() -> None:
    """The journal knows which pool has a name; before the first recording nobody does."""
    for known, verdict in ((None, Verdict.OK), ("u1", Verdict.OK), ("u2", Verdict.ERROR)):
        found = of_identity(JUDGE, POOL, name="prod", uuid="u1", known=known)
        assert found.verdict is verdict


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "verdict"),
    [
        (50 * GIB, 10**6, Verdict.OK),
        (50 * GIB, None, Verdict.OK),
        (50 * GIB, 3, Verdict.ERROR),
        (GIB, 10**6, Verdict.WARNING),
        (GIB // 8, 10**6, Verdict.ERROR),
    ],
)
def test_disk_is_judged_by_bytes_and_files(
    free_bytes: int, free_files: int | None, verdict: Verdict
) -> None:
    """A disk can run out of either."""
    found = of_disk(
        Judge("journal"),
        "/data",
        free_bytes=free_bytes,
        free_files=free_files,
        segment_bytes=64 * 1024**2,
        keeps_all=True,
    )
    assert found.verdict is verdict
    assert found.text.startswith(f"{free_bytes / GIB:.1f} GiB free on the disk of /data")
    assert bool(found.advice) == (verdict is not Verdict.OK)


def test_open_files_grow_with_the_pools() -> None:
    """What does for one pool need not do for 200."""
    assert of_open_files(1024, 1).verdict is Verdict.OK
    assert of_open_files(1024, 200).verdict is Verdict.ERROR
    assert of_open_files(1024, 200).advice.endswith(
        "LimitNOFILE=3264 in the unit, or ulimit -n 3264"
    )


def test_certificate_that_cannot_be_read_is_still_told_by_its_fingerprint() -> None:
    """What no library can parse can be pinned all the same."""
    presented = Presented(b"no certificate")
    found = of_certificate(
        JUDGE,
        ADDRESS,
        presented,
        TlsPolicy(fingerprint=presented.fingerprint),
        refusal=None,
        now_ns=NOW_NS,
    )
    assert found.verdict is Verdict.OK
    assert found.text == f"trusted, SHA-256 {presented.fingerprint}, whose dates cannot be read"


def test_refusal_by_an_authority_leads_back_to_its_file(tmp_path: Path) -> None:
    """Whoever chose a CA file has it checked before he is told of a pin."""
    policy = TlsPolicy(ca_file=tmp_path / "ca.pem")
    refusal = CertificateRefused("long", why="self-signed certificate")
    presented = Presented(b"x")
    found = of_certificate(JUDGE, ADDRESS, presented, policy, refusal=refusal, now_ns=NOW_NS)
    assert found.text.startswith("self-signed certificate; it shows SHA-256 ")
    assert found.advice.startswith(f"check tls.ca_file ({tmp_path / 'ca.pem'}) and the name in")
    assert f'write tls.fingerprint = "{presented.fingerprint}"' in found.advice
