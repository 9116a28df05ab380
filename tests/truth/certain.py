"""Whether an answer says how certain it is, as the journal lets it be.

Inside a gap nothing is called known, outside of all it is. Of what was received between the begin
of a gap and the entry that opens it, both may be said: there nothing is known to have been missed.
"""

from query.questions.certainty import Certainty, Verdict
from tests.truth.timeline import Timeline, received_us
from tests.truth.verdict import claim


class Certain:
    """Judges what is said of one pool. Raises Broken."""

    def __init__(self, line: Timeline) -> None:
        self._line = line

    def at_entry(self, verdict: Verdict, seq: int, when: str) -> None:
        """Judge what is said of a sequence number."""
        spans, certain = self._line.blind, self._line.certain_seqs
        blind = any(span.opened_seq <= seq < span.closed_seq for span in spans)
        at_us = self._line.received_us(seq)
        touched = any(
            seq < span.closed_seq
            and (certain[span.opened_seq] < seq or span.since_ns // 1000 <= at_us)
            for span in spans
        )
        self._judge(verdict, seq, blind=blind, seeing=not touched, when=when)

    def at_time(self, verdict: Verdict, at_us: int, when: str) -> None:
        """Judge what is said of a time: there a gap begins when it did, not when it was noticed."""
        number, entries = self._line.entry_by(at_us), self._line.entries
        seq = entries[number].seq if number >= 0 else 0
        certain = self._line.certain_seqs
        spans = [span for span in self._line.blind if seq < span.closed_seq]
        blind = any(span.since_ns // 1000 <= at_us for span in spans)
        touched = any(certain[span.opened_seq] < seq for span in spans)
        if at_us > received_us(entries[-1]):
            seq += 1
        self._judge(verdict, seq, blind=blind, seeing=not (blind or touched), when=when)

    def _judge(self, verdict: Verdict, seq: int, *, blind: bool, seeing: bool, when: str) -> None:
        told, line = verdict.certainty, self._line
        if blind or not line.registered_seq <= seq <= line.entries[-1].seq:
            claim(told is not Certainty.KNOWN, f"P3: {when} is called known, inside a gap")
        elif seeing:
            claim(told is Certainty.KNOWN, f"P3: {when} is {told}, outside of all gaps")
