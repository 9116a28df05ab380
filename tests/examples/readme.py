"""The examples of the README: commands, and what they print about the night of `story`.

An example is a block of the kind `console`; a line that begins with `$ ` is a command, those below
are its whole answer, stdout before stderr. After a change of what is printed, `python -m
tests.examples.readme` writes the answers anew: read the difference before it is committed.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from query import cli
from tests.examples.story import ENDS_NS, tell

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """A command and what it prints."""

    command: str
    answer: str


def examples(text: str) -> list[Example]:
    """Return the examples of a document, in order."""
    found = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.partition("\n")
            found.append(Example(command, answer))
    return found


@contextlib.contextmanager
def stage() -> Iterator[Callable[[str], str]]:
    """Record the story in a folder of its own; yield what runs a command there."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tell(Path("xentrail-data"))
        yield answer_to


def answer_to(command: str) -> str:
    """Run a command in this folder at the end of the story; return all that it prints."""
    program, *words = shlex.split(command)
    assert program == "xentrail", command
    out, err = io.StringIO(), io.StringIO()
    clean = {name: text for name, text in os.environ.items() if not name.startswith("XENTRAIL_")}
    with (
        patch.dict(os.environ, clean, clear=True),
        patch.object(sys, "argv", [program, *words]),
        patch("query.commands.asking.wall_ns", lambda: ENDS_NS),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.suppress(SystemExit),
    ):
        cli.main()
    lines = (out.getvalue() + err.getvalue()).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def renewed(text: str) -> str:
    """Return a document with the answers that the commands give now."""
    with stage() as run:

        def block(found: "re.Match[str]") -> str:
            parts = [f"$ {one.command}\n{run(one.command)}" for one in examples(found[0])]
            return f"```console\n{''.join(parts)}```"

        return _BLOCK.sub(block, text)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
