"""The configuration: a TOML file in, frozen values out; mistakes are named with file and key."""

import math
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from .errors import ConfigError
from .mistakes import mistakes_in, table_in, usable
from .model import Stream
from .redaction.policy import BadPolicy, Policy
from .timetable import Schedule, mistakes_of

POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SECRET_BYTES_MAX = 4096
AUDIT_S_MAX = 3600
"""Of the audit trail: asked more seldom, a host may have dropped what was not read yet."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the certificate of a pool is checked; no key at all means the system's authorities."""

    ca_file: Path | None = None
    fingerprint: str | None = None
    verify: bool = True


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who logs in for workloads, which need more than the read-only role that recording does."""

    user: str
    password_file: Path | None = None
    password_env: str | None = None
    password_credential: str | None = None


class AuditTrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether, and how often, the audit trail of a pool is read; times in seconds."""

    enabled: bool = True
    interval_s: float = 10.0
    overlap_s: float = 5.0


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pool to record. The password is named here, never written here."""

    name: str
    addresses: tuple[str, ...]
    user: str = "root"
    password_file: Path | None = None
    password_env: str | None = None
    password_credential: str | None = None
    tls: Tls = msgspec.field(default_factory=Tls)
    stream: Stream = Stream.REGISTER
    workload: Login | None = None
    audit_trail: AuditTrail = msgspec.field(default_factory=AuditTrail)

    @property
    def recorded(self) -> "Pool":
        """The same pool, as far as it matters to its recording: without the login of workloads."""
        return msgspec.structs.replace(self, workload=None)

    @property
    def driven(self) -> "Pool":
        """The same pool, as workloads log in to it: with their own user, if they have one."""
        login = self.workload
        if login is None:
            return self
        return msgspec.structs.replace(
            self,
            user=login.user,
            password_file=login.password_file,
            password_env=login.password_env,
            password_credential=login.password_credential,
        )


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of the daemon; times in seconds."""

    start_timeout_s: float = 15.0
    grace_s: float = 10.0
    connect_timeout_s: float = 10.0
    call_timeout_s: float = 120.0
    silence_s: float = 95.0
    census_s: float = 60.0
    retry_wait_max_s: float = 10.0
    reply_mib_max: int = 256
    segment_mib_max: int = 64
    segment_age_max_s: float = 3600.0


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the journal is kept, and who is told its checkpoints."""

    keep_days: float | None = None
    keep_gib: float | None = None
    anchor_file: Path | None = None
    anchor_command: tuple[str, ...] = ()


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is secret beside, or in spite of, the built-in rules; see `policy`."""

    fields: dict[str, str] = msgspec.field(default_factory=dict)
    words: tuple[str, ...] = ()
    open_keys: tuple[str, ...] = ()

    def policy(self) -> Policy:
        """Return the rules in force. Raises BadPolicy."""
        return Policy.of(fields=self.fields, words=self.words, open_keys=self.open_keys)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration file."""

    pools: tuple[Pool, ...] = ()
    data: Path | None = None
    limits: Limits = msgspec.field(default_factory=Limits)
    journal: Journal = msgspec.field(default_factory=Journal)
    redaction: Redaction = msgspec.field(default_factory=Redaction)
    schedules: tuple[Schedule, ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """What a file says as far as it can be used, and every mistake in it.

    `config` has the pools without a mistake; a broken value elsewhere is left at its default.
    """

    config: Config
    mistakes: tuple[str, ...] = ()


def load(file: Path) -> Config:
    """Read and check a configuration file.

    Raises ConfigError, whose message names the file, the key and what to do.
    """
    reading = _reading(table_in(file))
    if reading.mistakes:
        first, *more = reading.mistakes
        rest = f"; {len(more)} more: see xentrail check --config {file}" if more else ""
        raise ConfigError(f"{file}: {first}{rest}")
    return reading.config


def read(file: Path) -> Reading:
    """Read a configuration file for somebody who wants to hear of every mistake at once."""
    try:
        return _reading(table_in(file))
    except ConfigError as error:
        return Reading(Config(), (str(error).removeprefix(f"{file}: "),))


def _reading(table: dict[str, object]) -> Reading:
    mistakes = [*mistakes_in(table, Config, at="")]
    written = table.get("pools")
    pools = [usable(item, Pool) for item in written] if isinstance(written, list) else []
    if not (pools or mistakes):
        mistakes.append("no pool to record: add a [[pools]] table")
    sound: list[Pool] = []
    names: set[str] = set()
    for index, pool in enumerate(pools):
        if pool is None:
            continue
        found = [*_pool_mistakes(pool, at=f"pools[{index}]")]
        if pool.name in names:
            found.append(f"pools[{index}].name: {pool.name!r} is used twice")
        names.add(pool.name)
        mistakes += found
        if not found:
            sound.append(pool)
    limits = usable(table.get("limits"), Limits) or Limits()
    journal = usable(table.get("journal"), Journal) or Journal()
    for name in Limits.__struct_fields__:
        if not 0 < getattr(limits, name) < math.inf:
            mistakes.append(f"limits.{name}: must be more than 0 and finite")
    mistakes += _journal_mistakes(journal)
    redaction = usable(table.get("redaction"), Redaction) or Redaction()
    try:
        redaction.policy()
    except BadPolicy as error:
        mistakes.append(f"redaction.{error}")
        redaction = Redaction()
    data = usable(table.get("data"), Path)
    # A pool with a mistake is there all the same: a schedule that names it has none for that.
    schedules = [*_schedules_in(table.get("schedules"), names, mistakes)]
    config = Config(tuple(sound), data, limits, journal, redaction, tuple(schedules))
    return Reading(config, tuple(mistakes))


def _schedules_in(
    written: object, pools: Collection[str], mistakes: list[str]
) -> Iterator[Schedule]:
    """Yield the schedules without a mistake, and add those of the others."""
    names: set[str] = set()
    for index, item in enumerate(written if isinstance(written, list) else []):
        schedule = usable(item, Schedule)
        if schedule is None:
            continue
        found = [*mistakes_of(schedule, pools, at=f"schedules[{index}]")]
        if schedule.name in names:
            found.append(f"schedules[{index}].name: {schedule.name!r} is used twice")
        names.add(schedule.name)
        mistakes += found
        if not found:
            yield schedule


def _journal_mistakes(journal: Journal) -> Iterator[str]:
    for name in ("keep_days", "keep_gib"):
        value = getattr(journal, name)
        if value is not None and not 0 < value < math.inf:
            yield f"journal.{name}: must be more than 0 and finite"
    if journal.anchor_command and not shutil.which(journal.anchor_command[0]):
        yield f"journal.anchor_command: there is no program {journal.anchor_command[0]!r}"
    if journal.anchor_file is not None and not journal.anchor_file.absolute().parent.is_dir():
        yield f"journal.anchor_file: there is no folder {journal.anchor_file.parent}"


def _pool_mistakes(pool: Pool, *, at: str) -> Iterator[str]:
    if not POOL_NAME.fullmatch(pool.name):
        yield (
            f"{at}.name: {pool.name!r} is not a name"
            " (letters, digits, '.', '_' and '-', at most 64)"
        )
    if not pool.addresses:
        yield f"{at}.addresses: give at least one, such as 'https://host'"
    remote = any(not address.startswith("unix:") for address in pool.addresses)
    yield from _login_mistakes(pool, at=at, remote=remote)
    if pool.workload is not None:
        yield from _login_mistakes(pool.workload, at=f"{at}.workload", remote=remote)
    for name in ("interval_s", "overlap_s"):
        if not 1 <= getattr(pool.audit_trail, name) <= AUDIT_S_MAX:
            yield f"{at}.audit_trail.{name}: must be from 1 to {AUDIT_S_MAX}"
    tls = pool.tls
    if sum([tls.ca_file is not None, tls.fingerprint is not None, not tls.verify]) > 1:
        yield f"{at}.tls: give one of ca_file, fingerprint and verify = false, not several"


def _login_mistakes(login: Pool | Login, *, at: str, remote: bool) -> Iterator[str]:
    if remote and not login.user:
        yield f"{at}.user: must not be empty"
    sources = [login.password_file, login.password_env, login.password_credential]
    given = sum(source is not None for source in sources)
    if given > 1 or (remote and given == 0):
        yield f"{at}: give one of password_file, password_env, password_credential"


def password_of(pool: Pool, environ: Mapping[str, str] = os.environ) -> str:
    """Read the password of a pool from where the configuration says it is.

    A file's trailing newline is not part of the password. Raises ConfigError naming the source,
    never what it holds.
    """
    if pool.password_env is not None:
        if pool.password_env not in environ:
            raise ConfigError(
                f"pool {pool.name}: the environment variable {pool.password_env} is not set"
            )
        return environ[pool.password_env]
    if pool.password_credential is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise ConfigError(
                f"pool {pool.name}: password_credential needs systemd's LoadCredential="
                " (CREDENTIALS_DIRECTORY is not set); xentrail.service says how to try it by hand"
            )
        return _secret_in(Path(folder) / pool.password_credential, pool)
    return "" if pool.password_file is None else _secret_in(pool.password_file, pool)


def _secret_in(file: Path, pool: Pool) -> str:
    try:
        raw = file.read_bytes()[: SECRET_BYTES_MAX + 1]
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"pool {pool.name}: password file {file} cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"pool {pool.name}: password file {file} is not UTF-8 text") from error
    if len(raw) > SECRET_BYTES_MAX:
        raise ConfigError(
            f"pool {pool.name}: password file {file} is over {SECRET_BYTES_MAX} bytes"
        )
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError(f"pool {pool.name}: password file {file} is empty")
    return password
