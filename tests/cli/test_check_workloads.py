"""`xentrail check` on schedules and on who runs workloads: let in or not, allowed or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.checks import check, configure, pinned
from tests.cli.programs import SimulatedAt, simulator
from tests.workloads.theatre import script, step


@pytest.fixture(scope="module")
def pool() -> Iterator[SimulatedAt]:
    users = ("--user", "eye:sesame:read-only", "--user", "hand:sesame:pool-operator")
    with simulator("--vms", "2", "--hosts", "2", "--activity", "0", *users) as served:
        yield served


def written(folder: Path, served: SimulatedAt, user: str | None, *schedules: str) -> Path:
    """Write a configuration with these schedules, and with a user for workloads if one is named."""
    login = f'workload = {{ user = "{user}", password_file = "{folder}/password" }}\n'
    extra = 'user = "eye"\n' + (login if user is not None else "")
    config = configure(folder, pinned(served, extra), password="sesame")
    tables = [
        f'[[schedules]]\nname = "{name}"\ncron = "0 3 * * *"\nscript = "{folder}/{name}.toml"\n'
        'pools = ["lab"]\n'
        for name in schedules
    ]
    config.write_text("\n".join([config.read_text(encoding="utf-8"), *tables]), encoding="utf-8")
    return config


def test_login_of_workloads_is_tried_and_what_its_role_allows(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Script by script, with the calls that are not allowed; one whose role is enough is well."""
    (tmp_path / "start.toml").write_text(script(step("start_async")), encoding="utf-8")
    moves = script(step("evacuate", hosts=["host-1"]))
    (tmp_path / "moves.toml").write_text(moves, encoding="utf-8")
    well = check(written(tmp_path, pool, "hand", "start", "moves"))
    assert (well.ailing(), well.code) == ([], 0)
    assert well.about("workload login")["text"] == "user 'hand' is let in"
    assert well.about("calls of schedule moves")["text"] == "user 'hand' may make all 3 of them"
    assert well.about("script", "schedule start")["text"] == f"{tmp_path}/start.toml: a test"
    denied = check(written(tmp_path, pool, "eye", "start", "moves"))
    assert denied.code == 1
    assert denied.ailing() == [
        ("error", "calls of schedule start"),
        ("error", "calls of schedule moves"),
    ]
    text = "user 'eye' may not call host.disable, host.enable, host.evacuate"
    assert denied.about("calls of schedule moves")["text"] == text
    without = check(written(tmp_path, pool, None, "start"))
    assert without.ailing() == [("error", "calls of schedule start")]
    assert without.about("calls of schedule start")["text"] == "user 'eye' may not call VM.start"


def test_login_of_workloads_that_is_refused_and_script_that_is_wrong_are_told(
    pool: SimulatedAt, tmp_path: Path
) -> None:
    """Beside all that is well with the recording."""
    (tmp_path / "wrong.toml").write_text("name = 3", encoding="utf-8")
    told = check(written(tmp_path, pool, "nobody", "wrong", "gone"))
    assert told.code == 1
    assert told.ailing() == [
        ("error", "script"),
        ("error", "script"),
        ("error", "script"),
        ("error", "workload login"),
    ]
    assert told.about("script", "schedule gone")["text"] == (
        f"{tmp_path}/gone.toml: cannot be read: No such file or directory"
    )
    assert "refuses user 'nobody'" in told.about("workload login")["text"]
    assert told.about("login")["verdict"] == "ok"
