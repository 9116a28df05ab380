"""What a client sees when something happens to the reply of its call."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.faults.rule import noise
from tests.simulator.faults.support import (
    LOGIN,
    PASSWORD,
    Client,
    Cut,
    Hung,
    Refused,
    a_stage,
    request,
)

SET = "pool.set_name_description"


def on_set(effect: str, **keys: object) -> dict[str, object]:
    """A rule for the call that all these tests make, once."""
    return {"match": SET, "effect": effect, "count": 1, **keys}


async def test_a_fault_comes_instead_of_the_call(autojump_clock: MockClock) -> None:
    """The client gets code and parameters, and nothing was done."""
    rule = on_set("fault", code="HOST_OFFLINE", params=["OpaqueRef:x"])
    async with a_stage(rule) as stage:
        client = await stage.login()
        with pytest.raises(Refused) as refused:
            await client.do(SET, stage.pool.pool_ref, "new")
        assert refused.value.args == ("HOST_OFFLINE", "OpaqueRef:x")
        assert stage.description() == ""
        await client.do(SET, stage.pool.pool_ref, "new")
        assert stage.description() == "new"


async def test_a_fault_comes_after_the_checks_of_the_call(autojump_clock: MockClock) -> None:
    """Who has no session hears of that first, as in life."""
    async with a_stage(on_set("fault", code="HOST_OFFLINE")) as stage:
        client = stage.connect()
        with pytest.raises(Refused, match="SESSION_INVALID"):
            await client.call(SET, "OpaqueRef:none", stage.pool.pool_ref, "new")


async def test_a_fault_takes_its_time_when_told_to(autojump_clock: MockClock) -> None:
    """`delay_s` holds the answer back."""
    async with a_stage(on_set("fault", code="X", delay_s=7)) as stage:
        client = await stage.login()
        begun_s = trio.current_time()
        with pytest.raises(Refused):
            await client.do(SET, stage.pool.pool_ref, "new")
        assert trio.current_time() - begun_s == 7


async def test_a_login_is_refused_as_with_a_wrong_password(autojump_clock: MockClock) -> None:
    """Right as the password is."""
    async with a_stage({"match": "session.*", "effect": "login_refused", "count": 1}) as stage:
        client = stage.connect()
        with pytest.raises(Refused) as refused:
            await client.login()
        assert refused.value.args == (
            "SESSION_AUTHENTICATION_FAILED",
            "root",
            "Authentication failure",
        )
        await client.login()


async def test_a_login_may_fail_otherwise(autojump_clock: MockClock) -> None:
    """Any fault can be given to a login."""
    rule = {"match": LOGIN, "effect": "fault", "code": "HOST_STILL_BOOTING"}
    async with a_stage(rule) as stage:
        with pytest.raises(Refused, match="HOST_STILL_BOOTING"):
            await stage.login()


async def test_a_session_expires_before_its_call(autojump_clock: MockClock) -> None:
    """Only this session is gone."""
    async with a_stage({"match": "VM.get_all", "effect": "expire_session", "count": 1}) as stage:
        first, second = await stage.login(), await stage.login()
        with pytest.raises(Refused) as refused:
            await first.do("VM.get_all")
        assert refused.value.args == ("SESSION_INVALID", first.session)
        assert await second.do("VM.get_all")


async def test_a_slow_reply_comes_late_and_the_call_was_done_at_once(
    autojump_clock: MockClock,
) -> None:
    """The change is there before the answer."""
    async with a_stage(on_set("slow", delay_s=20)) as stage:
        client = await stage.login()
        begun_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do, SET, stage.pool.pool_ref, "new")
            await trio.sleep(1)
            assert stage.description() == "new"
        assert trio.current_time() - begun_s == 20


async def test_a_stalled_reply_never_comes_and_the_connection_stays_open(
    autojump_clock: MockClock,
) -> None:
    """The call was done all the same."""
    async with a_stage(on_set("stall")) as stage:
        client = await stage.login()
        with pytest.raises(Hung) as hung:
            await client.do(SET, stage.pool.pool_ref, "new")
        assert hung.value.got == b""
        assert stage.description() == "new"


async def test_a_stall_may_end(autojump_clock: MockClock) -> None:
    """After `lasts_s` the reply comes as if nothing had been."""
    async with a_stage(on_set("stall", lasts_s=300)) as stage:
        client = await stage.login()
        begun_s = trio.current_time()
        await client.do(SET, stage.pool.pool_ref, "new")
        assert trio.current_time() - begun_s == 300


async def test_a_dripping_reply_comes_in_pieces(autojump_clock: MockClock) -> None:
    """All of it arrives, slowly."""
    async with a_stage(on_set("drip", bytes=10, pause_s=2)) as stage:
        client = await stage.login()
        begun_s = trio.current_time()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert json.loads(reply.body)["result"] == ""
        assert trio.current_time() - begun_s > 40


@pytest.mark.parametrize(("moment", "left"), [("before", ""), ("after", "new")])
async def test_a_connection_is_reset_before_or_after_the_call(
    autojump_clock: MockClock, moment: str, left: str
) -> None:
    """No reply comes; whether the call was carried out the client can't tell."""
    async with a_stage(on_set("reset", moment=moment)) as stage:
        client = await stage.login()
        with pytest.raises(Cut) as cut:
            await client.do(SET, stage.pool.pool_ref, "new")
        assert cut.value.got == b""
        assert stage.description() == left


