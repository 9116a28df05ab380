"""Rules about what calls did: VMs and hosts really were what a success says. Pure."""

from collections.abc import Callable, Iterator

from recorder.workloads.methods import needs_of
from recorder.workloads.outcomes import Outcome

from ..records import Json
from .claims import Claims, StepClaim
from .finding import Finding, Rule, contradicted
from .foreign import is_foreign_in
from .recorded import SETTLE_US, ObjectSeen, Recorded
from .tasks import absence

_REACHES = {
    "VM.start": "Running",
    "VM.start_on": "Running",
    "VM.resume": "Running",
    "VM.resume_on": "Running",
    "VM.unpause": "Running",
    "VM.clean_reboot": "Running",
    "VM.hard_reboot": "Running",
    "VM.clean_shutdown": "Halted",
    "VM.hard_shutdown": "Halted",
    "VM.suspend": "Suspended",
    "VM.pause": "Paused",
}
_PAUSED_IF = frozenset({"VM.start", "VM.start_on", "VM.resume", "VM.resume_on"})
_MOVES_TO = frozenset({"VM.pool_migrate", "VM.start_on", "VM.resume_on"})


def power_state_was_reached(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """After a start that succeeded the VM was Running, and so on."""
    for step in _done(claims):
        method = step.intended.method
        wanted = _REACHES.get(method)
        if wanted is None:
            continue
        if method in _PAUSED_IF and True in step.params[-2:-1]:
            wanted = "Paused"
        yield from _reached(
            step,
            claims,
            recorded,
            Rule.POWER_STATE,
            _has("power_state", wanted),
            f"{step.intended.name} was not recorded to be {wanted} after it",
        )


def vm_was_where_claimed(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """A VM that was moved was on that host; a host that was evacuated had none of the run's VMs."""
    for step in _done(claims):
        if step.intended.method in _MOVES_TO and step.params:
            host = step.params[0]
            yield from _reached(
                step,
                claims,
                recorded,
                Rule.PLACEMENT,
                _has("resident_on", host),
                f"{step.intended.name} was not recorded on the host that it was sent to",
            )
        elif step.intended.method == "host.evacuate":
            yield from _evacuated(step, claims, recorded)


def _evacuated(step: StepClaim, claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    assert step.ended is not None
    for ref, found in {} if claims.plan is None else claims.plan.found.items():
        row = recorded.before(ref, step.ended.seq)
        if row is not None and row.resident_on == step.intended.ref and not row.is_gone:
            text = f"{found.name} was still recorded on the host after it"
            yield contradicted(Rule.PLACEMENT, text, [*step.seqs, row.seq], step.number)


def host_was_enabled_as_claimed(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """A host that was disabled was so, and one that was enabled, too."""
    wanted = {"host.disable": "false", "host.enable": "true"}
    for step in _done(claims):
        state = wanted.get(step.intended.method)
        if state is not None:
            yield from _reached(
                step,
                claims,
                recorded,
                Rule.ENABLED,
                _has("enabled", state),
                f"{step.intended.name} was not recorded with enabled = {state} after it",
            )


def clone_exists(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """What a clone returned is a VM of its name, which was not there before."""
    for step in _done(claims):
        if step.intended.method != "VM.clone":
            continue
        if step.created_ref is None:
            text = "it is not said what it made"
            yield contradicted(Rule.CLONE, text, step.seqs, step.number)
            continue
        rows = [row for row in recorded.of(step.created_ref) if row.cls == "vm"]
        if not rows:
            text = "the clone that is claimed was never recorded"
            yield absence(step, recorded, Rule.CLONE, text)
        elif rows[0].seq < step.intended.seq:
            text = "the clone that is claimed was there before"
            yield contradicted(Rule.CLONE, text, [rows[0].seq, *step.seqs], step.number)
        elif step.params[:1] not in [[row.name] for row in rows]:
            text = f"the clone was called {rows[0].name}, not {step.params[0]}"
            yield contradicted(Rule.CLONE, text, [rows[0].seq, *step.seqs], step.number)


def others_did_something(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """What is laid at the door of others was recorded: the VM was not as the call needs it."""
    for step in claims.steps:
        ended = step.ended
        if ended is None or ended.outcome != Outcome.CHANGED:
            continue
        needed = needs_of(step.intended.method).power_state
        rows = [
            row
            for row in recorded.of(step.intended.ref)
            if row.at_us <= ended.at_us + SETTLE_US and row.seq > claims.started.seq
        ]
        now = recorded.before(step.intended.ref, step.intended.seq)
        is_other = any(
            row.is_gone or (needed is not None and row.power_state != needed)
            for row in ([now] if now else []) + [r for r in rows if r.seq > step.intended.seq]
        )
        if not is_other and not any(is_foreign_in(row, claims, recorded) for row in rows):
            text = f"nothing was recorded that others did to {step.intended.name}"
            yield absence(step, recorded, Rule.OTHERS, text)


def _done(claims: Claims) -> Iterator[StepClaim]:
    return (step for step in claims.steps if step.is_done)


def _has(field: str, value: Json) -> Callable[[ObjectSeen], bool]:
    return lambda row: bool(getattr(row, field) == value)


def _reached(
    step: StepClaim,
    claims: Claims,
    recorded: Recorded,
    rule: Rule,
    holds: Callable[[ObjectSeen], bool],
    text: str,
) -> Iterator[Finding]:
    """Yield a finding unless something was told to hold while a call was made, or soon after."""
    assert step.ended is not None
    about = claims.by_object.get(step.intended.ref, ())
    later = [other.intended.seq for other in about if other.intended.seq > step.ended.seq]
    rows = [
        row
        for row in recorded.between(step.intended.ref, step.intended.seq, min(later, default=None))
        if row.at_us <= step.ended.at_us + SETTLE_US
    ]
    if not any(holds(row) and not row.is_gone for row in rows):
        yield absence(step, recorded, rule, text)
