"""An independent reader of journals and proofs, written from FORMAT.md alone; it shares no code.

    python independent_reader.py FOLDER    each entry as a line of JSON, bytes as Latin-1 text; then
                                           where the journal ends: chain, size and root of the tree
    python independent_reader.py PROOF     the item that a good proof proves, as a line of JSON

It stops at anything that is wrong, and takes a torn tail for the end.
"""

import json
import struct
import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WRONG = (
    ValueError,  # what `need` says, and much of what Python and msgpack say of malformed bytes
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    struct.error,
    msgpack.UnpackException,
    zstandard.ZstdError,
    InvalidSignature,
)
"""What reading raises for what is not as FORMAT.md says."""


def need(condition: object, text: str) -> None:
    """Stop if `condition` does not hold."""
    if not condition:
        raise ValueError(text)


def digest(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def unpack(data: bytes) -> list[tuple[bytes, Any]]:
    """Split an array into its items, each with its bytes."""
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=1 << 27)
    unpacker.feed(data)
    items, count = [], unpacker.read_array_header()
    for _ in range(count):
        start, value = unpacker.tell(), unpacker.unpack()
        items.append((data[start : unpacker.tell()], value))
    need(unpacker.tell() == len(data), "bytes behind the last item")
    return items


def leaf_of(raw: bytes, item: Any) -> bytes:
    """Hash an item, or take the hash that a redacted one carries."""
    if not isinstance(item, list) or not isinstance(item[-1], msgpack.ExtType):
        return digest(b"\x00", raw)
    need(
        item[2] in {"event", "record", "audit-line"} and item[-1].code == 1,
        "an extension out of place",
    )
    return bytes(item[-1].data)


class Tree:
    """The RFC 6962 tree, as the peaks of its complete subtrees."""

    def __init__(self, size: int = 0, *peaks: bytes) -> None:
        need(len(peaks) == size.bit_count(), "no tree of this size has so many peaks")
        self.size, self.peaks = size, list(peaks)

    def add(self, node: bytes) -> None:
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            node = digest(b"\x01", self.peaks.pop(), node)
        self.peaks.append(node)

    def root(self) -> bytes:
        root = self.peaks[-1] if self.peaks else digest()
        for peak in self.peaks[-2::-1]:
            root = digest(b"\x01", peak, root)
        return root


def signed(note: str, keys: Sequence[str]) -> list[str]:
    """Return the lines of a text that one of the keys signed."""
    text, _, lines = note.rpartition("\n\n")
    for key in keys:
        name, identity, encoded = key.split("+", 2)
        public = b64decode(encoded, validate=True)
        key_id = digest(name.encode(), b"\n", public)[:4]
        need(key_id.hex() == identity and public[0] == 1, "a key that is none")
        for line in lines.splitlines():
            raw = b64decode(line.split(" ")[2], validate=True)
            if line.startswith(f"— {name} ") and raw[:4] == key_id:
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], f"{text}\n".encode())
                return text.splitlines()
    raise ValueError("a note that no known key signed")


def checkpoint(origin: str, tree: Tree) -> list[str]:
    return [origin, str(tree.size), b64encode(tree.root()).decode()]


def read_header(data: bytes) -> tuple[bytes, dict[str, Any]]:
    length, inverse, crc = struct.unpack_from("<III", data, 8)
    raw = data[: 20 + length]
    need(data[:8] == b"xentrail" and length ^ inverse == 0xFFFFFFFF, "no header")
    need(zlib.crc32(raw[20:]) == crc, "a damaged header")
    return raw, msgpack.unpackb(raw[20:], unicode_errors="surrogatepass")


def read_frame(data: bytes, at: int) -> tuple[int, int, int, int, bytes, bytes] | None:
    """Return length, flags, count, first_seq, payload and chain; None if no frame is whole."""
    if at + 56 > len(data):
        return None
    length, inverse, crc, flags, count, first = struct.unpack_from("<IIIHHQ", data, at)
    end = at + 24 + length + 32
    if length ^ inverse != 0xFFFFFFFF or end > len(data) or zlib.crc32(data[at + 12 : end]) != crc:
        return None
    return length, flags, count, first, data[at + 24 : end - 32], data[end - 32 : end]


