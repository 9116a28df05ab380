"""Every method of the API by its name: parameters, the role it needs, how it may be called.

The table beside this file (methods.txt) has them in the order of `system.listMethods` of xapi
25.32, a line a method: name, the least role (a letter of `Role`, `-` for none), and for those that
are not generated their parameters as `name:type`, with `=` where they may be left out. `internal`
marks what only hosts may call, `sync` what has no `Async.` form, `removed` what only fails. A name
with `/key:` is a permission of its own for one key of a map.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from functools import cache
from importlib.resources import files

import msgspec

from .datamodel import Field, fields
from .values import Value

NO_ASYNC = frozenset({"session", "auth", "event", "task", "data_source", "blob"})
"""Classes none of whose methods has an `Async.` form."""

Handler = Callable[..., Awaitable[Value]]
"""Who does an operation: takes the call under way (`toolstack.Call`) and the parameters."""


class Role(IntEnum):
    """The roles of xapi, each of which may do what those before it may."""

    READ_ONLY = 0
    VM_OPERATOR = 1
    VM_ADMIN = 2
    VM_POWER_ADMIN = 3
    POOL_OPERATOR = 4
    POOL_ADMIN = 5

    @property
    def label(self) -> str:
        """The role as xapi names it, `vm-power-admin`."""
        return self.name.lower().replace("_", "-")


_ROLES = dict(zip("ROAPLX", Role, strict=True))


class Param(msgspec.Struct, frozen=True):
    """A parameter of a method; `default` None means that it must be given.

    Types are those of the data model, and `record:CLASS` for what a constructor takes.
    """

    name: str
    type: str
    default: Value | None = None


class Signature(msgspec.Struct, frozen=True):
    """What is known of a method. `params` does not count the session.

    `generated` says that it only reads or writes fields, as every class has them. `role` is None
    where only root may call. `internal` methods are for hosts, with a session of the pool;
    `removed` ones are still listed, and fail.
    """

    cls: str
    verb: str
    role: Role | None
    params: tuple[Param, ...]
    generated: bool
    has_async: bool
    internal: bool
    removed: bool

    @property
    def name(self) -> str:
        """The dotted name, `VM.start`."""
        return f"{self.cls}.{self.verb}"


class _Catalogue(msgspec.Struct, frozen=True):
    methods: Mapping[str, Signature]
    keys: Mapping[str, Role]


def signatures() -> Mapping[str, Signature]:
    """Return every method by its dotted name, in the order of `system.listMethods`."""
    return _catalogue().methods


def key_roles() -> Mapping[str, Role]:
    """Return the roles of single keys of maps: `VM.add_to_other_config/key:folder`.

    The key may end in `*`.
    """
    return _catalogue().keys


@cache
def _catalogue() -> _Catalogue:
    methods: dict[str, Signature] = {}
    keys: dict[str, Role] = {}
    cls = ""
    text = files(__package__).joinpath("methods.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            cls = line[1:-1]
        elif "/key:" in line:
            name, letter = line.split(" ")
            keys[f"{cls}.{name}"] = _ROLES[letter]
        elif line:
            method = _signature(cls, line)
            methods[method.name] = method
    return _Catalogue(methods, keys)


def _signature(cls: str, line: str) -> Signature:
    verb, letter, *rest = line.split(" ")
    given = " ".join(rest)
    inside, brace, marks = given.removeprefix("(").rpartition(")")
    generated = not brace
    return Signature(
        cls=cls,
        verb=verb,
        role=_ROLES.get(letter),
        params=_generated_params(cls, verb) if generated else _params(inside),
        generated=generated,
        has_async=not generated and cls not in NO_ASYNC and "sync" not in marks,
        internal="internal" in marks,
        removed="removed" in marks,
    )


def _params(text: str) -> tuple[Param, ...]:
    return tuple(_param(item) for item in text.split())


def _param(text: str) -> Param:
    name, _, kind = text.partition(":")
    if "=" not in kind:
        return Param(name, kind)
    kind, _, given = kind.partition("=")
    return Param(name, kind, Field.parse(f"{name} {kind} ro {given}".rstrip()).default)


def _generated_params(cls: str, verb: str) -> tuple[Param, ...]:
    """Return the parameters of what xapi generates for a class and its fields."""
    if verb in _BY_VERB:
        return _BY_VERB[verb]
    own = Param("self", f"@{cls}")
    if verb == "get_record":
        return (own,)
    action, name = split_verb(verb)
    kind = fields(cls)[name].type
    _, _, inner = kind.partition(":")
    key, _, item = inner.partition(":")
    rest: Mapping[str, tuple[Param, ...]] = {
        "get": (),
        "set": (Param("value", kind),),
        "add_to": (Param("key", key), Param("value", item)),
        "remove_from": (Param("key", key),),
        "add": (Param("value", inner),),
        "remove": (Param("value", inner),),
    }
    return (own, *rest[action])


_BY_VERB: Mapping[str, tuple[Param, ...]] = {
    "get_all": (),
    "get_all_records": (),
    "get_all_where": (Param("expr", "string"),),
    "get_all_records_where": (Param("expr", "string"),),
    "get_by_uuid": (Param("uuid", "string"),),
    "get_by_name_label": (Param("label", "string"),),
}


def split_verb(verb: str) -> tuple[str, str]:
    """Return what a generated method does and with which field: `add_to`, `other_config`."""
    for action in ("add_to", "remove_from", "get", "set", "add", "remove"):
        if verb.startswith(f"{action}_"):
            return action, verb.removeprefix(f"{action}_")
    raise ValueError(f"{verb} is no generated method")
