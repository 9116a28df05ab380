"""A line of the audit trail, taken apart.

    Nov 23 17:13:34 host1 xapi: [TIME|audit||THREAD CLIENT->LISTENER|TASK R:HEX|audit]
        ('trackid=...' 'SID' 'USER' 'ALLOWED' 'OK' 'API' 'VM.start' (('vm' 'NAME' 'UUID' 'REF')))

Two layers of escapes: the whole line is in printable ASCII, and inside of it atoms are quoted. What
stands between `[` and `|audit] (` can be chosen by the client; the rest cannot.
"""

import re
from datetime import UTC, datetime

import msgspec

_END = b"|audit] ("
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z")
_MARK = re.compile(r"(?P<name>.*?) ?(?P<kind>[RD]):(?P<digits>[0-9a-f]{12})", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-F]{2})|(\\))")
_TOKEN = re.compile(r"\s*(?:([()])|'((?:[^'\\]|\\.)*)')", re.DOTALL)
_QUOTED = re.compile(r"\\(.)", re.DOTALL)
_ERROR = re.compile(r"ERROR:(\w*)(?:: \[ ?(.*?) ?\])?", re.DOTALL)
_HEAD_ATOMS = 7
_DEPTH_MAX = 8
INTERNAL = "OpaqueRef:"
"""How the user of a line begins that a host wrote for itself: it is the reference of the host."""

Tree = str | list["Tree"]


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
    begin, end = raw.find(b"["), raw.find(_END)
    if begin < 0 or end < begin:
        return None
    header = _plain(raw[begin + 1 : end])
    tree = _tree(_plain(raw[end + len(_END) - 1 :]))
    fields = header.split("|", 4)
    if tree is None or len(fields) < 5 or fields[1] != "audit":
        return None
    at_us = _time_us(fields[0])
    head = [atom for atom in tree[:_HEAD_ATOMS] if isinstance(atom, str)]
    arguments = _arguments(tree[_HEAD_ATOMS:])
    if at_us is None or len(head) < _HEAD_ATOMS or arguments is None:
        return None
    thread, client, listener = _caller(fields[3])
    name, kind, digits = _task(fields[4])
    trackid, sid, user, verdict, result, api, call = head
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


# -- the two layers ----------------------------------------------------------------------------


def _plain(raw: bytes) -> str:
    """Undo what was done to the line as a whole. What is no UTF-8 in it is replaced."""
    if b"\\" in raw:
        raw = _ESCAPE.sub(_byte, raw)
    return raw.decode("utf-8", "replace")


def _byte(found: "re.Match[bytes]") -> bytes:
    return bytes([int(found[1], 16)]) if found[1] else b"\\"


def _tree(text: str) -> list[Tree] | None:
    """Read one list of atoms and lists, None if it is not whole or something follows."""
    stack: list[list[Tree]] = []
    place = 0
    while found := _TOKEN.match(text, place):
        place = found.end()
        if found[1] == "(":
            stack.append([])
        elif not stack:
            return None
        elif found[1] is None:
            atom = found[2]
            stack[-1].append(_QUOTED.sub(r"\1", atom) if "\\" in atom else atom)
        elif len(stack) == 1:
            return stack[0] if not text[place:].strip() else None
        else:
            stack[-2].append(stack.pop())
        if len(stack) > _DEPTH_MAX:
            return None
    return None


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


def _arguments(trees: list[Tree]) -> tuple[Argument, ...] | None:
    """Return the arguments, which come as one list of lists of four atoms."""
    if len(trees) != 1 or isinstance(trees[0], str):
        return None
    arguments = []
    for tree in trees[0]:
        if isinstance(tree, str) or len(tree) != 4:
            return None
        name, value, uuid, ref = tree
        if not (isinstance(name, str) and isinstance(value, str)):
            return None
        if not (isinstance(uuid, str) and isinstance(ref, str)):
            return None
        arguments.append(Argument(name, value, uuid, ref))
    return tuple(arguments)
