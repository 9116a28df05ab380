"""What the oracle says when a promise was not kept."""


class Broken(AssertionError):
    """A promise was not kept; the message says which and how."""


def claim(holds: bool, otherwise: str) -> None:
    """Raise Broken unless something holds."""
    if not holds:
        raise Broken(otherwise[:2000])
