"""Errors in words."""

import pytest

from query.questions.tasks_errors import in_words

NAMES = {"OpaqueRef:1": "web1", "OpaqueRef:2": "store"}


@pytest.mark.parametrize(
    ("code", "params", "words"),
    [
        (
            "VM_BAD_POWER_STATE",
            ["OpaqueRef:1", "halted", "running"],
            "web1 is running, but has to be halted",
        ),
        (
            "VM_REQUIRES_SR",
            ["OpaqueRef:1", "OpaqueRef:2", "more"],
            "web1 needs storage store, which the host does not have",
        ),
        (
            "SR_BACKEND_FAILURE_46",
            ["", "The VDI is busy", ""],
            "the storage failed: The VDI is busy",
        ),
        ("SR_BACKEND_FAILURE_46", [], "the storage failed"),
        ("NO_HOSTS_AVAILABLE", [], "no host can run it"),
        ("HOST_NOT_ENOUGH_FREE_MEMORY", ["OpaqueRef:1"], None),
        ("VM_IS_TEMPLATE", ["{0.__class__}"], "{0.__class__} is a template"),
        ("VM_IS_TEMPLATE", ["two\nlines " + "x" * 99], f"two lines {'x' * 49}… is a template"),
        ("A_CODE_OF_TOMORROW", ["OpaqueRef:1"], None),
        ("", [], None),
    ],
)
def test_error_is_told_in_words_or_not_at_all(
    code: str, params: list[str], words: str | None
) -> None:
    """References get names; what nobody knows, or lacks a parameter, is left to its code."""
    assert in_words(code, params, NAMES) == words