class Journal:
    """Reads a journal; behind the last entry its fields say where that ended."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.chain, self.seq, self.tree = folder, bytes(32), 1, Tree()
        self.keys: list[str] = []
        self.without: dict[int, str] = {}  # by number, what is left of redacted entries, hashed
        self.told: dict[int, str] = {}  # the same, as the marks say it

    def entries(self) -> Iterator[list[Any]]:
        """Yield each entry."""
        paths = {int(path.name[:10]): path for path in self.folder.glob("*.journal.zst")}
        paths |= {int(path.name[:10]): path for path in self.folder.glob("*.journal")}
        first, last = min(paths), max(paths)
        for number in range(first, last + 1):
            need(number in paths, f"segment {number} is missing")
            data = paths[number].read_bytes()
            if paths[number].suffix == ".zst":
                unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
                data = unpacker.decompress(data)
                need(unpacker.eof and not unpacker.unused_data, "not one whole frame of zstd")
            if number == first > 1:
                self.begin_behind_tombstone(read_header(data)[1])
                begun = self.seq
            yield from self.segment(number, data, last=number == last)
        told = {seq: item for seq, item in self.told.items() if first == 1 or seq >= begun}
        need(self.without == told, "a redaction that no mark tells of, or that was not done")

    def begin_behind_tombstone(self, header: dict[str, Any]) -> None:
        lines = signed((self.folder / "TOMBSTONE").read_text("utf-8"), header["keys"])
        self.chain, self.seq, self.tree = (
            header["prev_chain"],
            header["first_seq"],
            Tree(*header["tree"]),
        )
        self.keys, size = header["keys"], self.tree.size
        need(lines[0] == f"xentrail/{header['journal'].hex()}", "another journal's tombstone")
        need(lines[1] == f"dropped segments 1 to {header['segment'] - 1}", "a segment is missing")
        dropped = f"dropped entries 1 to {self.seq - 1}, of which there were {size}"
        root, chain = (b64encode(part).decode() for part in (self.tree.root(), self.chain))
        need(
            [lines[2], *lines[4:]] == [dropped, f"root {root}", f"chain {chain}"], "a bad tombstone"
        )

    def segment(self, number: int, data: bytes, *, last: bool) -> Iterator[list[Any]]:
        raw, header = read_header(data)
        version, origin = header["format"], f"xentrail/{header['journal'].hex()}"
        need(version in {1, 2} and header["segment"] == number, "another format or place")
        need(
            (header["prev_chain"], header["first_seq"]) == (self.chain, self.seq), "does not follow"
        )
        if version == 2:
            self.keys = self.keys or header["keys"]
            need(header["tree"] == [self.tree.size, *self.tree.peaks], "not the tree so far")
            need(header["keys"] == self.keys, "not the keys so far")
        self.chain, at, begun, own = digest(b"\x02", raw), len(raw), self.seq, Tree()
        data_frames, sealed = 0, False
        while frame := read_frame(data, at):
            length, flags, count, first, payload, chain = frame
            items = unpack(payload)
            leaves = [leaf_of(*item) for item in items]
            need(not sealed and first == self.seq and count == len(items), "a frame out of place")
            head = struct.pack("<IHHQ", length, flags, count, first)[4 * (version - 1) :]
            self.chain, at = digest(self.chain, head, *leaves), at + 56 + length
            need(self.chain == chain, "a broken chain")
            if flags == 0:
                data_frames += 1
                for (spelt, entry), leaf in zip(items, leaves, strict=True):
                    self.take(spelt, entry, leaf)
                    own.add(leaf)
                    yield entry
                continue
            note, sealed = items[0][1], flags == 1
            if sealed:
                root = own.root() if version == 1 else self.tree.root()
                span = ["seal", begun, self.seq - 1, self.seq - begun, data_frames, root]
                need(note[:6] == span and len(note) == 5 + version, "a bad seal")
                note = note[-1]
            if version == 2:
                said = signed(note, self.keys[-1:])
                need(said == checkpoint(origin, self.tree), "a checkpoint that is not true")
        need(at == len(data) or (last and not sealed), "damage")
        need(sealed or last, "no seal")

    def take(self, spelt: bytes, entry: list[Any], leaf: bytes) -> None:
        need(entry[0] == self.seq, "a number out of place")
        if leaf != digest(b"\x00", spelt):
            self.without[self.seq] = sha256(spelt).hexdigest()
        if entry[2:3] + entry[4:5] == ["mark", "redacted"]:
            self.told[entry[5]["seq"]] = entry[5]["item"]
        if entry[2:3] + entry[4:5] == ["mark", "key-changed"]:
            word, new = entry[5]["endorsement"], entry[5]["key"]
            said = signed(word, self.keys[-1:])
            need(said == ["the next key of this journal", new], "a key that nobody vouches for")
            self.keys = [*self.keys, new]
        self.seq += 1
        self.tree.add(leaf)


def check_proof(proof: dict[str, Any]) -> list[Any]:
    """Return the item that a proof proves to whoever trusts its key."""
    need(proof["xentrail_proof"] == 1, "another version")
    raw = b64decode(proof["item"], validate=True)
    ((_, item),) = unpack(b"\x91" + raw)
    node, index, last = leaf_of(raw, item), proof["leaf_index"], proof["tree_size"] - 1
    need(0 <= index <= last, "no leaf of this tree")
    for step in proof["path"]:
        need(last, "a path that is too long")
        left = index & 1 or index == last
        sibling = b64decode(step, validate=True)
        node = digest(b"\x01", sibling, node) if left else digest(b"\x01", node, sibling)
        while left and not index & 1 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    root = b64encode(node).decode()
    lines = signed(proof["checkpoint"], [proof["key"]])
    need(not last and lines[1:] == [str(proof["tree_size"]), root], "not the root that was signed")
    shown = list(proof["entry"].values())
    need(item[0] == proof["seq"] and shown[:4] == item[:4], "another entry")
    seal, behind = proof["seal"], proof["tree_size"] - 1 - proof["leaf_index"]
    if seal is not None:
        first, end = seal["first_seq"], seal["last_seq"]
        fits = first <= proof["seq"] == end - behind and seal["entries"] == end + 1 - first
        need(fits and seal["root"] == root, "another seal")
    return list(item)


def main(name: str) -> None:
    """Print the journal in a folder, or what the proof in a file proves."""

    def line(value: object) -> str:
        return json.dumps(value, default=lambda value: value.decode("latin-1")) + "\n"

    if Path(name).is_file():
        sys.stdout.write(line(check_proof(json.loads(Path(name).read_text("utf-8")))))
        return
    journal = Journal(Path(name))
    sys.stdout.writelines(map(line, journal.entries()))
    end = {
        "chain": journal.chain.hex(),
        "size": journal.tree.size,
        "root": journal.tree.root().hex(),
    }
    sys.stdout.write(line(end))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except WRONG as error:
        sys.exit(f"{sys.argv[1]}: {type(error).__name__} {error}")
