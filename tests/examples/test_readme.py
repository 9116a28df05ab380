"""What the README shows is what is printed."""

import shlex
from collections.abc import Callable, Iterator
from difflib import unified_diff

import pytest

from query.cli import app
from tests.examples.readme import README, Example, examples, stage

SHOWN = examples(README.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[str], str]]:
    with stage() as ready:
        yield ready


@pytest.mark.parametrize("example", SHOWN, ids=lambda example: example.command)
def test_example_prints_what_the_readme_shows(example: Example, run: Callable[[str], str]) -> None:
    """To the letter; `python -m tests.examples.readme` writes what has changed."""
    told = run(example.command)
    difference = unified_diff(example.answer.splitlines(), told.splitlines(), "README", "printed")
    assert told == example.answer, "\n".join(difference)


def test_every_question_has_an_example() -> None:
    """Each command of the history is shown at work."""
    asked = {
        command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        for command in app.registered_commands
        if command.rich_help_panel == "Ask the past"
    }
    assert asked
    assert asked <= {shlex.split(example.command)[1] for example in SHOWN}
