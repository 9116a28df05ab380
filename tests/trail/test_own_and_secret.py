"""Which lines are left out, which are changed before they are journaled; all others stay."""

import pytest

from recorder.config import Redaction
from recorder.pools.trail.clean import Cleaner
from recorder.pools.trail.own import Own, OwnSessions, trackid_of
from recorder.redaction.redact import PoolRedactor, Redactor
from tests.trail.test_ends import captured

TOKEN = "OpaqueRef:18ac0b9b-b943-0654-63d5-d98fb29974ef"
OTHER = "OpaqueRef:0a810d47-a3c5-df1a-85cc-3eabbebd33ce"
TRACKID = trackid_of(TOKEN)


def line(
    call: str,
    arguments: str = "()",
    *,
    task: str | None = None,
    trackid: str = TRACKID,
    result: str = "OK",
) -> bytes:
    """A line as xapi 25.32 writes it."""
    task = f"{call} D:8a43e1257c0e" if task is None else task
    return (
        f"Nov 23 17:13:31 h xapi: [20261123T17:13:31.666Z|audit||76 HTTP 127.0.0.1->:::80|{task}"
        f"|audit] ('trackid={trackid}' 'LOCAL_SUPERUSER' 'root' 'ALLOWED' '{result}' 'API' '{call}'"
        f" {arguments})"
    ).encode()


READING = line("http/get_audit_log", task="handler:http/get_audit_log D:5415fbf7b0f0").replace(
    b"'API'", b"'HTTP'"
)


def cause(text: bytes) -> Own | None:
    sessions = OwnSessions()
    sessions.learn(TRACKID, trackid_of("another"))
    return sessions.cause(text)


@pytest.mark.parametrize(
    "text",
    [
        READING,
        line("event.register"),
        line("event.inject", f"(('_ref' '' 'fe5099bf' '{OTHER}'))"),
        line("task.create", "(('label' 'xentrail reads' '' '') ('description' '' '' ''))"),
    ],
)
def test_line_that_only_looking_has_caused_is_our_own(text: bytes) -> None:
    """Whatever user it is; and which session it was is told."""
    assert cause(text) == Own(is_reading=text == READING, is_of_now=False)
    now = text.replace(TRACKID.encode(), trackid_of("another").encode())
    assert cause(now) == Own(is_reading=text == READING, is_of_now=True)


@pytest.mark.parametrize(
    "text",
    [
        READING.replace(TRACKID.encode(), b"0" * 32),
        line("VM.destroy", f"(('self' 'web1' '' '{OTHER}'))"),
        line("event.register", result="ERROR:SESSION_INVALID: [ x ]"),
        READING.replace(b"'ALLOWED'", b"'DENIED'"),
        line("VM.destroy", task=READING.partition(b"HTTP 127.0.0.1->:::80|")[2].decode()),
        line("event.register", task="Async.VM.start R:aaaaaaaaaaaa"),
        line("event.register", task="event.register R:aaaaaaaaaaaa"),
        READING[:-1],
        READING + b" ",
        READING.replace(b"()", b"(('a|b' '' '' ''))"),
    ],
)
def test_line_that_could_hide_something_is_kept(text: bytes) -> None:
    """Others, calls that the recorder does not make, refusals, and headers that were forged."""
    assert cause(text) is None


def test_captured_lines_of_sessions_are_recognised() -> None:
    """The digest is that of the whole reference, as in the captured replies."""
    sessions = OwnSessions()
    sessions.learn(TRACKID)
    own = [one for one in captured() if sessions.cause(one)]
    assert own, "the replies were fetched by that session"
    assert any(b"http/get_audit_log" in one for one in own)


def test_only_the_newest_sessions_are_remembered() -> None:
    """A recorder lives for years."""
    sessions = OwnSessions()
    sessions.learn(*map(str, range(20)))
    sessions.learn("19")
    assert sessions.trackids == tuple(map(str, range(12, 20)))


@pytest.fixture
def redactor() -> PoolRedactor:
    one = PoolRedactor(Redactor(Redaction().policy(), bytes(32)))
    one.learn(TOKEN)
    return one


def test_captured_lines_stay_as_they_are(redactor: PoolRedactor) -> None:
    """Lines hold next to no secrets: every captured one is evidence byte for byte."""
    cleaner = Cleaner(redactor)
    lines = [one for one in captured() if b"SESSION" not in one]
    assert len(lines) > 60
    assert [one for one in lines if cleaner.clean(one) != one] == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (line("VM.start", f"(('vm' 'x' '' '{TOKEN}'))"), TOKEN),
        (line("session.set_other_config", f"(('self' '' '' '{OTHER}'))"), OTHER),
        (line("VM.start", result=f"ERROR:SESSION_INVALID: [ {OTHER} ]"), OTHER),
        (line("VM.start", result=f"ERROR:HANDLE_INVALID: [ session; {OTHER} ]"), OTHER),
        (
            line("message.create", "(('name' 'n' '' '') ('body' 'password=hunter2' '' ''))"),
            "hunter2",
        ),
        (line("task.create", "(('label' 'a' '' '') ('description' 'token: abc' '' ''))"), "abc"),
        (line("SR.create", result="ERROR:SR_BACKEND_FAILURE: [ ; x; chap_key=sesame ]"), "sesame"),
        (
            line(
                "session.set_other_config",
                f"(('self' '' '' '{OTHER}'))",
                task="x' 'API' 'VM.start' (|audit] ('y",
            ),
            OTHER,
        ),
    ],
)
def test_secret_in_a_line_is_replaced(redactor: PoolRedactor, text: bytes, secret: str) -> None:
    """By a digest in its place; what is around it stays."""
    assert secret.encode() in text
    clean = Cleaner(redactor).clean(text)
    before, _, after = text.partition(secret.encode())
    assert clean.startswith(before)
    assert clean.endswith(after)
    assert clean[len(before) : len(clean) - len(after)].startswith(b"redacted:")
    assert Cleaner(redactor).clean(text) == clean


def test_code_of_an_error_and_objects_are_no_secret(redactor: PoolRedactor) -> None:
    """A code may have a word in it that makes what follows secret elsewhere."""
    text = line("host.license_apply", result=f"ERROR:LICENSE_PROCESSING_ERROR: [ {OTHER}; x ]")
    assert Cleaner(redactor).clean(text) == text
