"""The Merkle tree against the definition in RFC 6962 and published vectors."""

import json
import time
from hashlib import sha256
from pathlib import Path

import pytest

from recorder.journal.chain import leaf_hash
from recorder.journal.merkle import EMPTY_ROOT, MerkleTree, inclusion_path, root_from_path
from tests.journal.trees import naive_path, naive_root

VECTORS = json.loads(
    (Path(__file__).parents[1] / "golden" / "journal" / "rfc6962.json").read_text("utf-8")
)
LEAVES = [leaf_hash(number.to_bytes(2)) for number in range(70)]


def tree_of(leaves: list[bytes]) -> MerkleTree:
    tree = MerkleTree()
    tree.add(leaves)
    return tree


def test_root_is_that_of_the_definition_at_every_size() -> None:
    """A tree that grows by one leaf at a time has the root of RFC 6962 all along."""
    tree = MerkleTree()
    assert tree.root() == EMPTY_ROOT == sha256(b"").digest()
    for size, leaf in enumerate(LEAVES, 1):
        tree.add([leaf])
        assert tree.root() == naive_root(LEAVES[:size])


def test_root_and_paths_are_the_published_ones() -> None:
    """The leaves, roots and paths that Certificate Transparency publishes are ours as well."""
    leaves = [leaf_hash(bytes.fromhex(item)) for item in VECTORS["items"]]
    for size, root in enumerate(VECTORS["roots"]):
        assert tree_of(leaves[:size]).root().hex() == root
    for index, size, path in VECTORS["paths"]:
        for split in range(index + 1):
            found = inclusion_path(index, before=tree_of(leaves[:split]), leaves=leaves[split:size])
            assert [step.hex() for step in found] == path
        root = root_from_path(leaves[index], index, size, [bytes.fromhex(step) for step in path])
        assert root.hex() == VECTORS["roots"][size]


def test_peaks_are_the_complete_subtrees_from_the_largest_on() -> None:
    """Each one bit of the size has its peak: the root over as many leaves as the bit says."""
    for size in range(len(LEAVES) + 1):
        peaks, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks.append(naive_root(LEAVES[start : start + (1 << level)]))
                start += 1 << level
        assert tree_of(LEAVES[:size]).peaks == tuple(peaks)


def test_tree_made_from_peaks_goes_on_like_the_first() -> None:
    """Size and peaks are all that a tree is: what is made of them has every later root."""
    for size in range(40):
        first = tree_of(LEAVES[:size])
        again = MerkleTree.of(first.size, first.peaks)
        assert (again.size, again.root()) == (size, naive_root(LEAVES[:size]))
        again.add(LEAVES[size:])
        assert again.root() == naive_root(LEAVES)


@pytest.mark.parametrize(
    ("size", "peaks", "message"),
    [
        (0, LEAVES[:1], "a tree of 0 leaves does not have 1 peaks"),
        (3, LEAVES[:1], "a tree of 3 leaves does not have 1 peaks"),
        (4, LEAVES[:3], "a tree of 4 leaves does not have 3 peaks"),
        (-1, LEAVES[:1], "a tree of -1 leaves does not have 1 peaks"),
        (2, [b"short"], "a peak of the tree is not 32 bytes long"),
    ],
)
def test_peaks_that_no_such_tree_has_are_refused(
    size: int, peaks: list[bytes], message: str
) -> None:
    """The number of peaks is the number of one bits of the size; each is a SHA-256."""
    with pytest.raises(ValueError) as caught:
        MerkleTree.of(size, peaks)
    assert str(caught.value) == message


def test_copy_grows_by_itself() -> None:
    """What is added to a copy is not in the original, and the other way round."""
    tree = tree_of(LEAVES[:11])
    copy = tree.copy()
    copy.add(LEAVES[11:20])
    assert (tree.size, tree.root()) == (11, naive_root(LEAVES[:11]))
    tree.add(LEAVES[20:30])
    assert (copy.size, copy.root()) == (20, naive_root(LEAVES[:20]))


def test_path_is_that_of_the_definition_for_every_size_split_and_leaf() -> None:
    """However much of the tree is known by its peaks only, a path is the one of RFC 6962."""
    befores = [tree_of(LEAVES[:split]) for split in range(len(LEAVES))]
    for size in range(1, len(LEAVES) + 1):
        paths = [naive_path(index, LEAVES[:size]) for index in range(size)]
        for split in range(size):
            for index in range(split, size):
                found = inclusion_path(index, before=befores[split], leaves=LEAVES[split:size])
                assert found == paths[index], (size, split, index)


def test_path_leads_to_the_root_for_every_size_and_leaf() -> None:
    """The path of each leaf gives the root of its tree, and no other leaf or place does."""
    for size in range(1, len(LEAVES) + 1):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            path = naive_path(index, LEAVES[:size])
            assert root_from_path(LEAVES[index], index, size, path) == root
            assert root_from_path(b"\x00" * 32, index, size, path) != root
            if path:
                wrong = [*path[:-1], b"\x00" * 32]
                assert root_from_path(LEAVES[index], index, size, wrong) != root


def test_path_of_another_length_is_refused() -> None:
    """A path that is cut short or lengthened is an error, never a root."""
    for size in range(1, len(LEAVES) + 1):
        for index in range(size):
            path = naive_path(index, LEAVES[:size])
            with pytest.raises(ValueError, match=f"path of leaf {index} in {size} is too long"):
                root_from_path(LEAVES[index], index, size, [*path, LEAVES[0]])
            if path:
                with pytest.raises(ValueError, match=f"of leaf {index} in {size} is too short"):
                    root_from_path(LEAVES[index], index, size, path[:-1])


@pytest.mark.parametrize("index", [-1, 9, 20, 100])
def test_path_of_a_leaf_that_is_not_there_is_refused(index: int) -> None:
    """Only leaves after the peaks and before the end have a path here."""
    with pytest.raises(ValueError) as caught:
        inclusion_path(index, before=tree_of(LEAVES[:10]), leaves=LEAVES[10:20])
    assert str(caught.value) == f"leaf {index} is not among leaves 10 to 19"


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_root_from_the_path_of_a_leaf_outside_the_tree_is_refused(index: int, size: int) -> None:
    """A tree of n leaves has the leaves 0 to n - 1."""
    with pytest.raises(ValueError) as caught:
        root_from_path(LEAVES[0], index, size, [])
    assert str(caught.value) == f"a tree of {size} leaves has no leaf {index}"


def test_path_in_a_large_segment_takes_one_hash_a_leaf() -> None:
    """100,000 leaves after a billion others take a fraction of a second, and the root is right."""
    size = 1_000_000_007
    before = MerkleTree.of(size, LEAVES[: size.bit_count()])
    leaves = [leaf_hash(number.to_bytes(4)) for number in range(100_000)]
    started = time.process_time()
    path = inclusion_path(size + 77_777, before=before, leaves=leaves)
    assert time.process_time() - started < 2  # 0.1 s here; quadratic work would take minutes
    after = before.copy()
    after.add(leaves)
    root = root_from_path(leaves[77_777], size + 77_777, after.size, path)
    assert root == after.root()
