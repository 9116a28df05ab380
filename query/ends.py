"""How a command ends that fails: one message and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from recorder.errors import XentrailError
from recorder.printable import shown

TRACEBACK_VARIABLE = "XENTRAIL_TRACEBACK"
BUG_EXIT_CODE = 70


@contextmanager
def ends_told() -> Iterator[None]:
    """End the process for every error: a foreseen one with the exit code of its family."""
    try:
        yield
    except XentrailError as error:
        say(str(error), *error.choices)
        sys.exit(error.exit_code)
    except OSError as error:
        # Files of ours are mapped where they are used; what is left is the answer itself.
        say(f"the answer cannot be written: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        say(
            f"internal error: {type(error).__name__}: {error}; this is a bug in xentrail, please"
            f" report it ({TRACEBACK_VARIABLE}=1 shows where it happened)"
        )
        sys.exit(BUG_EXIT_CODE)


def say(text: str, *choices: str) -> None:
    """Say something about the answer, on stderr: one line, and one for each choice."""
    print(f"xentrail: {shown(text)}", file=sys.stderr)
    for choice in choices:
        print(f"  {shown(choice)}", file=sys.stderr)
