"""Sessions against hosts in memory: which host, which codec, what is said when it fails."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from recorder.client import line
from recorder.client.session import Credentials, Session, open_session
from recorder.client.transport import Address, TlsPolicy
from recorder.errors import (
    LoginRefused,
    ProtocolError,
    TransportError,
    XapiFault,
)
from recorder.model import Operation
from tests.fakes import PASSWORD, SESSION, FakeHost, FakeNetwork, slave_of
from tests.wire.pools import ROOT, Pool

EVENT = {
    "id": "12",
    "timestamp": "1795452673.",
    "class": "vm",
    "operation": "mod",
    "ref": "OpaqueRef:1",
    "snapshot": {"name_label": "web"},
}


def names_of(host: FakeHost) -> list[str]:
    return [method for method, _ in host.calls]


async def test_open_session_logs_in_calls_and_logs_out(nursery: trio.Nursery) -> None:
    """A session is one login with our originator, calls that carry its ref, and one logout."""
    host = FakeHost({"VM.get_power_state": lambda _session, _vm: "Running"})
    async with Pool(nursery, xen1=host).open("xen1") as session:
        assert await session.call("VM.get_power_state", "OpaqueRef:vm", returns=str) == "Running"
        assert str(session.address) == "https://xen1:443"
        assert session.codec == "json-rpc"
    assert host.calls == [
        ("session.login_with_password", ("root", PASSWORD, "1.0", "xentrail")),
        ("VM.get_power_state", (SESSION, "OpaqueRef:vm")),
        ("session.logout", (SESSION,)),
    ]


@pytest.mark.parametrize("speaks_json", [True, False], ids=["json", "xml"])
async def test_session_offers_what_the_recorder_needs(
    nursery: trio.Nursery, speaks_json: bool
) -> None:
    """Every call of the recorder gives the same values by either codec."""
    host = FakeHost(
        {
            "event.register": lambda _session, _classes: "",
            "event.get_current_id": lambda _session: 41,
            "event.inject": lambda _session, _cls, _ref: "00000000000000000082,0",
            "event.next": lambda _session: [EVENT],
            "event.from": lambda *_: {"events": [EVENT], "valid_ref_counts": {}, "token": "t2"},
            "VM.get_all_records": lambda _session: {"OpaqueRef:1": {"domid": 3}},
            "system.listMethods": lambda: ["VM.start"],
        },
        speaks_json=speaks_json,
    )
    async with Pool(nursery, xen1=host).open("xen1") as session:
        await session.register(["*"])
        assert await session.current_id() == 41
        assert await session.inject("pool", "OpaqueRef:p") == "00000000000000000082,0"
        assert await session.list_methods() == ["VM.start"]
        records = await session.get_all_records("VM")
        assert json.loads(records["OpaqueRef:1"]) == {"domid": 3}
        answer = await session.events_from(["*"], "t1", 30)
        assert (answer.token, answer.events[0].id) == ("t2", 12)
        async with session.open_line() as second:
            (event,) = await second.next_events()
        assert (event.id, event.operation, event.cls) == (12, Operation.MOD, "vm")
        assert json.loads(event.snapshot) == {"name_label": "web"}
    assert session.codec == ("json-rpc" if speaks_json else "xml-rpc")
    assert ("event.from", (SESSION, ["*"], "t1", 30.0)) in host.calls


async def test_open_session_falls_back_to_xml_on_a_page(nursery: trio.Nursery) -> None:
    """A host that answers JSON with XML or HTML under status 200 is asked in XML."""
    host = FakeHost(speaks_json=False)
    answer = host.answer

    async def page(path: str, body: bytes) -> tuple[int, str, bytes]:
        status, kind, text = await answer(path, body)
        return 200 if status == 500 else status, kind, text

    host.answer = page  # type: ignore[method-assign]  # a host that hides its error
    async with Pool(nursery, xen1=host).open("xen1") as session:
        assert session.codec == "xml-rpc"


async def test_open_session_follows_a_member_to_its_master(nursery: trio.Nursery) -> None:
    """HOST_IS_SLAVE names the master; the session is with it, at the same port."""
    member = FakeHost({"session.login_with_password": slave_of("10.0.0.2")})
    master = FakeHost()
    pool = Pool(nursery, xen1=member, **{"10.0.0.2": master})
    async with pool.open("xen1:8443") as session:
        assert str(session.address) == "https://10.0.0.2:8443"
    assert names_of(member) == ["session.login_with_password"]
    assert names_of(master) == ["session.login_with_password", "session.logout"]


async def test_open_session_does_not_follow_members_in_a_circle(nursery: trio.Nursery) -> None:
    """Two members that name each other, in the middle of a change, end in an error."""
    left = FakeHost({"session.login_with_password": slave_of("right")})
    right = FakeHost({"session.login_with_password": slave_of("left")})
    error = await Pool(nursery, left=left, right=right).failure("left")
    assert isinstance(error, TransportError)
    assert str(error) == (
        "no address of this pool works: https://left:443 names https://right:443 as the master;"
        " https://right:443 names https://left:443 as the master"
    )
    assert len(left.calls) + len(right.calls) == 2


async def test_open_session_says_what_to_do_about_a_wrong_password(nursery: trio.Nursery) -> None:
    """A refused login names user and address, and stops; where it was refused before, no other
    address is tried, which might count as one more wrong password."""
    first, second = FakeHost(), FakeHost()
    wrong = Credentials("root", "battery staple")
    pool = Pool(nursery, xen1=first, xen2=second)
    error = await pool.failure("xen1", "xen2", credentials=wrong, gently=True)
    assert isinstance(error, LoginRefused)
    assert error.code == "SESSION_AUTHENTICATION_FAILED"
    assert str(error) == (
        "https://xen1:443 refuses user 'root' (Authentication failure);"
        " check user and password of this pool"
    )
    assert second.calls == []


def refusing(code: str, *params: str) -> FakeHost:
    def refuse(*_: object) -> object:
        raise XapiFault(code, params)

    return FakeHost({"session.login_with_password": refuse})


@pytest.mark.parametrize(
    ("host", "kind", "text"),
    [
        (
            refusing("SESSION_AUTHORIZATION_FAILED", "root", "no subject"),
            LoginRefused,
            (
                "https://xen1:443 knows user 'root', who has no role in this pool (no subject);"
                " grant one"
            ),
        ),
        (
            refusing("HOST_STILL_BOOTING"),
            XapiFault,
            "https://xen1:443 is starting or cut off from its pool: HOST_STILL_BOOTING",
        ),
        (
            refusing("INTERNAL_ERROR", "session.login_with_password", "AD is starting"),
            XapiFault,
            (
                "https://xen1:443 refuses the login: INTERNAL_ERROR session.login_with_password"
                " AD is starting"
            ),
        ),
    ],
    ids=["no-role", "booting", "internal"],
)
async def test_open_session_explains_a_refusal(
    nursery: trio.Nursery, host: FakeHost, kind: type[XapiFault], text: str
) -> None:
    """The fault of a login is a sentence with the address."""
    error = await Pool(nursery, xen1=host).failure("xen1")
    assert type(error) is kind
    assert str(error) == text


async def test_open_session_takes_the_first_address_that_works(nursery: trio.Nursery) -> None:
    """A dead host is passed over."""
    pool = Pool(nursery, xen2=FakeHost())
    async with pool.open("xen1", "xen2") as session:
        assert str(session.address) == "https://xen2:443"


async def test_open_session_names_every_address_that_failed(nursery: trio.Nursery) -> None:
    """When nothing works, one line says each address with its reason."""
    member = FakeHost({"session.login_with_password": slave_of("10.0.0.9")})
    pool = Pool(nursery, xen2=refusing("HOST_STILL_BOOTING"), xen3=member)
    error = await pool.failure("xen1", "xen2", "xen3")
    assert isinstance(error, TransportError)
    assert str(error) == (
        "no address of this pool works: cannot reach https://xen1:443: connection refused; check"
        " the address and that the host is up; https://xen2:443 is starting or cut off from its"
        " pool: HOST_STILL_BOOTING; https://xen3:443 names https://10.0.0.9:443 as the master;"
        " cannot reach https://10.0.0.9:443: connection refused; check the address and that the"
        " host is up"
    )


async def test_open_session_gives_up_on_a_host_that_is_no_xapi(nursery: trio.Nursery) -> None:
    """A web server answers both codecs with a page: that is a ProtocolError."""
    host = FakeHost()

    async def page(_path: str, _body: bytes) -> tuple[int, str, bytes]:
        return 404, "text/html", b"<h1>Not Found</h1>"

    host.answer = page  # type: ignore[assignment,method-assign]  # another server altogether
    error = await Pool(nursery, xen1=host).failure("xen1")
    assert isinstance(error, ProtocolError)
    assert str(error) == "https://xen1:443/ answers HTTP 404: Not Found"


async def test_call_does_not_log_in_again_when_the_session_is_lost(nursery: trio.Nursery) -> None:
    """A new login would hide a gap: SESSION_INVALID is raised as it is, without the ref."""

    def invalid(session: str) -> object:
        raise XapiFault("SESSION_INVALID", (session,))

    host = FakeHost({"event.next": invalid})
    with pytest.raises(XapiFault) as caught:
        async with Pool(nursery, xen1=host).open("xen1") as session:
            await session.next_events()
    assert (caught.value.code, str(caught.value)) == ("SESSION_INVALID", "SESSION_INVALID")
    assert names_of(host).count("session.login_with_password") == 1


async def test_next_events_waits_on_its_own_connection(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A blocked `event.next` does not keep other calls waiting."""

    async def later(_session: str) -> object:
        await trio.sleep(60)
        return [EVENT]

    host = FakeHost({"event.next": later, "event.get_current_id": lambda _session: 5})
    pool = Pool(nursery, xen1=host)
    async with pool.open("xen1") as session, session.open_line() as second:
        batches: list[int] = []

        async def drain() -> None:
            batches.append(len(await second.next_events()))

        async with trio.open_nursery() as inner:
            inner.start_soon(drain)
            await trio.sleep(1)
            assert await session.current_id() == 5
            assert batches == []
    assert batches == [1]
    assert len(pool.network.dialled) == 2


