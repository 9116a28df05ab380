"""What is secret in a record: rules by class and field, and words in the keys of maps.

The built-in rules are a judgement of what XAPI lets every read-only user see. Not secret here:
names, descriptions, addresses, serial numbers and certificates. How a secret is replaced is not in
here.
"""

import difflib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files

import msgspec

VERSION = 1
"""What the rules mean; it goes up with every change of the built-in ones or of their meaning."""

OTHER_RULES = (
    "the recorder hides secrets by other rules: name the configuration that it runs with by"
    " --config, so that its [redaction] holds for these lines, too"
)
"""What is said to whoever brings lines from elsewhere."""

EVERY_CLASS = "*"
WORDS = ("auth", "chap", "cookie", "credential", "key", "license", "pass", "secret", "token")
"""A map value is secret if its key has one of these in it, in upper or lower case."""


class BadPolicy(ValueError):
    """The configured redaction means nothing; the message begins with the key that is wrong."""


class Rule(StrEnum):
    """What is replaced in the value of a field."""

    KEEP = "keep"  # nothing
    KEYS = "keys"  # the values in a map whose keys say that they are secret
    TEXT = "text"  # in texts: what follows `password=` and the like, and users in URLs
    WHOLE = "whole"  # every text in it; the keys of a map stay
    RESULT = "result"  # the result of a task, unless it is empty or references of objects
    ERRORS = "errors"  # an error and its parameters: what programs printed, references of sessions


class Kind(StrEnum):
    """What a field holds, as the table of fields writes it behind the name."""

    TEXT = ""
    MAP = "{}"
    SET = "[]"


BUILT_IN: Mapping[str, Mapping[str, Rule]] = {
    EVERY_CLASS: {"other_config": Rule.KEYS},
    "Cluster": {"cluster_config": Rule.KEYS, "cluster_token": Rule.WHOLE},
    "Observer": {"attributes": Rule.KEYS, "endpoints": Rule.TEXT},
    "PBD": {"device_config": Rule.KEYS},
    "Repository": {"binary_url": Rule.TEXT, "source_url": Rule.TEXT},
    "SR": {"sm_config": Rule.KEYS},
    "VDI": {"sm_config": Rule.KEYS, "xenstore_data": Rule.KEYS},
    "VGPU": {"extra_args": Rule.TEXT},
    "VM": {
        "NVRAM": Rule.WHOLE,
        "PV_args": Rule.TEXT,
        "PV_bootloader_args": Rule.TEXT,
        "PV_legacy_args": Rule.TEXT,
        "last_booted_record": Rule.WHOLE,
        "platform": Rule.KEYS,
        "snapshot_metadata": Rule.WHOLE,
        "xenstore_data": Rule.WHOLE,
    },
    "VMPP": {"alarm_config": Rule.KEYS, "archive_target_config": Rule.KEYS},
    "VM_guest_metrics": {"networks": Rule.KEYS, "other": Rule.KEYS, "services": Rule.KEYS},
    "VTPM": {"contents": Rule.WHOLE},
    "host": {
        "external_auth_configuration": Rule.KEYS,
        "license_params": Rule.KEYS,
        "license_server": Rule.KEYS,
        "power_on_config": Rule.KEYS,
    },
    "message": {"body": Rule.TEXT},
    "pool": {
        "guest_agent_config": Rule.KEYS,
        "gui_config": Rule.KEYS,
        "health_check_config": Rule.KEYS,
        "license_server": Rule.KEYS,
        "repository_proxy_url": Rule.TEXT,
        "wlb_password": Rule.WHOLE,
        "wlb_url": Rule.TEXT,
    },
    "secret": {"value": Rule.WHOLE},
    "session": {"parent": Rule.WHOLE, "uuid": Rule.WHOLE},
    "task": {"error_info": Rule.ERRORS, "name_description": Rule.TEXT, "result": Rule.RESULT},
}

_KINDS = {
    Rule.KEEP: frozenset(Kind),
    Rule.KEYS: frozenset({Kind.MAP}),
    Rule.TEXT: frozenset(Kind),
    Rule.WHOLE: frozenset(Kind),
    Rule.RESULT: frozenset({Kind.TEXT}),
    Rule.ERRORS: frozenset({Kind.SET}),
}
"""What a rule can be given to."""

_NEEDED = frozenset({("host", "address"), (EVERY_CLASS, "address")})
"""Fields by which the recorder finds a pool again: it writes them down, and reads them back."""

_KIND_NAMES = {Kind.TEXT: "a text", Kind.MAP: "a map", Kind.SET: "a set"}