async def test_a_connection_is_reset_during_the_call_which_goes_on(
    autojump_clock: MockClock,
) -> None:
    """The operation runs to its end without anybody waiting for it."""
    rule = {"match": "VM.start", "effect": "reset", "moment": "during", "delay_s": 0.1}
    async with a_stage(rule) as stage:
        vm = stage.halted()
        client = await stage.login()
        with pytest.raises(Cut):
            await client.do("VM.start", vm, False, False)
        assert stage.pool.database.record("VM", vm)["power_state"] == "Halted"
        await trio.sleep(60)
        assert stage.pool.database.record("VM", vm)["power_state"] == "Running"


async def test_half_a_reply_comes_and_then_the_end(autojump_clock: MockClock) -> None:
    """The bytes are the beginning of the right ones."""
    async with a_stage(on_set("half_reply", fraction=0.9)) as stage:
        client = await stage.login()
        with pytest.raises(Cut) as cut:
            await client.do(SET, stage.pool.pool_ref, "new")
        assert b'{"' in cut.value.got or cut.value.got.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_garbage_comes_instead_of_the_reply(autojump_clock: MockClock) -> None:
    """The bytes look random and are the same in every run."""
    async with a_stage(on_set("garbage", bytes=64)) as stage:
        client = await stage.login()
        await client.stream.send_all(_set(client, stage.pool.pool_ref))
        got = await client.rest()
        assert got == noise("faults of pool-1/1/1/noise/1", 64)


async def test_garbage_comes_as_the_body_of_a_reply(autojump_clock: MockClock) -> None:
    """The head is right, and so is its length."""
    async with a_stage(on_set("garbage", part="body", bytes=64)) as stage:
        client = await stage.login()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert (reply.status, len(reply.body)) == (200, 64)


@pytest.mark.parametrize(
    ("keys", "body"),
    [
        ({"text": "[", "repeat": 5000}, b"[" * 5000),
        ({"hex": "ff fe", "repeat": 2}, b"\xff\xfe\xff\xfe"),
        ({}, b""),
        ({"text": '{"result":1,"result":2}'}, b'{"result":1,"result":2}'),
    ],
)
async def test_the_body_is_what_the_rule_says(
    autojump_clock: MockClock, keys: dict[str, Any], body: bytes
) -> None:
    """Deep nesting, bad UTF-8, nothing at all, keys twice."""
    async with a_stage(on_set("body", **keys)) as stage:
        client = await stage.login()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert reply.body == body


async def test_an_endless_reply_never_ends(autojump_clock: MockClock) -> None:
    """As long as somebody reads, there is more."""
    async with a_stage(on_set("endless", bytes=1000, pause_s=1)) as stage:
        client = await stage.login()
        await client.stream.send_all(_set(client, stage.pool.pool_ref))
        got = b""
        while len(got) < 20_000:
            got += bytes(await client.stream.receive_some(4096))
        assert b"content-length: 1000000000000\r\n" in got


