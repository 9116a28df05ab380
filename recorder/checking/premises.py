"""What a recorder needs of its own machine: folder, disk, keys, lock, files. Only reads.

The lock is not taken to see whether it is held, as far as that can be told without.
"""

import fcntl
import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from ..config import Config, Pool
from ..errors import JournalError
from ..journal.digest_key import load as load_digest_key
from ..journal.files import Disk
from ..journal.findings import FindingKind
from ..journal.keys import NEXT_KEY_NAME, KeyMissing, load_key
from ..journal.names import LOCK, segment_numbers
from ..journal.notary import origin_of
from ..journal.standing import Standing, standing
from .preflight import Finding, Judge, Verdict, of_disk, of_open_files

WORD_BYTES_MAX = 200
_WORD = re.compile(r"process ([0-9]+) on (.+)")

READ_AS_RECORDER = "try it as the user of the recorder"


class Premises(msgspec.Struct, frozen=True):
    """What was found, and the uuids under which the journal knows pools."""

    findings: list[Finding]
    uuids: dict[str, str]


def look_around(config: Config, data: Path, marker: str) -> Premises:
    """Look at the folder `data` and at this machine; `marker` is a file that a demo leaves behind.

    Blocking. The journal may be written to meanwhile.
    """
    judge = Judge("journal")
    findings = [_of_folder(judge, data, marker)]
    uuids: dict[str, str] = {}
    if findings[0].verdict is Verdict.OK:
        more, uuids = _inside(judge, data, config)
        findings += more
    logins = [login for pool in config.pools for login in _logins_of(pool)]
    findings += [one for login in logins for one in _of_password_file(login)]
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    findings.append(of_open_files(limit, len(config.pools)))
    return Premises(findings, uuids)


def _inside(judge: Judge, data: Path, config: Config) -> tuple[list[Finding], dict[str, str]]:
    """Look at what is, or will be, in the folder."""
    findings = [_of_room(judge, data, config)]
    folder = data / "journal"
    holder = _holder(folder / LOCK)
    if holder is not None:
        text = f"{holder} is recording into it; a second recorder would be refused"
        findings.append(judge.ok("writer", text))
    finding, known = _read_journal(judge, folder, written=holder is not None)
    findings += [finding, _of_keys(judge, data / "keys", known)]
    return findings, {} if known is None else known.uuids


def _of_folder(judge: Judge, data: Path, marker: str) -> Finding:
    try:
        if (data / marker).exists():
            text = f"{data} holds what a demo left behind"
            return judge.error("folder", text, "delete it, or choose another folder with --data")
        place = _nearest(data)
    except OSError as error:
        return judge.error("folder", f"{data}: {error.strerror}", READ_AS_RECORDER)
    if not place.is_dir():
        return judge.error("folder", f"{place} is no folder", "choose another one with --data")
    for part in (place, data / "journal", data / "keys"):
        if part.exists() and not os.access(part, os.R_OK | os.W_OK | os.X_OK):
            text = f"{part} cannot be written to by this user"
            advice = f"{READ_AS_RECORDER}, or give the folder to that user"
            return judge.error("folder", text, advice)
    if place == data:
        return judge.ok("folder", f"{data} can be written to")
    return judge.ok("folder", f"{data} is not there yet, and will be made in {place}")


def _nearest(path: Path) -> Path:
    """Return `path`, or the nearest of its parents that there is. Raises OSError."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return path if place == path.absolute() else place
    raise AssertionError("the root is always there")


def _of_room(judge: Judge, data: Path, config: Config) -> Finding:
    try:
        place = os.statvfs(_nearest(data))
    except OSError as error:
        return judge.error("disk", f"{data}: {error.strerror}", READ_AS_RECORDER)
    return of_disk(
        judge,
        str(data),
        free_bytes=place.f_bavail * place.f_frsize,
        free_files=place.f_favail if place.f_files else None,
        segment_bytes=config.limits.segment_mib_max * 1024 * 1024,
        keeps_all=config.journal.keep_gib is None and config.journal.keep_days is None,
    )


def _holder(lock: Path) -> str | None:
    """Return who writes to the journal, None if nobody does.

    The lock is tried, for an instant, only if the process that left its word there may still be
    running: a recorder that is just starting must not find it taken by us.
    """
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # no journal yet, or none for this user, which `_read_journal` tells
    try:
        word = os.read(fd, WORD_BYTES_MAX).decode(errors="replace").strip()
        if not _may_live(word):
            return None
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return word or "another process"
    finally:
        os.close(fd)
    return None


def _may_live(word: str) -> bool:
    told = _WORD.fullmatch(word)
    here = told is not None and told[2] == os.uname().nodename
    return told is None or not here or Path("/proc", told[1]).exists()


def _read_journal(judge: Judge, folder: Path, *, written: bool) -> tuple[Finding, Standing | None]:
    """Read the end of the journal; `written` says that a recorder is at it."""
    try:
        if not segment_numbers(Disk().names(folder)):
            return judge.ok("journal", f"{folder} holds none yet: a new one begins"), None
        found = standing(folder, Disk())
    except PermissionError as error:
        text = f"{error.filename}: {error.strerror}"
        return judge.error("journal", text, READ_AS_RECORDER), None
    except (OSError, JournalError) as error:
        return judge.error("journal", str(error)), None
    where = f"{folder} has {found.last_seq:,} entries, {found.segments} segments"
    ailing = [one for one in found.findings if one.kind is not FindingKind.TORN_TAIL]
    if ailing:
        text = f"{where}; segment {ailing[0].segment} at byte {ailing[0].offset}: {ailing[0].text}"
        return judge.error("journal", text, "see xentrail verify"), found
    if found.findings and not written:
        text = f"{where}; its end is torn, as a crash leaves it: the next start cuts that off"
        return judge.ok("journal", text), found
    return judge.ok("journal", where), found


def _of_keys(judge: Judge, folder: Path, known: Standing | None) -> Finding:
    """Judge the keys that sign the journal, without the right to complete what was interrupted."""
    disk = Disk()
    try:
        if NEXT_KEY_NAME in disk.names(folder):
            text = f"a replacement of the key in {folder} was interrupted"
            return judge.warning("keys", text, "start the recorder, which completes it")
        name = None if known is None else origin_of(known.journal_id)
        load_digest_key(folder, disk)  # without one the recorder makes it, whatever is recorded
        key = load_key(folder, disk, name=name)
    except KeyMissing:
        if known is None:
            return judge.ok("keys", f"none in {folder} yet: the recorder makes one")
        text = f"there is no key in {folder}, but a journal that one has signed"
        return judge.error("keys", text, "put the folder back from a backup")
    except (OSError, JournalError) as error:
        return judge.error("keys", str(error))
    return judge.ok("keys", f"{folder} has {key.verifier.text}")


def _logins_of(pool: Pool) -> list[Pool]:
    """Return a pool as it is logged in to: by the recorder, and for workloads if by another."""
    return [pool] if pool.workload is None else [pool, pool.driven]


def _of_password_file(pool: Pool) -> Iterator[Finding]:
    """Judge who can read the password of a pool; whether it can be read at all the trial says."""
    if pool.password_file is None:
        return
    with suppress(OSError):
        mode = Disk().mode(pool.password_file)
        if mode & 0o077:
            text = f"{pool.password_file} can be read by others (its mode is {mode:04o})"
            advice = f"run chmod 600 {pool.password_file}"
            yield Judge(f"pool {pool.name}").warning("password", text, advice)
