"""What can be wrong with a journal, as `verify` says it."""

from enum import StrEnum

import msgspec

from .frame import ChainBroken, FrameDamaged, SealBroken, SeqBroken


class FindingKind(StrEnum):
    """What is wrong with a journal."""

    TORN_TAIL = "torn-tail"  # the last frame is not whole: a crash, or it is being written now
    DAMAGED_FRAME = "damaged-frame"
    BROKEN_CHAIN = "broken-chain"
    MISSING_SEGMENT = "missing-segment"
    BAD_HEADER = "bad-header"
    SEQ_GAP = "seq-gap"
    BAD_SEAL = "bad-seal"
    BAD_ENTRY = "bad-entry"
    BAD_SIGNATURE = "bad-signature"  # a checkpoint is not by the key of the journal, or not true
    KEY_CHANGE = "key-change"  # to a key that the one before does not vouch for
    BAD_TOMBSTONE = "bad-tombstone"  # what was dropped is not what the tombstone says
    BAD_REDACTION = "bad-redaction"  # a snapshot is missing, and no entry says who took it
    ANCHOR_MISSED = "anchor-missed"  # the journal does not go on from a checkpoint noted elsewhere
    UNREADABLE = "unreadable"  # the system could not read the file


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong: segment number, offset in bytes, last good seq before it, and a sentence.

    The offset is that in the unpacked segment.
    """

    kind: FindingKind
    segment: int
    offset: int
    seq: int
    text: str


def kind_of(error: FrameDamaged) -> FindingKind:
    """Return what a frame that failed its checks is a case of."""
    match error:
        case ChainBroken():
            return FindingKind.BROKEN_CHAIN
        case SeqBroken():
            return FindingKind.SEQ_GAP
        case SealBroken():
            return FindingKind.BAD_SEAL
    return FindingKind.DAMAGED_FRAME
