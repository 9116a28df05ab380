"""What a session wants to hear of: `*`, a class in any case, or `class/reference`."""

from collections.abc import Iterable

import msgspec

ALL = "*"


class Interest(msgspec.Struct, frozen=True):
    """A set of class strings, made ready for matching."""

    everything: bool
    classes: frozenset[str]
    objects: frozenset[tuple[str, str]]
    classes_of_objects: frozenset[str]

    def matches(self, cls: str, ref: str) -> bool:
        """Say whether a change of this object (class in lower case) is wanted."""
        return self.everything or cls in self.classes or (cls, ref) in self.objects

    def wants_class(self, cls: str) -> bool:
        """Say whether any object of this lower-case class may be wanted."""
        return self.everything or cls in self.classes or cls in self.classes_of_objects


def interest_in(strings: Iterable[str]) -> Interest:
    """Read class strings; xapi accepts any text, and what names no class matches nothing."""
    wanted = list(strings)
    pairs = [text.partition("/") for text in wanted if text != ALL]
    objects = frozenset((cls.lower(), ref) for cls, slash, ref in pairs if slash)
    return Interest(
        everything=ALL in wanted,
        classes=frozenset(cls.lower() for cls, slash, _ref in pairs if not slash),
        objects=objects,
        classes_of_objects=frozenset(cls for cls, _ref in objects),
    )
