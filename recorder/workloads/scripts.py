"""Scripts: what is to be done, to which VMs, how fast, and what is expected of it. No I/O."""

import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from ..errors import WorkloadError
from ..mistakes import mistakes_in, usable

NAME_CHARS_MAX = 100
STEPS_MAX = 100
"""A script is written by a person; what is longer was made by a program that went wrong."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Pause = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=604_800)]


class Kind(StrEnum):
    """What is done."""

    POWERCYCLE = "powercycle"
    PERMUTE = "permute"
    CLONE = "clone"
    START_ASYNC = "start_async"
    EVACUATE = "evacuate"
    CUSTOM = "custom"


class Variant(StrEnum):
    """What a powercycle does between the start of a VM and its clean shutdown."""

    SUSPEND = "suspend"  # suspend, resume
    CLEAN_REBOOT = "clean-reboot"
    HARD_REBOOT = "hard-reboot"
    PAUSE = "pause"  # pause, unpause


class Order(StrEnum):
    """Which host a VM moves to in a permute."""

    ROTATE = "rotate"  # that of the VM before it, as in the user guide
    SHUFFLE = "shuffle"  # that of another one, as the seed has it


class OnFailure(StrEnum):
    """What becomes of the rest once a call did not succeed."""

    STOP = "stop"  # what is under way ends, nothing more is begun
    CONTINUE = "continue"  # the other VMs go on
    ROLL_BACK = "roll-back"  # as stop; then VMs get back the power state and host they had


class PowerState(StrEnum):
    """As in XAPI."""

    HALTED = "Halted"
    PAUSED = "Paused"
    RUNNING = "Running"
    SUSPENDED = "Suspended"


class Select(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which VMs: those that fit every key that is there, and `count` of them if it is.

    `names` are globs of names, or uuids; `pools` are globs. A VM needs one of `tags`.
    """

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    power_states: tuple[PowerState, ...] = ()
    count: Positive | None = None
    seed: int | None = None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a call may take, in seconds; `wait` is for a guest that has to allow the next."""

    start: Seconds = 300.0
    resume: Seconds = 300.0
    suspend: Seconds = 600.0
    clean_shutdown: Seconds = 600.0
    clean_reboot: Seconds = 900.0
    hard_reboot: Seconds = 300.0
    pause: Seconds = 60.0
    unpause: Seconds = 60.0
    pool_migrate: Seconds = 1800.0
    clone: Seconds = 3600.0
    evacuate: Seconds = 7200.0
    wait: Seconds = 300.0
    other: Seconds = 600.0

    def of(self, method: str) -> float:
        """Return the limit of a method, such as `VM.start`."""
        name = method.rpartition(".")[2].removesuffix("_on")
        limit: float = getattr(self, name, self.other)
        return limit


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step has to keep: so many failed calls at most, none longer than so many seconds."""

    failures_max: Count = 0
    seconds_max: Seconds | None = None


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step. `variant`, `order`, `hosts`, `call` and `args` belong to one kind each."""

    kind: Kind
    vms: Select | None = None
    hosts: tuple[str, ...] | None = None
    iterations: Positive = 1
    concurrency: Positive = 4
    pause_s: Pause = 0.0
    on_failure: OnFailure = OnFailure.STOP
    timeouts: Timeouts = Timeouts()
    expect: Expect = Expect()
    variant: Variant | None = None
    order: Order | None = None
    call: str | None = None
    args: dict[str, str | int | float | bool] | None = None


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole script. `restore` gives VMs back the power state and host they had at the start."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    seed: int = 1
    restore: bool = False


OWN_KEYS: dict[str, Kind] = {
    "hosts": Kind.EVACUATE,
    "variant": Kind.POWERCYCLE,
    "order": Kind.PERMUTE,
    "call": Kind.CUSTOM,
    "args": Kind.CUSTOM,
}


def script_in(text: str, origin: str) -> Script:
    """Read a script. Raises WorkloadError, with a line for each mistake that begins with `origin`.

    `origin` is the name of the file.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WorkloadError(f"{origin}: not valid TOML: {error}") from error
    mistakes = [*mistakes_in(table, Script, at="")]
    steps = table.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        kind = usable(step.get("kind"), Kind) if isinstance(step, dict) else None
        if kind is not None:
            mistakes += _step_mistakes(step, kind, at=f"steps[{index}]")
    script = usable(table, Script)
    if script is not None:
        mistakes += _script_mistakes(script)
    if script is None or mistakes:
        raise WorkloadError(*(f"{origin}: {mistake}" for mistake in mistakes))
    return script


def _script_mistakes(script: Script) -> Iterator[str]:
    if not 0 < len(script.name) <= NAME_CHARS_MAX or not script.name.isprintable():
        yield f"name: write a line of 1 to {NAME_CHARS_MAX} characters"
    if not 0 < len(script.steps) <= STEPS_MAX:
        yield f"steps: write 1 to {STEPS_MAX} tables [[steps]]"


def _step_mistakes(step: Mapping[str, object], kind: Kind, *, at: str) -> Iterator[str]:
    """Tell what does not go together in a step, whatever else is wrong with it."""
    for key, owner in OWN_KEYS.items():
        if key in step and kind is not owner:
            yield f"{at}.{key}: only a step of kind {owner.value!r} has it"
    if kind is Kind.EVACUATE:
        if not step.get("hosts"):
            yield f'{at}.hosts: name the hosts to evacuate, such as ["host-1"]'
        if "vms" in step:
            yield f"{at}.vms: a step of kind 'evacuate' chooses hosts, not VMs"
        return
    vms = step.get("vms", {})
    if isinstance(vms, dict) and not (vms.get("names") or vms.get("tags")):
        yield f'{at}.vms: choose VMs by names or tags; names = ["*"] are all of them'
    if kind is Kind.CUSTOM and not _is_callable_name(step.get("call")):
        yield f"{at}.call: name the function to call, such as 'my_module:my_function'"


def _is_callable_name(text: object) -> bool:
    module, colon, function = text.partition(":") if isinstance(text, str) else ("", "", "")
    parts = module.split(".")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in parts)
