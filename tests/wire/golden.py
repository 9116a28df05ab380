"""Bodies of answers recorded from a real xapi."""

from pathlib import Path

CLIENT = Path(__file__).parent.parent / "golden/wire/client"


def body_of(name: str) -> bytes:
    """Return the body of `calls/NAME.resp`, or of any other file below the golden folder."""
    file = CLIENT / name if "/" in name else CLIENT / f"calls/{name}.resp"
    return file.read_bytes().partition(b"\r\n\r\n")[2]
