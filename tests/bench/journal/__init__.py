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
Small batches wait for the disk: one fdatasync each, as for the bare loop. In large ones a quarter
of the time still goes there, as much into SHA-256 and CRC-32, and the rest into packing and into
the nodes of the Merkle tree; the bare loop has no tree and no checksums, and hashes a batch at once
where we hash each event, which is what proves it alone, without the rest of the journal.

Verify hashes each event once, with the SHA instructions of the processor through OpenSSL, which
`sha256sum` may have to do without. That is a third of its time, and the distance to `openssl dgst`
is the rest: CRC-32, reading, unpacking frames into entries, and the inner nodes of the tree.

Packing is bound by zstd with its long window, for more than half of its time. The rest is the care
that is taken before the raw file goes: its chain is checked first, and what was packed is unpacked
again and compared.

Opening reads the header of the last segment; after a kill it checks all that is in that, too.
"""


def measure(bench: Bench) -> Chapter:
    """Measure all parts."""
    chapter = Chapter(WORK, BOUND)
    for part in (append, verify, pack, opening):
        folder = bench.folder / part.__name__
        folder.mkdir()
        part(bench, folder, chapter)
    return chapter
