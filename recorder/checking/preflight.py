"""What a preflight finds, and how it is judged: facts in, findings out.

Nothing here asks anybody: `trial` tries pools, `premises` looks at the journal and the machine.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from ..client.address import Address
from ..client.tls import Presented, TlsPolicy
from ..config import Pool
from ..errors import CertificateRefused
from ..model import Stream

RENEW_DAYS = 30
"""So long before its end a certificate is told of: time to renew and pin it in office hours."""

CLOCK_OFFSET_S_MAX = 5.0
"""Who lays the journal beside a log of the server must not be led astray by more than this."""

QUEUE_BYTES = 10_000_000
EVENT_BYTES = 4_000
"""The server's event queue, which its subscribers share, and a record of middling size in it."""

READ_S_MIN = 5.0
"""A queue that fills up faster than this is lost to a pause that a busy disk can make."""

FILES_BASE = 64
FILES_A_POOL = 16
"""Files open at once: programs, journal and threads; a pool's three connections and those by which
it looks for its master."""

FREE_BYTES_MIN = 2 * 1024**3
"""Some weeks of a middling pool: time for somebody to see it."""

FREE_FILES_MIN = 100

NAMED_MAX = 6
_DAY_NS = 86_400 * 10**9

EVENT_CALLS = {
    Stream.REGISTER: ("event.get_current_id", "event.register", "event.next"),
    Stream.FROM: ("event.inject", "event.from"),
}
AUDIT_LOG = "http/get_audit_log"


class Verdict(StrEnum):
    """Whether something has to be done: at once (`error`), soon (`warning`), or not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was tried: of whom, what, how it is, and what to do if it is not well."""

    subject: str
    point: str
    verdict: Verdict
    text: str
    advice: str = ""


class Judge(msgspec.Struct, frozen=True):
    """Makes the findings about one subject."""

    subject: str

    def ok(self, point: str, text: str) -> Finding:
        """It is well."""
        return Finding(self.subject, point, Verdict.OK, text)

    def warning(self, point: str, text: str, advice: str) -> Finding:
        """It works, but should not stay as it is."""
        return Finding(self.subject, point, Verdict.WARNING, text, advice)

    def error(self, point: str, text: str, advice: str = "") -> Finding:
        """It does not work; without `advice` the text says what to do."""
        return Finding(self.subject, point, Verdict.ERROR, text, advice)


def all_is_well(findings: Iterable[Finding]) -> bool:
    """Say whether nobody has to do anything."""
    return all(finding.verdict is Verdict.OK for finding in findings)


def of_file(file: Path, mistakes: Sequence[str], pools: int) -> list[Finding]:
    """Judge a configuration file by its mistakes; `pools` of it can be tried."""
    judge = Judge("configuration")
    if not mistakes:
        return [judge.ok(str(file), f"read, with {_count(pools, 'pool')}")]
    return [judge.error(str(file), mistake) for mistake in mistakes]


# -- a pool -------------------------------------------------------------------------------------


def of_certificate(
    judge: Judge,
    address: Address,
    presented: Presented,
    policy: TlsPolicy,
    *,
    refusal: CertificateRefused | None,
    now_ns: int,
) -> Finding:
    """Judge the certificate that a host shows; `refusal` is why the recorder would not take it."""
    point = f"certificate of {address}"
    print_, span = presented.fingerprint, _validity(presented)
    if refusal is not None:
        return judge.error(
            point,
            f"{refusal.why}; it shows SHA-256 {print_}, {span}",
            _advice_on_refusal(policy, print_),
        )
    if not policy.verify:
        return judge.warning(
            point,
            f"taken unseen, whoever is in between reads the password; it shows SHA-256 {print_},"
            f" {span}",
            f'compare it with the console of this host; then write tls.fingerprint = "{print_}"'
            " in place of tls.verify = false",
        )
    text = f"trusted, SHA-256 {print_}, {span}"
    if presented.begins_ns is not None and now_ns < presented.begins_ns:
        return judge.warning(point, text, "it is not valid yet: set the clock of the host")
    if presented.ends_ns is not None and presented.ends_ns - now_ns < RENEW_DAYS * _DAY_NS:
        end = "has expired" if presented.ends_ns <= now_ns else "expires soon"
        pin = " and pin the new fingerprint beside it" if policy.digests else ""
        return judge.warning(point, text, f"it {end}: renew it on the host{pin}")
    return judge.ok(point, text)


def _advice_on_refusal(policy: TlsPolicy, fingerprint: str) -> str:
    if policy.ca_file is not None:
        return (
            f"check tls.ca_file ({policy.ca_file}) and the name in the address; or compare this"
            f' with the console of the host and write tls.fingerprint = "{fingerprint}" in place'
            " of tls.ca_file"
        )
    pins = f"{policy.fingerprint},{fingerprint}" if policy.fingerprint else fingerprint
    return (
        f'compare it with the console of this host; if it is that, write tls.fingerprint = "{pins}"'
    )


def _validity(presented: Presented) -> str:
    if presented.ends_ns is None:
        return "whose dates cannot be read"
    return f"valid until {_day(presented.ends_ns)}"


def of_methods(judge: Judge, methods: Iterable[str], stream: Stream) -> Finding:
    """Judge whether the server has the calls that the stream of this pool needs."""
    known = set(methods)
    missing = [call for call in EVENT_CALLS[stream] if call not in known]
    if not missing:
        return judge.ok("event calls", f"the server has {', '.join(EVENT_CALLS[stream])}")
    other = Stream.FROM if stream is Stream.REGISTER else Stream.REGISTER
    return judge.error(
        "event calls",
        f"the server has no {', '.join(missing)}",
        f'write stream = "{other.value}" for this pool',
    )


