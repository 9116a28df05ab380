"""Scripts: every mistake at once, each with its place and a way out."""

import pytest

from recorder.errors import WorkloadError
from recorder.workloads.scripts import Kind, Timeouts, script_in

GOOD = 'name = "one"\n[[steps]]\nkind = "powercycle"\nvms.names = ["web*"]\n'


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(WorkloadError) as caught:
        script_in(text, "x.toml")
    lines = caught.value.texts
    assert all(line.startswith("x.toml: ") for line in lines)
    return [line.removeprefix("x.toml: ") for line in lines]


def test_script_with_what_it_must_have_is_read_with_the_defaults() -> None:
    """Name, kind and a selection are enough."""
    script = script_in(GOOD, "x.toml")
    (step,) = script.steps
    assert (script.seed, script.restore, step.kind) == (1, False, Kind.POWERCYCLE)
    assert (step.iterations, step.concurrency, step.expect.failures_max) == (1, 4, 0)


def test_all_mistakes_are_told_at_once_with_the_nearest_known_word() -> None:
    """Nobody has to run a script again and again to find its next mistake."""
    text = """
        sed = 1
        [[steps]]
        kind = "powercicle"
        iteration = 2
        [[steps]]
        kind = "permute"
        variant = "pause"
        timeouts = { strat = 1, clone = nan, suspend = 0 }
        vms.power_states = ["running"]
        [[steps]]
        kind = "custom"
        concurrency = 0
        call = "no colon"
        [[steps]]
        kind = "evacuate"
        vms.names = ["*"]
    """
    assert mistakes_of(text) == [
        "unknown key sed; did you mean 'seed'?",
        "steps[0].kind: Invalid enum value 'powercicle'; did you mean 'powercycle'?",
        "unknown key steps[0].iteration; did you mean 'iterations'?",
        "unknown key steps[1].timeouts.strat; did you mean 'start'?",
        "steps[1].timeouts.clone: Expected `float` > 0.0",
        "steps[1].timeouts.suspend: Expected `float` > 0.0",
        "steps[1].vms.power_states[0]: Invalid enum value 'running'; did you mean 'Running'?",
        "steps[2].concurrency: Expected `int` >= 1",
        "name: is missing",
        "steps[1].variant: only a step of kind 'powercycle' has it",
        'steps[1].vms: choose VMs by names or tags; names = ["*"] are all of them',
        'steps[2].vms: choose VMs by names or tags; names = ["*"] are all of them',
        "steps[2].call: name the function to call, such as 'my_module:my_function'",
        'steps[3].hosts: name the hosts to evacuate, such as ["host-1"]',
        "steps[3].vms: a step of kind 'evacuate' chooses hosts, not VMs",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('name = "a"', "steps: is missing"),
        ('name = "a"\nsteps = []', "steps: write 1 to 100 tables [[steps]]"),
        (GOOD.replace("one", ""), "name: write a line of 1 to 100 characters"),
        (GOOD.replace("one", "a\\u0007b"), "name: write a line of 1 to 100 characters"),
        (GOOD + "pause_s = -1", "steps[0].pause_s: Expected `float` >= 0.0"),
        (GOOD + "vms = 3", "not valid TOML"),
        (GOOD.replace('"powercycle"', "[1]"), "steps[0].kind: Expected `str`, got `array`"),
    ],
)
def test_mistake_names_its_place(text: str, mistake: str) -> None:
    """One mistake is one line."""
    (line,) = mistakes_of(text)
    assert line.startswith(mistake)


def test_timeouts_are_those_of_the_operation_also_on_a_host() -> None:
    """`start_on` is a start; a method without a limit of its own has that of all others."""
    limits = Timeouts(start=1.0, other=2.0)
    methods = ["VM.start", "VM.start_on", "VM.checkpoint", "host.disable"]
    assert [limits.of(method) for method in methods] == [1.0, 1.0, 2.0, 2.0]
