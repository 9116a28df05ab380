"""The house rules that a machine can check."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from query.cli import app
from recorder import errors

ROOT = Path(__file__).parents[2]
MODULES = sorted([*ROOT.glob("recorder/**/*.py"), *ROOT.glob("query/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
LINES_MAX = 400

CLOCKS_AND_DICE = {
    "time.time",
    "time.time_ns",
    "time.localtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "datetime.datetime.now",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid4",
    "random.random",
    "random.uniform",
    "random.choice",
    "random.randint",
    "random.shuffle",
    "Random",
    "random.Random",
    "SystemRandom",
    "random.SystemRandom",
    "secrets.token_hex",
    "secrets.token_bytes",
}
SEAMS = {
    "recorder/clock.py": "the wall clock itself",
    "recorder/service/daemon.py": "the composition root hands randomness to the back-off",
    "recorder/journal/files.py": "a new journal gets a random name",
    "recorder/simulator/sessions.py": "seeds the references of sessions, which differ in every run",
    "recorder/simulator/pool.py": "seeds the one Random of a simulated pool",
    "recorder/simulator/serve.py": "seeds the actor that makes a lone simulator alive",
}


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of names, or an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def calls_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=relative)
def test_no_module_is_over_400_lines_without_a_written_reason(path: Path) -> None:
    """A longer file says in its docstring: `Longer than 400 lines because ...`."""
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) <= LINES_MAX or "Longer than 400 lines because" in docstring


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_says_what_is_in_it(path: Path) -> None:
    """A module begins with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_clocks_and_dice_are_asked_only_at_the_named_seams(path: Path) -> None:
    """Time and chance are passed in, so that a simulation of the whole system is deterministic."""
    found = [(line, name) for line, name in calls_of(path) if name in CLOCKS_AND_DICE]
    assert relative(path) in SEAMS or not found


def test_seams_are_not_excused_in_vain() -> None:
    """A seam that no longer asks a clock or a die leaves the list."""
    idle = [
        name
        for name in SEAMS
        if not (ROOT / name).exists()
        or (
            name != "recorder/clock.py"
            and not any(n in CLOCKS_AND_DICE for _, n in calls_of(ROOT / name))
        )
    ]
    assert idle == []


def error_classes() -> list[type[errors.XentrailError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [cls for cls in found if issubclass(cls, errors.XentrailError)]


def test_every_error_has_a_docstring_of_one_sentence() -> None:
    """The docstring of an error class explains the family to its reader."""
    for cls in error_classes():
        assert cls.__doc__ is not None
        assert cls.__doc__.splitlines()[0].endswith("."), cls


def test_every_family_of_errors_has_an_exit_code_of_its_own() -> None:
    """A family is a direct child of XentrailError; its children keep its exit code."""
    families = errors.XentrailError.__subclasses__()
    families = [cls for cls in families if cls.__module__ == "recorder.errors"]
    codes = {cls.__name__: cls.exit_code for cls in families}
    assert codes == {
        "ConfigError": 2,
        "TransportError": 10,
        "ProtocolError": 20,
        "XapiFault": 30,
        "JournalError": 40,
        "WorkloadError": 50,
        "QueryError": 60,
    }
    for cls in error_classes():
        for family in families:
            if issubclass(cls, family):
                assert cls.exit_code == family.exit_code


def commands() -> list[str]:
    group = typer.main.get_command(app)
    return sorted(getattr(group, "commands", {}))


def test_every_command_is_in_the_readme() -> None:
    """Who reads the README has seen every command."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in commands() if f"xentrail {name}" not in readme] == []


def test_readme_begins_with_the_two_commands() -> None:
    """The first two sh blocks are the demo and the tests, each with its own set-up."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    demo, tests = re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL)[:2]
    assert demo.strip().endswith("xentrail demo")
    assert tests.strip().endswith("pytest -n auto")
    assert demo.startswith("python3 -m venv .venv &&")
    assert tests.startswith("python3 -m venv .venv &&")


def test_every_dependency_is_pinned_without_an_address() -> None:
    """constraints.txt gives exact versions of all that pyproject.toml names, and no addresses."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", pin) for pin in pins), pins
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert {name.partition(">=")[0].lower() for name in named} <= pinned