@cache
def known_fields() -> Mapping[str, Mapping[str, Kind]]:
    """Return the fields that hold text, by class as XAPI writes it."""
    table: dict[str, dict[str, Kind]] = {}
    text = files(__package__).joinpath("fields.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            cls, _, names = line.partition(": ")
            table[cls] = dict(_field(name) for name in names.split())
    return table


def _field(word: str) -> tuple[str, Kind]:
    name = word.removesuffix("{}").removesuffix("[]")
    return name, Kind(word.removeprefix(name))


class FieldRule(msgspec.Struct, frozen=True):
    """One field with its rule, and what it holds."""

    name: str
    rule: Rule
    kind: Kind


class Policy(msgspec.Struct, frozen=True, dict=True):
    """The rules in force: the built-in ones, `changed` by field, with `more_words`.

    `open_keys` are keys of maps whose values are not secret, whatever words are in them.
    """

    changed: Mapping[tuple[str, str], Rule]
    more_words: tuple[str, ...] = ()
    open_keys: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        *,
        fields: Mapping[str, str],
        words: Sequence[str] = (),
        open_keys: Sequence[str] = (),
    ) -> "Policy":
        """Return what a configuration means; `fields` maps `CLASS.field` to the name of a rule.

        Raises BadPolicy, which names the nearest class, field or rule that there is.
        """
        changed = {_known(name): _rule(name, rule) for name, rule in fields.items()}
        for (owner, field), rule in changed.items():
            _check_kind(owner, field, rule)
        for name, given in (("words", words), ("open_keys", open_keys)):
            if not all(given):
                raise BadPolicy(f"{name}: an empty text is in every key")
        lower = tuple(sorted({word.lower() for word in words} - set(WORDS)))
        return cls(changed, lower, frozenset(open_keys))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """All words that make a key secret, in lower case."""
        return WORDS + self.more_words

    def knows(self, cls: str) -> bool:
        """Tell whether XAPI has this class, given in lower case, as far as is known here."""
        return cls in _CLASSES

    def rules_of(self, cls: str) -> list[FieldRule]:
        """Return the fields of a class that have a rule; `cls` in upper or lower case.

        A class that this table does not know has those of every class.
        """
        name = _CLASSES.get(cls.lower(), EVERY_CLASS)
        rules = dict(BUILT_IN[EVERY_CLASS]) | dict(BUILT_IN.get(name, {}))
        for owner in (EVERY_CLASS, name):
            rules |= {field: rule for (of, field), rule in self.changed.items() if of == owner}
        kinds = known_fields().get(name, {})
        return [
            FieldRule(field, rule, kinds.get(field, Kind.MAP))
            for field, rule in rules.items()
            if rule is not Rule.KEEP
        ]

    def is_secret_key(self, key: str) -> bool:
        """Tell whether the value under this key of a map is secret."""
        lower = key.lower()
        return key not in self.open_keys and any(word in lower for word in self.words)

    @cached_property
    def name(self) -> str:
        """How marks name the rules: their version, and 16 hex digits that only these rules have."""
        classes = sorted(known_fields())
        rules = {
            name: sorted((rule.name, rule.rule.value) for rule in self.rules_of(name))
            for name in (*classes, EVERY_CLASS)
        }
        text = msgspec.json.encode(
            [VERSION, sorted(rules.items()), sorted(self.words), sorted(self.open_keys)]
        )
        return f"{VERSION}:{sha256(text).hexdigest()[:16]}"


_CLASSES = {name.lower(): name for name in known_fields()}


def _known(name: str) -> tuple[str, str]:
    """Return class and field of `CLASS.field`, as XAPI writes them."""
    cls, dot, field = name.partition(".")
    if not dot:
        raise BadPolicy(f"fields.{name}: write CLASS.field, such as 'VM.{field or name}'")
    if cls == EVERY_CLASS:
        everywhere = {one for fields in known_fields().values() for one in fields}
        return cls, _nearest(name, field, everywhere, what="field")
    owner = _nearest(name, cls, known_fields(), what="class")
    return owner, _nearest(name, field, known_fields()[owner], what=f"field of {owner} with text")


def _nearest(key: str, word: str, known: "Mapping[str, object] | set[str]", *, what: str) -> str:
    if word in known:
        return word
    near = [one for one in known if one.lower() == word.lower()]
    near = near or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    raise BadPolicy(f"fields.{key!r}: there is no {what} called {word!r}{advice}")


def _rule(name: str, text: str) -> Rule:
    try:
        return Rule(text)
    except ValueError:
        near = difflib.get_close_matches(text, [rule.value for rule in Rule], n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(Rule)}"
        raise BadPolicy(f"fields.{name!r}: there is no rule {text!r}; {advice}") from None


def _check_kind(cls: str, field: str, rule: Rule) -> None:
    if (cls, field) in _NEEDED and rule is not Rule.KEEP:
        raise BadPolicy(
            f"fields.'{cls}.{field}': the recorder has to write down where the hosts of a pool are"
        )
    owners = known_fields() if cls == EVERY_CLASS else [cls]
    for owner in owners:
        kind = known_fields()[owner].get(field)
        if kind is not None and kind not in _KINDS[rule]:
            fit = ", ".join(one for one in Rule if kind in _KINDS[one])
            raise BadPolicy(
                f"fields.'{cls}.{field}': {owner}.{field} is {_KIND_NAMES[kind]}, to which"
                f" {rule.value!r} does not apply; possible are {fit}"
            )