async def test_calls_on_one_line_wait_for_each_other(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """HTTP/1.1 carries one call at a time; two tasks may still share a session."""

    async def slow(_session: str) -> int:
        await trio.sleep(10)
        return 7

    pool = Pool(nursery, xen1=FakeHost({"event.get_current_id": slow}))
    async with pool.open("xen1") as session, trio.open_nursery() as inner:
        inner.start_soon(session.current_id)
        inner.start_soon(session.current_id)
    assert len(pool.network.dialled) == 1
    assert trio.current_time() >= 20


@pytest.mark.parametrize(
    ("call", "limit"),
    [
        (lambda session: session.call("VM.start", returns=str), "60"),
        (lambda session: session.events_from(["*"], "", 30.0), "90"),
    ],
    ids=["call", "events_from"],
)
async def test_calls_end_when_the_time_is_up(
    nursery: trio.Nursery,
    autojump_clock: object,
    call: Callable[[Session], Awaitable[object]],
    limit: str,
) -> None:
    """Every call has a limit; that of `event.from` comes after the server's own."""

    async def never(*_: object) -> object:
        await trio.sleep_forever()

    host = FakeHost({"VM.start": never, "event.from": never, "session.logout": never})
    with pytest.raises(TransportError) as caught:
        async with Pool(nursery, xen1=host).open("xen1") as session:
            await call(session)
    assert str(caught.value).startswith(f"https://xen1:443 did not answer within {limit} s")
    assert trio.current_time() < 100


async def test_session_logs_out_when_it_is_cancelled(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A cancelled recorder does not leave its session on the server."""

    async def never(_session: str) -> object:
        await trio.sleep_forever()

    host = FakeHost({"event.next": never})
    with trio.move_on_after(10):
        async with Pool(nursery, xen1=host).open("xen1") as session:
            await session.next_events()
    assert host.calls[-1] == ("session.logout", (SESSION,))
    assert trio.current_time() < 11


async def test_logout_takes_two_seconds_at_most(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A host that is gone does not hold up the end, and its silence is no error."""

    async def never(_session: str) -> object:
        await trio.sleep_forever()

    async with Pool(nursery, xen1=FakeHost({"session.logout": never})).open("xen1"):
        started_s = trio.current_time()
    assert trio.current_time() - started_s == pytest.approx(2.0)


async def test_line_connects_again_after_a_long_silence(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """A connection that was idle for long may be forgotten by a firewall: it is not trusted."""
    pool = Pool(nursery, xen1=FakeHost({"event.get_current_id": lambda _session: 1}))
    async with pool.open("xen1") as session:
        await trio.sleep(line.IDLE_S_MAX - 1)
        await session.current_id()
        assert len(pool.network.dialled) == 1
        await trio.sleep(line.IDLE_S_MAX)
        await session.current_id()
        assert len(pool.network.dialled) == 2


@pytest.mark.parametrize(
    ("speaks_json", "inline_bytes_max"),
    [(True, line.INLINE_JSON_BYTES_MAX), (False, line.INLINE_XML_BYTES_MAX)],
    ids=["json", "xml"],
)
async def test_large_answers_are_decoded_in_a_thread(
    nursery: trio.Nursery, *, speaks_json: bool, inline_bytes_max: int
) -> None:
    """A large answer does not hold the event loop; a small one does not pay for a thread."""
    sizes: list[int] = []

    async def run_sync(call: Callable[[], Any], /) -> Any:
        sizes.append(1)
        return call()

    big = {"OpaqueRef:1": {"name_label": "x" * inline_bytes_max}}
    host = FakeHost(
        {"VM.get_all_records": lambda _: big, "VDI.get_all_records": lambda _: {}},
        speaks_json=speaks_json,
    )
    network = FakeNetwork(nursery, {"xen1": host})
    addresses = [Address.parse("https://xen1")]
    async with open_session(
        addresses, TlsPolicy(), ROOT, dial=network.dial, run_sync=run_sync
    ) as session:
        assert await session.get_all_records("VDI") == {}
        assert sizes == []
        assert len((await session.get_all_records("VM"))["OpaqueRef:1"]) > inline_bytes_max
    assert sizes == [1]


def echoing(*told: object) -> object:
    raise XapiFault("INTERNAL_ERROR", tuple(str(one) for one in told))


async def test_secrets_are_in_no_repr_and_no_error(nursery: trio.Nursery) -> None:
    """Neither the password nor the session ref is shown, even if the host says them back."""
    host = FakeHost({"VM.start": echoing})
    async with Pool(nursery, xen1=host).open("xen1") as session:
        with pytest.raises(XapiFault) as caught:
            await session.call("VM.start", "OpaqueRef:vm", returns=str)
        shown = [repr(session), str(session), repr(ROOT), str(ROOT)]
    assert str(caught.value) == "INTERNAL_ERROR *** OpaqueRef:vm"
    assert caught.value.params == ("***", "OpaqueRef:vm")
    login = FakeHost({"session.login_with_password": echoing})
    error = await Pool(nursery, xen1=login).failure("xen1")
    assert str(error).endswith("refuses the login: INTERNAL_ERROR root *** 1.0 xentrail")
    for one in (caught.value, error):
        cause: BaseException | None = one
        while cause is not None:
            shown += [repr(cause), str(cause)]
            cause = cause.__cause__
    assert not any(secret in text for text in shown for secret in (PASSWORD, SESSION))
