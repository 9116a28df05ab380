"""The live control of a simulator: a unix socket that takes one JSON object a line.

`{"do": "add", "rule": {...}}`, `list`, `remove` (name), `clear`, `status`, and what happens to a
pool at once: `restart`, `move_master` (host), `expire_sessions`, `flood` (events), `silence`,
`speak`, `strike` (effect and its keys). `"pool"` chooses one pool where there are several.
"""

import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import trio

from ..errors import ConfigError, TransportError
from .faults import effects, reading
from .faults.ledger import Entry
from .faults.poolwide import Misfire
from .front import Front

LINE_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 16
"""People and scripts of one machine, one command each: more at once is a script gone wild."""
PATH_BYTES_MAX = 107
"""What the kernel keeps of the path of a unix socket."""
ANSWER_S_MAX = 30.0

Answer = dict[str, object]


class _Refused(Exception):
    """A command that can't be done; the text says why."""


async def attend(
    path: Path,
    fronts: Mapping[str, Front],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take commands for pools by name until cancelled; `started()` once it listens.

    The socket is for its owner only (0600) and is removed in the end. A nursery holds one child a
    connection. Raises ConfigError for a path that can't be used.
    """
    listener = _listen(path)
    limit = trio.CapacityLimiter(CONNECTIONS_MAX)

    async def serve(stream: trio.SocketStream) -> None:
        async with limit, stream:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await _converse(stream, fronts)

    task_status.started()
    try:
        await trio.serve_listeners(serve, [trio.SocketListener(listener)])
    finally:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call, also when cancelled


def obey(fronts: Mapping[str, Front], command: object) -> Answer:
    """Do one command and return its answer: `ok`, and what was asked for or `error`."""
    try:
        return {"ok": True} | _do(fronts, command)
    except ConfigError as error:
        return {"ok": False, "error": "\n".join([str(error), *error.choices])}
    except (_Refused, Misfire) as error:
        return {"ok": False, "error": str(error)}


async def ask(path: Path, command: Mapping[str, object]) -> Answer:
    """Send one command to a simulator and return its answer.

    Raises ConfigError if the simulator refuses the command, TransportError if there is none.
    """
    try:
        with trio.fail_after(ANSWER_S_MAX):
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(json.dumps(command).encode() + b"\n")
                reply = bytearray()
                async for piece in stream:
                    reply += piece
                    if b"\n" in piece:
                        break
    except trio.TooSlowError as error:
        raise TransportError(f"{path}: no answer within {ANSWER_S_MAX:.0f} s") from error
    except (OSError, trio.BrokenResourceError) as error:
        raise TransportError(
            f"{path}: no simulator listens there: start one with --control {path}"
        ) from error
    answer = cast("Answer", json.loads(reply)) if reply else {"ok": False, "error": "no answer"}
    if not answer["ok"]:
        first, *others = str(answer["error"]).split("\n")
        refusal = ConfigError(first)
        refusal.choices = tuple(others)
        raise refusal
    return answer


def command_of(text: str, *, pool: str = "") -> dict[str, object]:
    """Make a command of what a person wrote: a rule in TOML or JSON, or a whole command in JSON.

    Raises ConfigError if it is neither.
    """
    table = reading.table_in(text, "rule")
    assert isinstance(table, dict)
    command = table if "do" in table else {"do": "add", "rule": table}
    return command | {"pool": pool} if pool else command


def shown(answer: Mapping[str, object]) -> list[str]:
    """Return the lines that tell a person what a simulator answered."""
    lines: list[str] = []
    for pool, found in cast("Mapping[str, object]", answer.get("pools", {})).items():
        lines += [f"{pool}: {_words(item)}" for item in found] if isinstance(found, list) else []
        lines += [f"{pool}: {_words(found) or 'done'}"] if isinstance(found, dict) else []
    return lines or ["done"]


def _words(item: Mapping[str, object]) -> str:
    return ", ".join(
        f"{key} {json.dumps(value) if isinstance(value, dict | list) else value}"
        for key, value in item.items()
        if value != ""
    )


# The server.


def _listen(path: Path) -> trio.socket.SocketType:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ConfigError(f"--control {path}: longer than {PATH_BYTES_MAX} bytes: choose another")
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise ConfigError(f"--control {path}: can't listen there ({reason})") from error
    finally:
        os.umask(before)
    listening.listen(CONNECTIONS_MAX)
    return trio.socket.from_stdlib_socket(listening)


def _clear(path: Path) -> None:
    """Remove the socket of a simulator that was killed. Raises ConfigError for anything else."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # Nothing there; what else is wrong with the path, the bind will say.
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"--control {path}: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise ConfigError(f"--control {path}: another simulator listens there")
    path.unlink(missing_ok=True)


async def _converse(stream: trio.SocketStream, fronts: Mapping[str, Front]) -> None:
    buffer = bytearray()
    while True:
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            await stream.send_all(json.dumps(_answer(line, fronts)).encode() + b"\n")
        if len(buffer) > LINE_BYTES_MAX:
            refusal = {"ok": False, "error": f"a line has at most {LINE_BYTES_MAX} bytes"}
            await stream.send_all(json.dumps(refusal).encode() + b"\n")
            return
        data = await stream.receive_some(LINE_BYTES_MAX)
        if not data:
            return
        buffer += data


def _answer(line: bytes, fronts: Mapping[str, Front]) -> Answer:
    try:
        command: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"ok": False, "error": f"not JSON: {error}"}
    return obey(fronts, command)


