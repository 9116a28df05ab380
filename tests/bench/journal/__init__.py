"""The journal: how fast it is written and checked, how small it is packed, how soon it is open."""

from tests.bench.chapter import Bench, Chapter
from tests.bench.journal.append import append
from tests.bench.journal.opening import opening
from tests.bench.journal.pack import pack
from tests.bench.journal.verify import verify

TITLE = "The journal"

WORK = """
Everybody works on the same made events of a busy pool: whole records, half of them of VMs.

- *Append*: make them durable, in batches. The bare loop packs each event, hashes the batch, and
  calls write and fdatasync once; the disk alone writes as many bytes and calls fdatasync.
- *Verify*: read raw segments and check every byte. The programs and Python's hashlib only hash the
  same files; a verify reads frames, checks their sums, the chain, the Merkle tree and signatures.
- *Pack*: compress one full segment. xentrail reads it back, compares it, and syncs file and folder;
  the rivals only compress, and write without a sync. gzip gets the same events as lines of JSON.
- *Open*: open a journal for writing in a new process, after a clean close and after a kill -9 with
  a nearly full last segment, all of whose frames are checked then.
"""

BOUND = """
Small batches wait for the disk: one fdatasync each, as for the bare loop. Large batches are bound
by SHA-256 and by packing: beyond what the bare loop does, each event gets a leaf of the Merkle tree
(a second hash of its bytes), which is what proves it alone, without the rest of the journal.

Verify hashes everything twice as well, for the chain and for the leaves, with the SHA instructions
of the processor through OpenSSL; `sha256sum` may have to do without them. What is above one hash
is the second one, CRC-32, and cutting frames into entries.

Packing is bound by zstd with its long window, and by reading back what was written to compare it.
Opening reads the header of the last segment; after a kill also hashes what is in that.
"""


def measure(bench: Bench) -> Chapter:
    """Measure all parts."""
    chapter = Chapter(WORK, BOUND)
    for part in (append, verify, pack, opening):
        folder = bench.folder / part.__name__
        folder.mkdir()
        part(bench, folder, chapter)
    return chapter