@pytest.mark.parametrize(("done", "left"), [(False, ""), (True, "new")])
async def test_a_page_of_an_http_error_comes(
    autojump_clock: MockClock, done: bool, left: str
) -> None:
    """The status is the rule's, the page is HTML, the connection ends."""
    async with a_stage(on_set("http_status", status=503, reason="Busy", done=done)) as stage:
        client = await stage.login()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert (reply.status, reply.headers["content-type"]) == (503, "text/html")
        assert b"<html>" in reply.body
        assert await client.rest() == b""
        assert stage.description() == left


async def test_a_client_is_sent_elsewhere(autojump_clock: MockClock) -> None:
    """A redirect as no xapi sends it."""
    async with a_stage(on_set("redirect", location="http://192.0.2.66/")) as stage:
        client = await stage.login()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert (reply.status, reply.headers["location"]) == (302, "http://192.0.2.66/")
        assert stage.description() == ""


async def test_a_length_may_promise_too_much(autojump_clock: MockClock) -> None:
    """The bytes that are missing never come."""
    async with a_stage(on_set("content_length", by=5)) as stage:
        client = await stage.login()
        with pytest.raises(Hung) as hung:
            await client.do(SET, stage.pool.pool_ref, "new")
        assert json.loads(hung.value.got)["result"] == ""


async def test_a_length_may_promise_too_little(autojump_clock: MockClock) -> None:
    """The end of the body is where the next reply should begin."""
    async with a_stage(on_set("content_length", by=-5)) as stage:
        client = await stage.login()
        reply = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert not reply.body.endswith(b"}")
        assert len(await client.rest()) == 5


async def test_a_reply_may_come_twice(autojump_clock: MockClock) -> None:
    """The second one is taken for the answer of the next call."""
    async with a_stage(on_set("duplicate")) as stage:
        client = await stage.login()
        first = await client.exchange(SET, client.session, stage.pool.pool_ref, "new")
        assert (await client.reply()).body == first.body


async def test_the_next_call_is_answered_as_ever(autojump_clock: MockClock) -> None:
    """A fault befalls one reply, not the connection's others."""
    async with a_stage(on_set("slow", delay_s=5)) as stage:
        client = await stage.login()
        await client.do(SET, stage.pool.pool_ref, "new")
        begun_s = trio.current_time()
        await client.do("VM.get_all")
        assert trio.current_time() == begun_s


async def test_a_new_connection_may_be_reset(autojump_clock: MockClock) -> None:
    """Before a byte was read."""
    async with a_stage({"match": "connect", "effect": "reset", "count": 1}) as stage:
        assert await stage.connect().rest() == b""
        await stage.login()


async def test_a_new_connection_may_hang(autojump_clock: MockClock) -> None:
    """With TLS, this is a handshake that is never answered."""
    async with a_stage({"match": "connect", "effect": "stall", "host": "192.0.2.12"}) as stage:
        with pytest.raises(Hung):
            await stage.login("192.0.2.12")
        await stage.login()


async def test_a_new_connection_may_bring_garbage(autojump_clock: MockClock) -> None:
    """Something else listens on the port."""
    async with a_stage({"match": "connect", "effect": "garbage", "bytes": 30}) as stage:
        assert len(await stage.connect().rest()) == 30


def _set(client: Client, pool: str) -> bytes:
    return request(SET, client.session, pool, "new")


async def test_the_password_is_of_no_matter_when_a_login_is_slow(autojump_clock: MockClock) -> None:
    """A slow login is a rule like any other."""
    async with a_stage({"match": LOGIN, "effect": "slow", "delay_s": 9}) as stage:
        begun_s = trio.current_time()
        with pytest.raises(Refused, match="SESSION_AUTHENTICATION_FAILED"):
            await stage.connect().call(LOGIN, "root", PASSWORD + "!")
        assert trio.current_time() - begun_s == 9
