"""Keys and notes that Go and C2SP publish, from tests/golden/journal/notes.json."""

import json
from pathlib import Path

from recorder.journal.keys import VerifierKey

VECTORS = json.loads(
    (Path(__file__).parents[1] / "golden" / "journal" / "notes.json").read_text("utf-8")
)
PETER: str = VECTORS["private_key"]
PETER_PUBLIC, ENOCH_PUBLIC = (VerifierKey.parse(text) for text in VECTORS["public_keys"][:2])
TEXT: str = VECTORS["notes"][0]["text"]
NOTE: str = VECTORS["notes"][0]["note"]  # by Peter
BOTH: str = VECTORS["notes"][1]["note"]  # by Peter and Enoch
