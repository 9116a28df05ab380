"""The console script `xentrail`: the command line of `query.cli`, and a short way to the recorder.

To build and parse the whole command line takes a quarter of what it takes to start a recorder. A
supervisor starts it with the same words each time: those are read here. Whatever else is said,
and whatever is wrong with it, is for the command line.
"""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.folders import DATA_VARIABLE

from .ends import ends_told

COMPLETION_VARIABLE = "_XENTRAIL_COMPLETE"
"""By this the shell asks what could be said next."""


class Recording(NamedTuple):
    """What is recorded, and where if that was said."""

    config: Path
    data: Path | None


def main() -> None:
    """Do what the command line says."""
    recording = plain_recording(sys.argv[1:], os.environ)
    if recording is None:
        from .cli import main as parse_and_run

        parse_and_run()
        return
    try:
        with ends_told():
            import_recorder()(*recording)
    except KeyboardInterrupt:
        # Before the recorder listens for signals; the command line says the same.
        print("Aborted!", file=sys.stderr)
        sys.exit(1)


def plain_recording(words: Sequence[str], variables: Mapping[str, str]) -> Recording | None:
    """Return what `record --config FILE [--data DIR]` asks for, None if anything else is said."""
    if COMPLETION_VARIABLE in variables or words[:1] != ["record"]:
        return None
    said = dict(zip(words[1::2], words[2::2], strict=False))
    if len(words) != 1 + 2 * len(said) or not {"--config"} <= said.keys() <= {"--config", "--data"}:
        return None
    if any(not word or word.startswith("-") for word in said.values()):
        return None
    data = said.get("--data") or variables.get(DATA_VARIABLE)
    return Recording(Path(said["--config"]), Path(data) if data else None)


def import_recorder() -> Callable[[Path, Path | None], None]:
    """Return what records. What is imported stays: to look again and again, while it comes and ever
    after, whether some of it is garbage takes a twelfth of the start, and finds nothing."""
    gc.disable()
    try:
        from recorder.service.recording import record_until_stopped
    finally:
        gc.freeze()
        gc.enable()
    return record_until_stopped


if __name__ == "__main__":
    main()
