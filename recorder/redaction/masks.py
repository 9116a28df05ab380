"""Secrets in JSON text replaced by keyed digests; every other byte stays as it was.

A secret text becomes `redacted:` and 16 hex digits of an HMAC over it: the same for the same text,
and not to be guessed without the key. An empty text stays empty; maps keep their keys.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Set
from hashlib import sha256

import msgspec

from .policy import Policy, Rule

PREFIX = "redacted:"
DIGEST_HEX = 16

KEYS_MAX = 10_000
"""So many keys of maps are known not to be secret: all but a few that a guest makes up."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]|[^\s{}\[\]:,"]++', re.DOTALL)
_WORDS_OF_JSON = frozenset({b"true", b"false", b"null"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REFERENCES = re.compile(
    r"(?:</?(?:value|array|data|string)/?>|<boolean>[01]</boolean>"
    r"|OpaqueRef:(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|NULL)|\s)*+"
)
_USER_IN_URL = re.compile(r"(?<=://)[^\s/?#\"'<>]+(?=@)")
_PRINTED = ("SR_BACKEND_FAILURE", "XENAPI_PLUGIN_FAILURE", "XENAPI_PLUGIN_EXCEPTION")
"""Errors whose parameters are what a program printed."""

_TEXTS_BY_KEY = msgspec.json.Decoder(dict[str, str])
_WHOLE_JSON = msgspec.json.Decoder(msgspec.Raw)


class Masks:
    """Replaces what `policy` calls secret; `key` is that of the digests."""

    def __init__(self, policy: Policy, key: bytes) -> None:
        self._policy = policy
        self._key = key
        self._open: set[str] = set()
        """Keys that were seen, and are not secret."""
        self._assigned = _assignments(policy)

    def hmac(self, data: bytes) -> str:
        """Return 16 hex digits of the keyed digest of `data`."""
        return hmac.digest(self._key, data, sha256).hex()[:DIGEST_HEX]

    def mask(self, text: str) -> str:
        """Return what stands for a secret text; an empty one has nothing to hide."""
        return PREFIX + self.hmac(text.encode()) if text else text

    def in_text(self, text: str) -> str:
        """Return a text without what follows `password=` and the like, without users in URLs."""
        text = _USER_IN_URL.sub(lambda found: self.mask(found[0]), text)
        return self._assigned.sub(self._mask_assigned, text)

    def record(self, rules: Mapping[str, Rule], text: bytes) -> bytes:
        """Return a whole record, each field as its rule wants it. What is no map is replaced whole.

        It knows every way to write JSON: escapes in names, spaces, fields that come twice.
        """
        _WHOLE_JSON.decode(text)
        if not text.lstrip().startswith(b"{"):
            return self.masked(Rule.WHOLE, text) or text
        copy = _Copy(text)
        for name, start, end in _members(text):
            if name in rules:
                new = self.masked(rules[name], text[start:end])
                copy.replace(start, end, text[start:end] if new is None else new)
        return copy.finished()

    def masked(self, rule: Rule, text: bytes) -> bytes | None:
        """Return the JSON value `text` as a rule wants it; None if nothing in it is secret.

        Raises msgspec.DecodeError if it is not one whole value.
        """
        if rule is Rule.KEYS and self.open_keys(text) is not None:
            return None
        _WHOLE_JSON.decode(text)
        passed = 0
        if rule is Rule.ERRORS:
            rule, passed = _rule_of_error(text)
        elif rule is Rule.KEYS and not text.lstrip().startswith(b"{"):
            rule = Rule.WHOLE  # no key says that it is harmless
        is_text = text.startswith(b'"') and text.endswith(b'"')
        new = self._leaf(rule, text) if is_text else self._walk(rule, text, passed)
        return None if new == text else new

    def open_keys(self, text: bytes) -> Set[str] | None:
        """Return quickly the keys of a map of texts if none is secret; None: it is to be looked at.

        Raises msgspec.DecodeError if it is no JSON.
        """
        try:
            keys = _TEXTS_BY_KEY.decode(text).keys()
        except msgspec.ValidationError:
            return None
        if keys <= self._open:
            return keys
        if any(self._policy.is_secret_key(key) for key in keys - self._open):
            return None
        if len(self._open) + len(keys) > KEYS_MAX:
            self._open.clear()
        self._open |= keys
        return keys

    def _walk(self, rule: Rule, text: bytes, passed: int) -> bytes:
        """Replace what is secret in a value; the first `passed` texts in it are not."""
        copy = _Copy(text)
        current: Rule | None = rule
        outer: list[tuple[bool, Rule | None]] = []
        in_map, inside, key_next = False, current, False
        for found in _TOKEN.finditer(text):
            token = found[0]
            match token[:1]:
                case b"{" | b"[":
                    outer.append((in_map, inside))
                    in_map = key_next = token == b"{"
                    inside = current
                case b"}" | b"]":
                    in_map, inside = outer.pop()
                case b",":
                    key_next, current = in_map, inside
                case b":":
                    key_next = False
                case _ if key_next:
                    current = self._rule_below(inside, _string(token))
                case _ if passed:
                    passed -= 1
                case _:
                    copy.replace(found.start(), found.end(), self._leaf(current, token))
        return copy.finished()

    def _rule_below(self, rule: Rule | None, key: str) -> Rule | None:
        """Return the rule for the value of a key; None if it is secret unless it is a uuid.

        xapi itself moves passwords into objects of the class `secret`: what `password_secret` holds
        then is the uuid of one.
        """
        if rule is not Rule.KEYS or not self._policy.is_secret_key(key):
            return rule
        return None if key.endswith("_secret") else Rule.WHOLE

    def _leaf(self, rule: Rule | None, token: bytes) -> bytes:
        """Return what stands for a text, a number or a word."""
        if rule is Rule.KEYS or token in _WORDS_OF_JSON:
            return token
        if not token.startswith(b'"'):
            return (
                msgspec.json.encode(self.mask(token.decode()))
                if rule in {Rule.WHOLE, None}
                else token
            )
        text = _string(token)
        new = self._new_text(rule, text)
        return token if new == text else msgspec.json.encode(new)

    def _new_text(self, rule: Rule | None, text: str) -> str:
        if rule is Rule.TEXT:
            return self.in_text(text)
        harmless = {None: _UUID, Rule.RESULT: _REFERENCES}.get(rule)
        return text if harmless and harmless.fullmatch(text) else self.mask(text)

    def _mask_assigned(self, found: "re.Match[str]") -> str:
        start, end = found.span(found.lastindex or 0)
        start, end = start - found.start(), end - found.start()
        return found[0][:start] + self.mask(found[0][start:end]) + found[0][end:]


class _Copy:
    """A text of which parts are replaced, from the front to the back."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._done = 0
        self._parts: list[bytes] = []

    def replace(self, start: int, end: int, new: bytes) -> None:
        self._parts += [self._text[self._done : start], new]
        self._done = end

    def finished(self) -> bytes:
        return b"".join([*self._parts, self._text[self._done :]])


def _assignments(policy: Policy) -> "re.Pattern[str]":
    """Return what finds `name=secret`, `name: secret`, `"name": "secret"`, `<name>secret<`."""
    words = "|".join(re.escape(word) for word in (*policy.words, "session_id"))
    # Bounded, and begun only where a word begins: a text of megabytes is read once.
    name = rf"(?<![\w.-])[\w.-]{{0,64}}?(?:{words})[\w.-]{{0,64}}"
    before = (
        rf"(?:{name}\\?[\"']?\s{{0,8}}[=:]\s{{0,8}}(?:(?:basic|bearer)\s+)?|<{name}[^<>]{{0,200}}>)"
    )
    after = r"(?:\"([^\"]+)\"|'([^']+)'|([^\s\"',;&<>]+))"
    return re.compile(before + after, re.IGNORECASE)


def _rule_of_error(text: bytes) -> tuple[Rule, int]:
    """Return the rule for an error and its parameters, and how many of them are no secret."""
    match msgspec.json.decode(text):
        case ["SESSION_INVALID", *_]:
            return Rule.WHOLE, 1
        case ["HANDLE_INVALID", str(cls), *_] if cls.lower() == "session":
            return Rule.WHOLE, 2
        case [str(code), *_]:
            return (Rule.WHOLE if code.startswith(_PRINTED) else Rule.TEXT), 1
    return Rule.WHOLE, 0


def _members(text: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield the fields of a record: name, and where its value begins and ends."""
    depth, name, start, end = 0, None, 0, 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if depth == 1 and token in {b",", b"}"} and name is not None:
            yield name, start, end
            name = None
        elif depth == 1 and name is None and token.startswith(b'"'):
            name, start = _string(token), 0
        elif depth == 1 and token != b":" and not start:
            start = found.start()
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token, 0)
        end = found.end()


def _string(token: bytes) -> str:
    """Return the text that a JSON string holds."""
    return msgspec.json.decode(token, type=str) if b"\\" in token else token[1:-1].decode()
