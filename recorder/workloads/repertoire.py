"""Which calls a script may come to make, before anybody knows what its VMs are like. Pure."""

from collections.abc import Iterator

from .kinds import evacuate, permute, powercycle
from .restoring import METHODS as RESTORING
from .scripts import Kind, OnFailure, Script, Step, Variant


def calls_of(script: Script) -> list[str]:
    """Return the methods that a script may call, each once; not those of functions of others."""
    steps = script.steps
    called = {method for step in steps for method in _calls(step)}
    if script.restore or any(step.on_failure is OnFailure.ROLL_BACK for step in steps):
        called.update(RESTORING)
    return sorted(called)


def _calls(step: Step) -> Iterator[str]:
    match step.kind:
        case Kind.POWERCYCLE:
            yield from _openings(step)
            yield from powercycle.ROUNDS[step.variant or Variant.SUSPEND]
        case Kind.PERMUTE:
            yield permute.MIGRATE
        case Kind.CLONE:
            yield from _openings(step)
            yield from ("VM.clone", "VM.start")
        case Kind.START_ASYNC:
            yield "VM.start"
        case Kind.EVACUATE:
            yield from (evacuate.DISABLE, evacuate.EVACUATE, evacuate.ENABLE)
        case Kind.CUSTOM:
            return


def _openings(step: Step) -> Iterator[str]:
    """Yield what brings VMs to Halted, from the power states in which they are chosen."""
    states = (step.vms and step.vms.power_states) or powercycle.OPENINGS
    for state in states:
        yield from powercycle.OPENINGS[state]
