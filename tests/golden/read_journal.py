"""An independent reader of journals, written from FORMAT.md alone; it shares no code with xentrail.

    python read_journal.py FOLDER

prints each entry as a line of JSON (bytes as Latin-1 text) and a last line with the chain in hex.
It stops with a sentence at anything that is wrong, and takes a torn tail for the end.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgpack


class Wrong(Exception):
    """The journal is not what FORMAT.md says."""


def need(condition: bool, text: str) -> None:
    """Stop if `condition` does not hold."""
    if not condition:
        raise Wrong(text)


def unpack(data: bytes) -> list[tuple[bytes, object]]:
    """Split an array into its items, each with its bytes."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=len(data))
    unpacker.feed(data)
    items, count = [], unpacker.read_array_header()
    for _ in range(count):
        start = unpacker.tell()
        value = unpacker.unpack()
        items.append((data[start : unpacker.tell()], value))
    need(unpacker.tell() == len(data), "bytes behind the last item")
    return items


def tree_head(leaves: list[bytes]) -> bytes:
    """Compute the RFC 6962 tree head by its definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + tree_head(leaves[:split]) + tree_head(leaves[split:])).digest()


def read_frame(data: bytes, at: int) -> tuple[int, int, int, bytes, bytes] | None:
    """Return flags, count, first_seq, payload and chain of the frame at `at`; None if not whole."""
    if at + 56 > len(data):
        return None
    length, inverse, crc, flags, count, first = struct.unpack_from("<IIIHHQ", data, at)
    end = at + 24 + length + 32
    if length + inverse != 0xFFFFFFFF or end > len(data):
        return None
    if zlib.crc32(data[at + 12 : end]) != crc:
        return None
    return flags, count, first, data[at + 24 : end - 32], data[end - 32 : end]


def read_segment(data: bytes, chain: bytes, seq: int, last: bool) -> Iterator[tuple[object, bytes]]:
    """Yield each entry of a segment with the chain so far."""
    length, inverse, crc = struct.unpack_from("<III", data, 8)
    raw = data[: 20 + length]
    need(data[:8] == b"xentrail" and length + inverse == 0xFFFFFFFF, "bad header")
    need(zlib.crc32(raw[20:]) == crc, "bad header")
    header = msgpack.unpackb(raw[20:], unicode_errors="surrogatepass")
    need(header["format"] == 1, "another format")
    need(header["prev_chain"] == chain and header["first_seq"] == seq, "not the next segment")
    chain, at, frames = sha256(b"\x02" + raw).digest(), len(raw), 0
    leaves: list[bytes] = []
    sealed = False
    yield None, chain
    while at < len(data) and (frame := read_frame(data, at)):
        flags, count, first, payload, stated = frame
        items = unpack(payload)
        need(not sealed and len(items) == count and first == seq, "a frame out of place")
        hashes = [sha256(b"\x00" + raw_item).digest() for raw_item, _ in items]
        head = struct.pack("<IHHQ", len(payload), flags, count, first)
        chain = sha256(chain + head + b"".join(hashes)).digest()
        need(chain == stated, "broken chain")
        at, sealed = at + 24 + len(payload) + 32, flags == 1
        if sealed:
            start = header["first_seq"]
            seal = ["seal", start, seq - 1, seq - start, frames, tree_head(leaves)]
            need(items[0][1] == seal, "bad seal")
            yield None, chain
            continue
        for _, entry in items:
            need(isinstance(entry, list) and entry[0] == seq, "a number out of place")
            seq += 1
            yield entry, chain
        leaves += hashes
        frames += 1
    need(at == len(data) or (last and not sealed), "damage")


def read_journal(folder: Path) -> Iterator[tuple[object, bytes]]:
    """Yield each entry of a journal with the chain so far; (None, chain) between them."""
    paths = sorted(folder.glob("*.journal"))
    names = [f"{number:010d}.journal" for number in range(1, len(paths) + 1)]
    need([path.name for path in paths] == names, "a segment is missing")
    chain, seq = bytes(32), 1
    for path in paths:
        for found in read_segment(path.read_bytes(), chain, seq, path == paths[-1]):
            seq += found[0] is not None
            yield found
        chain = found[1]


def main(folder: str) -> None:
    """Print the journal in `folder`."""
    chain = b""
    for found in read_journal(Path(folder)):
        entry, chain = found
        if entry is not None:
            line = json.dumps(entry, default=lambda value: value.decode("latin-1"))
            sys.stdout.write(line + "\n")
    sys.stdout.write(json.dumps({"chain": chain.hex()}) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Wrong as error:
        sys.exit(f"{sys.argv[1]}: {error}")
