"""`xentrail check` on pools: what is well, what is not, and what to do about it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.checks import WRONG_FINGERPRINT, check, configure, pinned
from tests.cli.programs import SimulatedAt, pool_table, simulator, xentrail
from tests.cli.tls_front import tls_front

READER = "reader"


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    with simulator(
        *("--vms", "4", "--hosts", "2", "--activity", "0"),
        *("--user", f"{READER}:sesame:read-only"),
    ) as served:
        yield served


def test_pool_that_can_be_recorded_is_well(pool: SimulatedAt, tmp_path: Path) -> None:
    """Over TLS, with the read-only role: every question is answered, and the exit code is 0."""
    config = configure(tmp_path, pinned(pool, f'user = "{READER}"'), password="sesame")
    checked = check(config)
    assert checked.ailing() == []
    assert checked.code == 0
    assert checked.about(f"certificate of {pool.tls_url}")["text"] == (
        f"trusted, SHA-256 {pool.fingerprint}, valid until 2099-12-31"
    )
    assert checked.about("login")["text"] == (
        f"user 'reader' is let in by the master, {pool.tls_url}"
    )
    assert checked.about("version")["text"] == "API 2.21, XenServer 8.4.0, xapi 25.32.0"
    assert checked.about("members")["text"] == (
        "1 more that the configuration does not list answer, with trusted certificates"
    )
    assert checked.about("role: events")["text"] == (
        "allows event.get_current_id, event.register, event.next"
    )
    assert checked.about("role: records")["text"].startswith("allows get_all_records of all ")
    assert checked.about("role: audit log")["text"] == "allows to read it"
    assert checked.about("objects")["text"].endswith(" classes")
    assert checked.about("clock")["text"].startswith("within ")
    assert checked.about("event queue")["text"].startswith("no event in 1.0 s")
    assert checked.about("pool")["text"].startswith("'pool-1', uuid ")


def test_check_leaves_nothing_behind(pool: SimulatedAt, tmp_path: Path) -> None:
    """Nothing is recorded, and not a file is created."""
    config = configure(tmp_path, pinned(pool))
    before = sorted(tmp_path.rglob("*"))
    assert check(config).code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_table_has_a_line_a_finding_and_what_to_do_below(pool: SimulatedAt, tmp_path: Path) -> None:
    """For people: the verdict first, nothing cut short, the sum on stderr."""
    done = xentrail("check", "--config", str(configure(tmp_path, pool_table(pool.tls_url))))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (refused,) = [number for number, line in enumerate(lines) if line.startswith("error")]
    assert lines[refused].split(maxsplit=6) == [
        *("error", "pool", "lab", "certificate", "of", pool.tls_url),
        f"self-signed certificate; it shows SHA-256 {pool.fingerprint}, valid until 2099-12-31",
    ]
    assert lines[refused + 1].strip() == (
        "-> compare it with the console of this host; if it is that, write"
        f' tls.fingerprint = "{pool.fingerprint}"'
    )
    assert done.stderr == "xentrail: 1 error, 0 warning, 6 ok\n"


def test_wrong_password_is_said_once(pool: SimulatedAt, tmp_path: Path) -> None:
    """A wrong password is tried at one address only: directories lock accounts."""
    addresses = f'{pool.tls_url}", "{pool.tls_url.replace("127.0.0.1", "localhost")}'
    table = pool_table(addresses, extra=f'tls.fingerprint = "{pool.fingerprint}"')
    checked = check(configure(tmp_path, table, password="wrong"))
    assert checked.ailing() == [("error", "login")]
    assert checked.about("login")["text"].startswith(f"{pool.tls_url} refuses user 'root' (")
    assert checked.about("login")["text"].endswith("check user and password of this pool")


def test_missing_password_does_not_keep_the_addresses_from_being_tried(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """What can be found out without the password is found out in the same go."""
    config = configure(tmp_path, pinned(pool))
    (tmp_path / "password").unlink()
    checked = check(config)
    assert checked.ailing() == [("error", "password")]
    assert checked.about("password")["text"] == (
        f"password file {tmp_path / 'password'} cannot be read: No such file or directory"
    )
    assert checked.about(f"address {pool.tls_url}")["text"] == "answers in json-rpc"


def test_wrong_fingerprint_is_told_with_the_one_to_add(pool: SimulatedAt, tmp_path: Path) -> None:
    """Who renewed a certificate pins the new one beside those of the other hosts."""
    table = pool_table(pool.tls_url, extra=f'tls.fingerprint = "{WRONG_FINGERPRINT}"')
    checked = check(configure(tmp_path, table))
    assert checked.ailing() == [("error", f"certificate of {pool.tls_url}")]
    told = checked.about(f"certificate of {pool.tls_url}")
    assert told["text"].startswith("it is not the pinned one; it shows SHA-256 ")
    assert told["advice"].endswith(f'tls.fingerprint = "{WRONG_FINGERPRINT},{pool.fingerprint}"')


def test_unverified_certificate_is_a_warning(pool: SimulatedAt, tmp_path: Path) -> None:
    """tls.verify = false is obeyed, and is never well."""
    checked = check(configure(tmp_path, pool_table(pool.tls_url, extra="tls.verify = false")))
    assert checked.code == 1
    # The member that is not listed is taken unseen as well, and therefore reached.
    assert checked.ailing() == [("warning", f"certificate of {pool.tls_url}")]
    assert pool.fingerprint in checked.about(f"certificate of {pool.tls_url}")["advice"]
    assert checked.about("members")["text"] == "1 more that the configuration does not list answer"


def test_member_leads_to_the_master(pool: SimulatedAt, tmp_path: Path) -> None:
    """An address that is no master is as good as one: it names the master, where we log in."""
    member = pool.tls_url.replace("127.0.0.1", "127.0.0.2")
    table = pool_table(member, extra=f'tls.fingerprint = "{pool.fingerprint}"')
    checked = check(configure(tmp_path, table))
    assert checked.code == 0
    assert checked.about(f"address {member}")["text"] == (
        "answers in json-rpc; is a member, whose master is 127.0.0.1"
    )
    assert checked.about("login")["text"] == (
        f"user 'root' is let in by the master, {pool.tls_url}, which these addresses lead to"
    )


def test_unreachable_address_is_named_beside_those_that_work(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Each address is tried, and what works is still looked into."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        gone = f"https://127.0.0.1:{free.getsockname()[1]}"
        table = pool_table(
            f'{gone}", "{pool.tls_url}", "ftp://x', extra=f'tls.fingerprint = "{pool.fingerprint}"'
        )
        checked = check(configure(tmp_path, table))
    assert checked.ailing() == [("error", "addresses"), ("error", f"address {gone}")]
    assert checked.about("addresses")["text"].startswith("'ftp://x' is not an address:")
    assert checked.about(f"address {gone}")["text"] == (
        f"cannot reach {gone}: connection refused; check the address and that the host is up"
    )
    assert checked.about("login")["verdict"] == "ok"


def test_plain_http_on_loopback_is_well(pool: SimulatedAt, tmp_path: Path) -> None:
    """A simulator without TLS has no certificate to judge."""
    checked = check(configure(tmp_path, pool_table(pool.url)))
    assert checked.code == 0
    assert [one for one in checked.findings if one["point"].startswith("certificate")] == []
    assert checked.about("members")["text"] == "1 more that the configuration does not list answer"


def test_address_of_another_pool_is_found(pool: SimulatedAt, tmp_path: Path) -> None:
    """A host that does not know our session belongs to another pool."""
    with simulator("--vms", "1", "--seed", "9", "--activity", "0") as other:
        checked = check(configure(tmp_path, pool_table(f'{pool.url}", "{other.url}')))
    assert checked.ailing() == [("error", f"address {other.url}")]
    assert checked.about(f"address {other.url}")["text"] == (
        f"answers in json-rpc; is a host of another pool than {pool.url}"
    )


def test_pool_that_is_configured_twice_is_found(pool: SimulatedAt, tmp_path: Path) -> None:
    """One pool under two names would be recorded twice."""
    again = pool_table(pool.url.replace("127.0.0.1", "localhost"), name="again")
    checked = check(configure(tmp_path, pool_table(pool.url), again))
    assert checked.ailing() == [("error", "pool")]
    (twin,) = [one for one in checked.findings if one["verdict"] == "error"]
    assert twin["subject"] == "pool again"
    assert twin["text"].endswith("is pool 'lab' of this configuration, too")


def test_only_the_pools_that_are_asked_for_are_tried(pool: SimulatedAt, tmp_path: Path) -> None:
    """In a large configuration one pool can be tried by itself; a wrong name is told."""
    config = configure(tmp_path, pool_table(pool.url), pool_table("https://127.0.0.9:1", "dead"))
    assert check(config, "--pool", "lab").code == 0
    done = xentrail("check", "--config", str(config), "--pool", "lap")
    assert done.returncode == 2
    assert done.stderr == (
        f"xentrail: --pool lap: {config} has no sound pool of this name; it has lab, dead\n"
    )


def test_refused_calls_are_told_and_the_rest_is_still_tried(tmp_path: Path) -> None:
    """Every question stands by itself: the refusal of one does not hide the others."""
    rule = 'match = "{}", effect = "fault", code = "RBAC_PERMISSION_DENIED"'
    refused = ("event.register", "host.get_servertime")
    rules = [word for name in refused for word in ("--fault", rule.format(name))]
    with simulator("--vms", "1", "--hosts", "1", "--activity", "0", *rules) as served:
        checked = check(configure(tmp_path, pool_table(served.url)))
    assert checked.ailing() == [("error", "clock"), ("error", "event queue")]
    assert checked.about("clock")["advice"] == (
        "give user 'root' the role read-only, or one above it"
    )
    assert checked.about("objects")["verdict"] == "ok"


@pytest.mark.parametrize(("days", "end"), [(-1, "has expired"), (10, "expires soon")])
def test_pinned_certificate_that_expires_is_a_warning(
    pool: SimulatedAt, tmp_path: Path, days: int, end: str
) -> None:
    """The recorder takes a pinned certificate past its end; other clients of the host will not."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    with tls_front(pool.url, tmp_path, ends=ends) as front:
        pins = f'tls.fingerprint = "{front.fingerprint}"'
        checked = check(configure(tmp_path, pool_table(front.url, extra=pins)))
    told = checked.about(f"certificate of {front.url}")
    assert told["verdict"] == "warning"
    assert told["text"] == (
        f"trusted, SHA-256 {front.fingerprint}, valid until {ends.date().isoformat()}"
    )
    assert told["advice"] == f"it {end}: renew it on the host and pin the new fingerprint beside it"
    assert checked.about("login")["verdict"] == "ok"
    assert b"session.login_with_password" in b"".join(front.heard)


def test_nothing_is_sent_to_a_host_whose_certificate_was_not_verified(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Not the password, and not a byte of any other call, before somebody vouched for the host."""
    expired = datetime.now(UTC) - timedelta(days=1)
    with tls_front(pool.url, tmp_path, ends=expired) as front:
        unpinned = check(configure(tmp_path, pool_table(front.url)))
        pins = f'tls.fingerprint = "{WRONG_FINGERPRINT}"'
        other = check(configure(tmp_path, pool_table(front.url, extra=pins)))
    for checked in (unpinned, other):
        assert checked.ailing() == [("error", f"certificate of {front.url}")]
        assert front.fingerprint in checked.about(f"certificate of {front.url}")["advice"]
    assert front.heard == []


def test_host_that_is_no_xapi_is_told(tmp_path: Path) -> None:
    """A web server that is no host of a pool is told from one."""
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        checked = check(configure(tmp_path, pool_table(url)))
        listener.shutdown(socket.SHUT_RDWR)
    assert checked.ailing() == [("error", f"address {url}")]
    told = checked.about(f"address {url}")
    assert told["text"] == f"{url}/ answers HTTP 404"
    assert told["advice"] == "check that this is a host of the pool"