def of_role(
    judge: Judge, pool: Pool, permissions: frozenset[str] | None, classes: Sequence[str]
) -> list[Finding]:
    """Judge what a user may do; `permissions` are lower case, None if all is allowed.

    `classes` are those that a baseline reads.
    """
    if permissions is None:
        text = f"user {pool.user!r} may do everything; one with the read-only role is enough"
        return [judge.ok("role", text)]
    calls = [call for call in EVENT_CALLS[pool.stream] if call not in permissions]
    closed = [cls for cls in classes if f"{cls.lower()}.get_all_records" not in permissions]
    grant = f"give user {pool.user!r} the role read-only, or one above it"
    return [
        judge.error("role: events", f"user {pool.user!r} may not call {', '.join(calls)}", grant)
        if calls
        else judge.ok("role: events", f"allows {', '.join(EVENT_CALLS[pool.stream])}"),
        judge.error("role: records", f"user {pool.user!r} may not read {_some(closed)}", grant)
        if closed
        else judge.ok("role: records", f"allows get_all_records of all {len(classes)} classes"),
        judge.ok("role: audit log", "allows to read it")
        if AUDIT_LOG in permissions
        else judge.warning(
            "role: audit log",
            f"user {pool.user!r} may not read it: who did what stays unknown",
            grant,
        ),
    ]


def of_identity(judge: Judge, pool: Pool, *, name: str, uuid: str, known: str | None) -> Finding:
    """Judge which pool answers; `known` is the uuid that the journal has under this name."""
    if known is not None and known != uuid:
        return judge.error(
            "pool",
            f"this is pool {name!r}, uuid {uuid}; the journal holds pool {known} under the name"
            f" {pool.name!r}",
            "correct the addresses, or give the other pool a name of its own",
        )
    seen = "" if known is None else ", as recorded before"
    return judge.ok("pool", f"{name!r}, uuid {uuid}{seen}")


def of_twins(uuids: Iterable[tuple[str, str]]) -> list[Finding]:
    """Find pools (name, uuid) that are one and the same."""
    first: dict[str, str] = {}
    found: list[Finding] = []
    for name, uuid in uuids:
        twin = first.setdefault(uuid, name)
        if twin != name:
            text = f"pool {uuid} is pool {twin!r} of this configuration, too"
            advice = "keep one of the two tables, with the addresses of both"
            found.append(Judge(f"pool {name}").error("pool", text, advice))
    return found


def of_clock(judge: Judge, *, offset_s: float, error_s: float) -> Finding:
    """Judge the server's clock: `offset_s` ahead of ours, give or take `error_s`."""
    side = "ahead of" if offset_s > 0 else "behind"
    if abs(offset_s) - error_s <= CLOCK_OFFSET_S_MAX:
        return judge.ok("clock", f"within {abs(offset_s) + error_s:.1f} s of this machine's")
    return judge.warning(
        "clock",
        f"{abs(offset_s):.1f} s {side} this machine's (give or take {error_s:.1f} s)",
        "set both by NTP: the times of the server are recorded as it tells them",
    )


def of_pressure(judge: Judge, *, events: int, over_s: float) -> Finding:
    """Judge how fast the server's event queue fills: `events` were told of in `over_s`.

    Nobody can ask how full it is or who else subscribes; how long it lasts follows from its size.
    """
    rate = events / over_s
    lasts = f"{QUEUE_BYTES // 10**6} MB for all its subscribers, which the server tells no more of"
    if rate == 0:
        return judge.ok("event queue", f"no event in {over_s:.1f} s; it has {lasts}")
    full_s = QUEUE_BYTES / (rate * EVENT_BYTES)
    text = f"{rate:.0f} events/s; it has {lasts}, and lasts about {full_s:.0f} s between two reads"
    if full_s >= READ_S_MIN:
        return judge.ok("event queue", text)
    advice = 'run the recorder near the pool, on a fast disk, or write stream = "from"'
    return judge.warning("event queue", text, advice)


# -- the machine --------------------------------------------------------------------------------


def of_disk(
    judge: Judge,
    folder: str,
    *,
    free_bytes: int,
    free_files: int | None,
    segment_bytes: int,
    keeps_all: bool,
) -> Finding:
    """Judge the room on the disk of the journal; `free_files` is None where that has no limit."""
    free = f"{free_bytes / 1024**3:.1f} GiB free on the disk of {folder}"
    drop = ", or let [journal] keep_gib drop the oldest segments" if keeps_all else ""
    if free_files is not None and free_files < FREE_FILES_MIN:
        return judge.error("disk", f"{free}, but only {free_files} files", "remove some there")
    # A segment is packed beside its raw form, while the next one is written already.
    if free_bytes < 3 * segment_bytes:
        return judge.error("disk", free, f"make room{drop}: a full disk stops the recording")
    if free_bytes < FREE_BYTES_MIN:
        return judge.warning("disk", free, f"make room{drop}")
    return judge.ok("disk", free)


def of_open_files(limit: int, pools: int) -> Finding:
    """Judge the limit of open files (RLIMIT_NOFILE) of this process."""
    judge, need = Judge("machine"), FILES_BASE + FILES_A_POOL * pools
    if limit >= need:
        return judge.ok("open files", f"up to {limit}; at most {need} for {_count(pools, 'pool')}")
    return judge.error(
        "open files",
        f"up to {limit}, and up to {need} for {_count(pools, 'pool')}",
        f"raise the limit: LimitNOFILE={need} in the unit, or ulimit -n {need}",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).date().isoformat()