# The commands.


def _do(fronts: Mapping[str, Front], command: object) -> Answer:
    if not isinstance(command, dict) or not isinstance(command.get("do"), str):
        raise _Refused('a command is an object with "do", such as {"do": "list"}')
    known = _COMMANDS.get(command["do"])
    if known is None:
        raise _Refused(f"{command['do']!r} is no command; known: {', '.join(_COMMANDS)}")
    keys, act = known
    rest = {key: value for key, value in command.items() if key not in ("do", "pool")}
    if act is not _strike and (unknown := [key for key in rest if key not in keys]):
        allowed = ", ".join(("pool", *keys))
        raise _Refused(f"{command['do']} has no {unknown[0]}; known: {allowed}")
    chosen = _chosen(fronts, command.get("pool", ""))
    if act is _remove:
        chosen = _holding(chosen, _text(rest, "name"))
    answers = {name: act(front, rest) for name, front in chosen.items()}
    if act is _add and not any(answers.values()):
        raise _Refused(f"the rule is for another pool; known: {', '.join(chosen)}")
    return {"pools": answers}


def _chosen(fronts: Mapping[str, Front], name: object) -> Mapping[str, Front]:
    if name == "":
        return fronts
    if not isinstance(name, str) or name not in fronts:
        raise _Refused(f"there is no pool {name}; known: {', '.join(fronts)}")
    return {name: fronts[name]}


def _holding(fronts: Mapping[str, Front], rule: str) -> Mapping[str, Front]:
    """Return the pools that have a rule with this name. Raises _Refused if none has."""
    names = {pool: [entry.name for entry in front.faults.ledger] for pool, front in fronts.items()}
    if found := {pool: front for pool, front in fronts.items() if rule in names[pool]}:
        return found
    known = ", ".join(dict.fromkeys(name for some in names.values() for name in some)) or "none"
    raise _Refused(f"there is no rule {rule}; known: {known}")


def _add(front: Front, rest: Answer) -> object:
    entry = front.faults.add(reading.rule_of(rest.get("rule"), "rule"))
    return {"added": entry.name} if entry else {}


def _list(front: Front, _rest: Answer) -> object:
    return [_described(entry) for entry in front.faults.ledger]


def _described(entry: Entry) -> Answer:
    tally = entry.tally
    told: Answer = {"name": entry.name, "matched": tally.matched, "fired": tally.fired}
    return told | {"misfired": tally.misfired, "rule": entry.rule.source}


def _remove(front: Front, rest: Answer) -> object:
    name = _text(rest, "name")
    front.faults.ledger.remove(name)
    return {"removed": name}


def _clear_rules(front: Front, _rest: Answer) -> object:
    count = len(list(front.faults.ledger))
    front.faults.ledger.clear()
    return {"removed": count}


def _status(front: Front, _rest: Answer) -> object:
    pool = front.pool
    return {
        "master": next(host.address for host in pool.hosts if host.ref == pool.master),
        "time_s": round(front.faults.now_s(), 3),
        "sessions": len(front.sessions.refs()),
        "connections": front.connections,
        "next_event_id": pool.hub.current_id(),
        "generation": pool.hub.rows.generation,
        "clock_wrong_by_s": pool.clock.offset_s,
        "rules": len(list(front.faults.ledger)),
        "dead": front.dead(),
        "emergency": {host: fault.code for host, fault in front.emergency.items()},
    }


def _speak(front: Front, _rest: Answer) -> object:
    front.speak()
    return {}


def _happen(make: Callable[[Answer], effects.PoolEffect], front: Front, rest: Answer) -> object:
    front.faults.act(make(rest))
    return {}


def _failover(rest: Answer) -> effects.PoolEffect:
    return effects.Failover(target=_text(rest, "host") if "host" in rest else "")


def _flood(rest: Answer) -> effects.PoolEffect:
    rule = {"at_s": 0, "effect": "flood", **rest}
    return cast("effects.Flood", reading.rule_of(rule, "flood").effect)


def _strike(front: Front, rest: Answer) -> object:
    """Let any effect of the whole pool happen at once."""
    front.faults.act(
        cast("effects.PoolEffect", reading.rule_of({"at_s": 0} | rest, "strike").effect)
    )
    return {}


def _text(rest: Answer, key: str) -> str:
    value = rest.get(key)
    if not isinstance(value, str) or not value:
        raise _Refused(f'"{key}" is missing: a text')
    return value


_Act = Callable[[Front, Answer], object]
_COMMANDS: Mapping[str, tuple[Sequence[str], _Act]] = {
    "add": (("rule",), _add),
    "list": ((), _list),
    "remove": (("name",), _remove),
    "clear": ((), _clear_rules),
    "status": ((), _status),
    "restart": ((), partial(_happen, lambda _rest: effects.Restart())),
    "move_master": (("host",), partial(_happen, _failover)),
    "expire_sessions": ((), partial(_happen, lambda _rest: effects.ExpireSessions())),
    "flood": (("events",), partial(_happen, _flood)),
    "silence": ((), partial(_happen, lambda _rest: effects.Silence())),
    "speak": ((), _speak),
    "strike": ((), _strike),
}
"""By name: which keys it may have beside `do` and `pool`, and what does it to a pool."""
