"""What several commands take on their command line."""

from typing import Annotated

import typer

from .. import completion

PoolOption = Annotated[
    str | None, typer.Option("--pool", help="Only this pool.", autocompletion=completion.pools)
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="INSTANT", help="From then on: ISO, -2h, @SEQ.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="INSTANT", help="Up to then: ISO, -2h, @SEQ.")
]
ClassOption = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="Only objects of this class, in any case.",
        autocompletion=completion.classes,
    ),
]
_OBJECT_HELP = "Reference, uuid, beginning of a uuid, or name; also vm:NAME, POOL/NAME."
ObjectArgument = Annotated[
    str,
    typer.Argument(metavar="OBJECT", help=_OBJECT_HELP, autocompletion=completion.objects),
]
OptionalObjectArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[OBJECT]",
        help=_OBJECT_HELP,
        show_default=False,
        autocompletion=completion.objects,
    ),
]
