"""The configuration: a TOML file in, frozen values out; mistakes are named with file and key."""

import difflib
import math
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec

from .errors import ConfigError
from .model import Stream

DEFAULT_DATA = Path("xentrail-data")
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
    retry_wait_max_s: float = 10.0
    segment_mib_max: int = 64
    segment_age_max_s: float = 3600.0


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the journal is kept, and who is told its checkpoints."""

    keep_days: float | None = None
    keep_gib: float | None = None
    anchor_file: Path | None = None
    anchor_command: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration file."""

    pools: tuple[Pool, ...] = ()
    data: Path | None = None
    limits: Limits = msgspec.field(default_factory=Limits)
    journal: Journal = msgspec.field(default_factory=Journal)


def load(file: Path) -> Config:
    """Read and check a configuration file.

    Raises ConfigError, whose message names the file, the key and what to do.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    return _checked(table, file)


def _checked(table: dict[str, object], file: Path) -> Config:
    _refuse_unknown_keys(table, Config, file=file, at="")
    try:
        config = msgspec.convert(table, Config, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_readable(error)}") from error
    if not config.pools:
        raise ConfigError(f"{file}: no pool to record: add a [[pools]] table")
    names = [pool.name for pool in config.pools]
    for index, pool in enumerate(config.pools):
        _check_pool(pool, file=file, at=f"pools[{index}]")
        if names.index(pool.name) != index:
            raise ConfigError(f"{file}: pools[{index}].name: {pool.name!r} is used twice")
    for name in Limits.__struct_fields__:
        if not 0 < getattr(config.limits, name) < math.inf:
            raise ConfigError(f"{file}: limits.{name}: must be more than 0 and finite")
    _check_journal(config.journal, file=file)
    return config


def _check_journal(journal: Journal, *, file: Path) -> None:
    for name in ("keep_days", "keep_gib"):
        value = getattr(journal, name)
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{file}: journal.{name}: must be more than 0 and finite")
    if journal.anchor_command and not shutil.which(journal.anchor_command[0]):
        raise ConfigError(
            f"{file}: journal.anchor_command: there is no program {journal.anchor_command[0]!r}"
        )
    if journal.anchor_file is not None and not journal.anchor_file.absolute().parent.is_dir():
        raise ConfigError(
            f"{file}: journal.anchor_file: there is no folder {journal.anchor_file.parent}"
        )


def _convert(annotation: type, value: object) -> object:
    if annotation is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError(f"expected a path, got {value!r}")  # msgspec adds the key


def _readable(error: msgspec.ValidationError) -> str:
    """Turn msgspec's `… - at `$.pools[0].name`` into `pools[0].name: …`."""
    text, _, place = str(error).partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    return f"{key}: {text}" if key else text


def _refuse_unknown_keys(
    table: Mapping[str, object], struct: type[msgspec.Struct], *, file: Path, at: str
) -> None:
    """Name the first key that `struct` does not know, and the nearest that it does."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"{file}: unknown key {at}{key}; {advice}")
        inner = _struct_in(fields[key].type)
        if inner is None:
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    _refuse_unknown_keys(item, inner, file=file, at=f"{at}{key}[{index}].")
        elif isinstance(value, dict):
            _refuse_unknown_keys(value, inner, file=file, at=f"{at}{key}.")


def _struct_in(annotation: object) -> type[msgspec.Struct] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _check_pool(pool: Pool, *, file: Path, at: str) -> None:
    if not POOL_NAME.fullmatch(pool.name):
        raise ConfigError(
            f"{file}: {at}.name: {pool.name!r} is not a name"
            " (letters, digits, '.', '_' and '-', at most 64)"
        )
    if not pool.addresses:
        raise ConfigError(f"{file}: {at}.addresses: give at least one, such as 'https://host'")
    if not pool.user and not all(address.startswith("unix:") for address in pool.addresses):
        raise ConfigError(f"{file}: {at}.user: must not be empty")
    sources = [pool.password_file, pool.password_env, pool.password_credential]
    given = sum(source is not None for source in sources)
    needed = any(not address.startswith("unix:") for address in pool.addresses)
    if given > 1 or (needed and given == 0):
        raise ConfigError(
            f"{file}: {at}: give one of password_file, password_env, password_credential"
        )
    tls = pool.tls
    if sum([tls.ca_file is not None, tls.fingerprint is not None, not tls.verify]) > 1:
        raise ConfigError(
            f"{file}: {at}.tls: give one of ca_file, fingerprint and verify = false, not several"
        )


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
