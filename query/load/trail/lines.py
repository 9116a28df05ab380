"""A line of the audit trail, taken apart.

    Nov 23 17:13:34 host1 xapi: [TIME|audit||THREAD CLIENT->LISTENER|TASK R:HEX|audit]
        ('trackid=...' 'SID' 'USER' 'ALLOWED' 'OK' 'API' 'VM.start' (('vm' 'NAME' 'UUID' 'REF')))

Two layers of escapes: the whole line is in printable ASCII, and inside of it atoms are quoted. What
stands between `[` and `|audit] (` can be chosen by the client; the rest cannot. A client can also
write `|audit] (` there, and what looks like the rest: only behind the true one all is whole, since
whatever comes before it has `|audit]` outside of quotes, or a quote that `'trackid` closes.
"""

import re
from datetime import UTC, datetime

import msgspec

_END = "|audit] ("
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z")
_ANOTHER = re.compile(r"\[\d{4}-?\d\d-?\d\dT[\d:.]++Z\|audit\|")
_BEGIN = re.compile(rb"\[([\dT:.-]+Z)\|audit\|")
_MARK = re.compile(r"(?P<name>.*?) ?(?P<kind>[RD]):(?P<digits>[0-9a-f]{12})", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-F]{2})|(\\))")
_ATOM = r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'\s*+"
_HEAD = re.compile(rf"\(\s*+{_ATOM * 7}\(\s*+", re.DOTALL)
_ARGUMENT = re.compile(rf"\(\s*+{_ATOM * 4}\)\s*+", re.DOTALL)
_TAIL = re.compile(r"\)\s*+\)\s*+")
_QUOTED = re.compile(r"\\(.)", re.DOTALL)
_ERROR = re.compile(r"ERROR:(\w*)(?:: \[ ?(.*?) ?\])?", re.DOTALL)
INTERNAL = "OpaqueRef:"
"""How the user of a line begins that a host wrote for itself: it is the reference of the host."""


class Argument(msgspec.Struct, frozen=True):
    """One argument of a call: `ref` is a reference if it names an object that was there.

    `value` is the name of that object after the call, or the value itself of what is no object.
    """

    name: str
    value: str
    uuid: str
    ref: str


class Line(msgspec.Struct, frozen=True):
    """What a line says.

    `at_us` is microseconds since 1970 UTC by the clock of the host that wrote it. `client` is an
    address, or the socket of the host itself; `listener` is empty for calls in the background.
    `task_name`, `kind` (`R` for a task in the database, `D` for none) and `digits` are the header's
    word for the task, which a client can forge; `call` is the call. `result` is `OK`, `ERROR:...`
    or nothing.
    """

    at_us: int
    thread: str
    client: str
    listener: str
    task_name: str
    kind: str
    digits: str
    trackid: str
    sid: str
    user: str
    verdict: str
    result: str
    api: str
    call: str
    arguments: tuple[Argument, ...]

    @property
    def is_internal(self) -> bool:
        """True if a host called for itself, and no user."""
        return self.user.startswith(INTERNAL)

    @property
    def error(self) -> tuple[str, list[str]] | None:
        """Code and parameters of the error that the call ended with, None if it did not."""
        found = _ERROR.fullmatch(self.result)
        if found is None:
            return None
        return found[1], found[2].split("; ") if found[2] else []

    @property
    def targets(self) -> list[str]:
        """The objects that the call was given, each once."""
        refs = (one.ref for one in self.arguments if one.ref.startswith("OpaqueRef:"))
        return list(dict.fromkeys(refs))


def line_in(raw: bytes) -> Line | None:
    """Return what a line says, None if it is no whole line of an audit trail."""
    _, _, text = _plain(raw).partition("[")
    said, end = None, text.find(_END)
    while end >= 0 and (said := _said(text, end + len(_END) - 1)) is None:
        end = text.find(_END, end + 1)
    # Behind half a line stands another one, unless a client says so: whose is the client, and when?
    if said is None or _ANOTHER.search(text, 0, end):
        return None
    fields = text[:end].split("|", 4)
    if len(fields) < 5 or fields[1] != "audit":
        return None
    at_us = _time_us(fields[0])
    if at_us is None:
        return None
    thread, client, listener = _caller(fields[3])
    name, kind, digits = _task(fields[4])
    (trackid, sid, user, verdict, result, api, call), arguments = said
    return Line(
        at_us=at_us,
        thread=thread,
        client=client,
        listener=listener,
        task_name=name,
        kind=kind,
        digits=digits,
        trackid=trackid.removeprefix("trackid="),
        sid=sid,
        user=user,
        verdict=verdict,
        result=result,
        api=api,
        call=call,
        arguments=arguments,
    )


def written_us(raw: bytes) -> int | None:
    """Return when a line was written, also one that is cut; None if it is of no audit trail."""
    found = _BEGIN.search(raw)
    return _time_us(found[1].decode()) if found else None


# -- the two layers ----------------------------------------------------------------------------


def _plain(raw: bytes) -> str:
    """Undo what was done to the line as a whole. What is no UTF-8 in it is replaced."""
    if b"\\" in raw:
        raw = _ESCAPE.sub(_byte, raw)
    return raw.decode("utf-8", "replace")


def _byte(found: "re.Match[bytes]") -> bytes:
    return bytes([int(found[1], 16)]) if found[1] else b"\\"


def _said(text: str, begin: int) -> tuple[list[str], tuple[Argument, ...]] | None:
    """Read the atoms and the arguments, None if they are not whole or something follows."""
    head = _HEAD.match(text, begin)
    if head is None:
        return None
    place, arguments = head.end(), []
    while found := _ARGUMENT.match(text, place):
        place = found.end()
        arguments.append(Argument(*map(_unquoted, found.groups())))
    if _TAIL.fullmatch(text, place) is None:
        return None
    return [_unquoted(atom) for atom in head.groups()], tuple(arguments)


def _unquoted(atom: str) -> str:
    return _QUOTED.sub(r"\1", atom) if "\\" in atom else atom


# -- the parts ---------------------------------------------------------------------------------


def _time_us(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000 + int((found[7] or "0").ljust(6, "0"))


def _caller(text: str) -> tuple[str, str, str]:
    """Return thread, client and listener of `80 HTTP 127.0.0.1->127.0.0.1:8290`.

    The address of an IPv6 client is as the server writes it, with colons. Where the server does
    not name the client, as for its pages and for calls that it does not know, there is no arrow;
    then it is the socket of the host itself, or the address that took the call.
    """
    thread, _, rest = text.partition(" ")
    client, arrow, listener = rest.partition("->")
    if not arrow and not client.startswith("/"):
        return thread, "", client
    for scheme in ("HTTPS ", "HTTP "):
        client = client.removeprefix(scheme)
    return thread, client, listener


def _task(text: str) -> tuple[str, str, str]:
    found = _MARK.fullmatch(text)
    return (found["name"], found["kind"], found["digits"]) if found else (text, "", "")
