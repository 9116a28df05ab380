"""What an audit finds: which rule is broken, how badly, and by which entries. Plain data."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Rule(StrEnum):
    """What is checked."""

    MARKS = "marks"  # each call has an intent, then a task, then an outcome, and all numbers
    SCRIPT = "script"  # seed and plan are those of the script's text
    PLAN = "plan"  # the script, planned anew for the recorded state, gives the same calls
    FOUND = "found"  # the VMs were as the plan says they were found
    UNPLANNED = "unplanned"  # every call is in the plan, with its parameters
    MISSING = "missing"  # every planned call was made, unless something ended its lane
    ORDER = "order"  # calls and rounds follow each other, and only so many are under way
    TASK = "task"  # the task is of this call and of this object, and of no other call
    INTERVAL = "interval"  # the task began after the intent and ended before the outcome
    STATUS = "status"  # the task ended as the outcome says
    ERROR = "error"  # the task failed with the error that is claimed
    RESULT = "result"  # the task returned what is claimed
    ENTRY = "entry"  # the entry that is named tells the end of this task
    DURATION = "duration"  # it took as long as is claimed
    POWER_STATE = "power-state"  # the VM reached the power state
    PLACEMENT = "placement"  # the VM was where it was moved to, or left a host
    CLONE = "clone"  # the clone exists
    ENABLED = "enabled"  # the host was disabled, or enabled again
    OTHERS = "others"  # somebody else did what is said of others
    FOREIGN = "foreign"  # nobody else changed the VMs of the run
    HELD = "held"  # the expectations, evaluated anew, give what is claimed
    END = "end"  # the outcome of the call, or the end of the run, was recorded
    GAP = "gap"  # nothing can have been missed while the call was under way


class Level(StrEnum):
    """What a finding does to what it is about."""

    CONTRADICTED = "contradicted"  # the record says something else
    UNPROVEN = "unproven"  # the record cannot say


class Finding(msgspec.Struct, frozen=True):
    """A rule that is broken, or cannot be checked: `step` is None if it is about the whole run.

    `seqs` are the entries that show it.
    """

    rule: Rule
    level: Level
    step: int | None
    text: str
    seqs: list[int]


def contradicted(rule: Rule, text: str, seqs: Sequence[int], step: int | None = None) -> Finding:
    """Return that the record says something else."""
    return Finding(rule, Level.CONTRADICTED, step, text, sorted(set(seqs)))


def unproven(rule: Rule, text: str, seqs: Sequence[int], step: int | None = None) -> Finding:
    """Return that the record cannot say."""
    return Finding(rule, Level.UNPROVEN, step, text, sorted(set(seqs)))
