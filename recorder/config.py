"""The configuration: a TOML file in, frozen values out; mistakes are named with file and key."""

import math
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from .errors import ConfigError
from .model import Stream
from .policy import BadPolicy, Policy

T = TypeVar("T")

POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SECRET_BYTES_MAX = 4096


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the certificate of a pool is checked; no key at all means the system's authorities."""

    ca_file: Path | None = None
    fingerprint: str | None = None
    verify: bool = True


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
    reading = _reading(_table(file))
    if reading.mistakes:
        first, *more = reading.mistakes
        rest = f"; {len(more)} more: see xentrail check --config {file}" if more else ""
        raise ConfigError(f"{file}: {first}{rest}")
    return reading.config


def read(file: Path) -> Reading:
    """Read a configuration file for somebody who wants to hear of every mistake at once."""
    try:
        return _reading(_table(file))
    except ConfigError as error:
        return Reading(Config(), (str(error).removeprefix(f"{file}: "),))


def _table(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def _reading(table: dict[str, object]) -> Reading:
    mistakes = [*_mistakes_in(table, Config, at="")]
    written = table.get("pools")
    pools = [_usable(item, Pool) for item in written] if isinstance(written, list) else []
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
    limits = _usable(table.get("limits"), Limits) or Limits()
    journal = _usable(table.get("journal"), Journal) or Journal()
    for name in Limits.__struct_fields__:
        if not 0 < getattr(limits, name) < math.inf:
            mistakes.append(f"limits.{name}: must be more than 0 and finite")
    mistakes += _journal_mistakes(journal)
    redaction = _usable(table.get("redaction"), Redaction) or Redaction()
    try:
        redaction.policy()
    except BadPolicy as error:
        mistakes.append(f"redaction.{error}")
        redaction = Redaction()
    data = _usable(table.get("data"), Path)
    return Reading(Config(tuple(sound), data, limits, journal, redaction), tuple(mistakes))


def _usable(value: object, kind: type[T]) -> T | None:
    """Return a value as a `kind`, None for one whose mistakes `_mistakes_in` tells."""
    try:
        return msgspec.convert(value, kind, dec_hook=_convert)
    except msgspec.ValidationError:
        return None


def _journal_mistakes(journal: Journal) -> Iterator[str]:
    for name in ("keep_days", "keep_gib"):
        value = getattr(journal, name)
        if value is not None and not 0 < value < math.inf:
            yield f"journal.{name}: must be more than 0 and finite"
    if journal.anchor_command and not shutil.which(journal.anchor_command[0]):
        yield f"journal.anchor_command: there is no program {journal.anchor_command[0]!r}"
    if journal.anchor_file is not None and not journal.anchor_file.absolute().parent.is_dir():
        yield f"journal.anchor_file: there is no folder {journal.anchor_file.parent}"


def _convert(annotation: type, value: object) -> object:
    if annotation is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError(f"expected a path, got {value!r}")  # msgspec adds the key


def _mistakes_in(
    table: Mapping[str, object], struct: type[msgspec.Struct], *, at: str
) -> Iterator[str]:
    """Name every key that `struct` does not know, does not find, or whose value does not fit."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key in fields:
            yield from _value_mistakes(value, fields[key].type, at=f"{at}{key}")
            continue
        from difflib import get_close_matches  # for mistakes only, and slow to load

        near = get_close_matches(key, fields, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
        yield f"unknown key {at}{key}; {advice}"
    for name, field in fields.items():
        if field.required and name not in table:
            yield f"{at}{name}: is missing"


def _value_mistakes(value: object, annotation: object, *, at: str) -> Iterator[str]:
    inner = _struct_in(annotation)
    if inner is not None and inner is annotation and isinstance(value, dict):
        yield from _mistakes_in(value, inner, at=f"{at}.")
    elif inner is not None and inner is not annotation and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value_mistakes(item, inner, at=f"{at}[{index}]")
    else:
        try:
            msgspec.convert(value, annotation, dec_hook=_convert)
        except msgspec.ValidationError as error:
            yield _readable(error, at=at)


def _readable(error: msgspec.ValidationError, *, at: str) -> str:
    """Turn msgspec's `… - at `$[0]`` into `pools[0].addresses[0]: …`."""
    text, _, place = str(error).partition(" - at `$")
    return f"{at}{place.rstrip('`')}: {text}"


def _struct_in(annotation: object) -> type[msgspec.Struct] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _pool_mistakes(pool: Pool, *, at: str) -> Iterator[str]:
    if not POOL_NAME.fullmatch(pool.name):
        yield (
            f"{at}.name: {pool.name!r} is not a name"
            " (letters, digits, '.', '_' and '-', at most 64)"
        )
    if not pool.addresses:
        yield f"{at}.addresses: give at least one, such as 'https://host'"
    remote = any(not address.startswith("unix:") for address in pool.addresses)
    if remote and not pool.user:
        yield f"{at}.user: must not be empty"
    sources = [pool.password_file, pool.password_env, pool.password_credential]
    given = sum(source is not None for source in sources)
    if given > 1 or (remote and given == 0):
        yield f"{at}: give one of password_file, password_env, password_credential"
    tls = pool.tls
    if sum([tls.ca_file is not None, tls.fingerprint is not None, not tls.verify]) > 1:
        yield f"{at}.tls: give one of ca_file, fingerprint and verify = false, not several"


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
                " (CREDENTIALS_DIRECTORY is not set)"
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
