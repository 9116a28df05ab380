"""The other end of the control socket: asks a running recorder. No trio: a command asks once."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import (
    ConfigError,
    JournalError,
    ProtocolError,
    TransportError,
    WorkloadError,
    XentrailError,
)
from .endpoint import SOCKET_NAME, connect
from .protocol import (
    PROTOCOL,
    Answer,
    ErrorName,
    ErrorReport,
    Follow,
    Import,
    Reload,
    ReloadReport,
    Request,
    Resume,
    Run,
    Status,
    StatusReport,
    line_of,
)
from .running import RunLine, Running, RunReport, StepLine

T = TypeVar("T")

ANSWER_S_MAX = 20.0
RELOAD_S_MAX = 120.0
"""A reload waits for the end of a start, and for watches to log out: seconds, not minutes."""

IMPORT_S_MAX = 120.0
"""Lines wait their turn behind what the pools have sent; a slow disk takes seconds for them."""

ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR)

RUN_ANSWER_S_MAX = 180.0
"""A run waits up to two minutes until its pool is recorded, and then reads its VMs."""

_RUN_LINE: msgspec.json.Decoder[RunLine] = msgspec.json.Decoder(RunLine)

FAMILIES: dict[str, type[XentrailError]] = {
    ErrorName.BUSY: TransportError,
    ErrorName.STOPPING: TransportError,
    ErrorName.REQUEST_TOO_SLOW: TransportError,
    ErrorName.UNKNOWN_PROTOCOL: ProtocolError,
    ErrorName.DISK_FULL: JournalError,
    ErrorName.NOT_RECORDED: WorkloadError,
    ErrorName.RUN_UNDER_WAY: WorkloadError,
    ErrorName.WORKLOAD_REFUSED: WorkloadError,
}
"""Whose fault it is that a recorder does not do something; without an entry: ours."""


def status(data: Path) -> StatusReport:
    """Ask how it goes. Raises as `_answer`, and TransportError if no recorder runs."""
    with _connected(data, ANSWER_S_MAX) as stream:
        report = _answer(stream, Status()).status
    return _there(report)


def reload(data: Path) -> ReloadReport:
    """Have the configuration read again. Raises ConfigError with its mistakes; else as `status`."""
    with _connected(data, RELOAD_S_MAX) as stream:
        report = _answer(stream, Reload()).reload
    return _there(report)


def import_lines(data: Path, wanted: Import) -> int:
    """Have lines added to the journal; return how many, once they are durable.

    Raises ConfigError for a pool that is not recorded, JournalError while the disk is full; else as
    `status`. Then nothing, or, where no answer came, perhaps all of it was added.
    """
    with _connected(data, IMPORT_S_MAX) as stream:
        report = _answer(stream, wanted).imported
    return _there(report).lines


@contextmanager
def following(data: Path, wanted: Follow) -> Iterator[Iterator[bytes]]:
    """Give the lines of entries, each with its line feed, as they come. Raises as `status`.

    The last one is that of the end. Without it the recorder has died: the iterator raises
    TransportError.
    """
    with _connected(data, ANSWER_S_MAX) as stream:
        reader = stream.makefile("rb")
        with reader:
            _there(_answer(stream, wanted, reader).following)
            stream.settimeout(None)
            yield _lines(reader)


class Conversation(msgspec.Struct, frozen=True):
    """A run that was begun, or only planned; `lines` end with its report.

    `end` ends the run in good order; its lines go on until its report. A signal may call it.
    """

    running: Running
    lines: Iterator[StepLine | RunReport]
    end: Callable[[], None]


@contextmanager
def running(data: Path, wanted: Run | Resume) -> Iterator[Conversation]:
    """Have a workload run, or go on; leaving the context ends it.

    Raises WorkloadError, and as `status`.
    """
    with _connected(data, RUN_ANSWER_S_MAX) as stream:
        reader = stream.makefile("rb")
        with reader:
            told = _there(_answer(stream, wanted, reader).running)
            stream.settimeout(None)

            def end() -> None:
                with suppress(OSError):  # The recorder has closed it: then it is over anyway.
                    stream.shutdown(socket.SHUT_WR)

            yield Conversation(told, _run_lines(reader), end)


def _run_lines(reader: BufferedReader) -> Iterator[StepLine | RunReport]:
    for line in _lines(reader):
        try:
            told = _RUN_LINE.decode(line)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"the recorder is of another version: {error}") from error
        yield told
        if isinstance(told, RunReport):
            return


def _lines(reader: BufferedReader) -> Iterator[bytes]:
    try:
        yield from reader
    except OSError as error:
        raise TransportError(f"the recorder is gone: {error.strerror}") from error
    raise TransportError("the recorder is gone without a word: it was killed, or has failed")


@contextmanager
def _connected(data: Path, timeout_s: float) -> Iterator[socket.socket]:
    place = data / SOCKET_NAME
    try:
        stream = connect(data, timeout_s=timeout_s)
    except PermissionError as error:
        raise TransportError(
            f"{place} is not yours: ask as the user that the recorder runs as, or as root"
        ) from error
    except BlockingIOError as error:
        raise TransportError("the recorder does not answer: too many wait for it") from error
    except OSError as error:
        reason = "" if error.errno in ABSENT else f" ({error.strerror or error})"
        raise TransportError(
            f"no recorder runs on {data}: nothing listens at {place}{reason}; --data names its"
            " folder, and xentrail record starts one"
        ) from error
    with closing(stream):
        yield stream


def _answer(
    stream: socket.socket, request: Request, reader: BufferedReader | None = None
) -> Answer:
    """Send a request and return the first line of the answer. Raises what the recorder refuses."""
    try:
        stream.sendall(line_of(request))
        line = (reader or stream.makefile("rb")).readline()
    except TimeoutError as error:
        text = f"the recorder has not answered within {stream.gettimeout():.0f} s"
        raise TransportError(text) from error
    except OSError as error:
        raise TransportError(f"the recorder is gone: {error.strerror}") from error
    if not line:
        raise TransportError("the recorder is gone without an answer")
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"the recorder is of another version: {error}") from error
    if answer.error is not None:
        raise _error_of(answer.error)
    if answer.protocol != PROTOCOL:
        text = f"the recorder speaks protocol {answer.protocol}, this command {PROTOCOL}"
        raise ProtocolError(f"{text}: restart it, or use its version")
    return answer


def _error_of(report: ErrorReport) -> XentrailError:
    family = FAMILIES.get(report.name, ConfigError)
    if report.name == ErrorName.CONFIG_REFUSED and len(report.texts) > 1:
        error = family(f"{len(report.texts)} mistakes; nothing was changed:")
        error.choices = tuple(report.texts)
        return error
    if family is WorkloadError:
        return WorkloadError(*report.texts)
    text = "; ".join(report.texts)
    if report.name == ErrorName.CONFIG_REFUSED:
        text = f"{text}; nothing was changed"
    return family(text)


def _there(part: T | None) -> T:
    if part is None:
        raise ProtocolError("the recorder answered another question")
    return part
