"""`xentrail demo`: see it work."""

import typer

from recorder.cli import DataOption, data_folder

from ..ends import say


def demo(data: DataOption = None) -> None:
    """Watch two simulated pools being recorded, and what the history makes of it."""
    from .. import demo as show

    failed = show.run(data_folder(data))
    for expectation in failed:
        say(f"the demo expected that {expectation}; it did not hold")
    raise typer.Exit(1 if failed else 0)
