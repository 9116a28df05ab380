"""`xentrail simulate` as its users meet it: real pools, and options that do not fit."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import XenAPI
from typer.testing import CliRunner, Result

from query.cli import app
from recorder.errors import XentrailError
from recorder.simulator.datamodel import classes
from recorder.simulator.presets import PRESETS
from tests.cli.programs import (
    WAIT_S_MAX,
    XENTRAIL,
    SimulatedAt,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
)

DUMPS = Path(__file__).parents[1] / "golden" / "simulator" / "dumps"
Records = dict[str, dict[str, object]]


@contextmanager
def logged_in(pool: SimulatedAt) -> Iterator[XenAPI.Session]:
    """The official client, with a session."""
    session = XenAPI.Session(pool.url)
    session.xenapi.login_with_password("root", pool.password, "1.0", "test")
    try:
        yield session
    finally:
        session.xenapi.session.logout()
        session("close")()


def records_of(session: XenAPI.Session, cls: str) -> Records | None:
    """Return get_all_records of a class, None where the class has no such method any more."""
    try:
        return cast("Records", getattr(session.xenapi, cls).get_all_records())
    except XenAPI.Failure as failure:
        if failure.details[0] in ("MESSAGE_METHOD_UNKNOWN", "MESSAGE_REMOVED"):
            return None
        raise


def said(pool_args: list[str]) -> str:
    """Return what `simulate` says on stderr until it is stopped, which is once it has announced."""
    command = [XENTRAIL, "simulate", "--port", "0", *pool_args]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        return process.communicate(timeout=WAIT_S_MAX)[1]


# -- real pools --------------------------------------------------------------------------------


def test_a_dump_is_served_to_the_official_client() -> None:
    """Every class can be read, the first event.from lists all objects, and a VM can be stopped."""
    with (
        simulator("--database", str(DUMPS / "pool.xml"), "--realtime", "0") as pool,
        logged_in(pool) as session,
    ):
        read = {cls: records_of(session, cls) for cls in classes()}
        listed = session.xenapi.event_from(["*"], "", 5.0)["events"]
        vms = read["VM"]
        assert vms is not None
        vm = next(
            ref
            for ref, record in vms.items()
            if record["power_state"] == "Running" and not record["is_control_domain"]
        )
        session.xenapi.VM.hard_shutdown(vm)
        assert session.xenapi.VM.get_power_state(vm) == "Halted"
    read.pop("role")  # roles are part of the server, and no events tell of them
    objects = {ref for records in read.values() if records for ref in records}
    assert objects == {event["ref"] for event in listed}


def test_a_member_of_a_served_dump_names_where_the_master_answers() -> None:
    """The records tell the addresses of life, but a client is led to one that exists."""
    with simulator("--database", str(DUMPS / "pool.xml")) as pool:
        member = XenAPI.Session(pool.members[0])
        with pytest.raises(XenAPI.Failure) as failure:
            member.xenapi.login_with_password("root", pool.password)
        member("close")()
        assert failure.value.details == ["HOST_IS_SLAVE", "127.0.0.1"]
        with logged_in(pool) as session:
            hosts = records_of(session, "host")
    assert hosts is not None
    assert all(str(host["address"]).startswith("192.0.2.") for host in hosts.values())


def test_what_is_served_is_said() -> None:
    """Narration goes to stderr: how much was read, and from where."""
    path = DUMPS / "pool.xml"
    objects = path.read_text(encoding="utf-8").count("<row ")
    assert said(["--database", str(path)]).startswith(f"{path} has {objects} objects of text ")


def test_what_is_not_served_is_said(tmp_path: Path) -> None:
    """A table of a product that the data model does not know is left out, not in silence."""
    text = (DUMPS / "pool.xml").read_text(encoding="utf-8")
    table = '<table name="hologram"><row ref="OpaqueRef:1"/></table></database>'
    path = tmp_path / "pool.xml"
    path.write_text(text.replace("</database>", table), encoding="utf-8")
    told = said(["--database", str(path)])
    assert told.startswith("table hologram is left out (1 rows): the API has no such class\n")


def test_a_recorded_pool_is_served_as_it_was(tmp_path: Path) -> None:
    """What the journal has of every class is what the pool showed; the gap at its end is said."""
    with simulator("--vms", "4", "--load", "none", "--seed", "5") as pool:
        config = write_config(tmp_path, pool_table(pool.url))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            stop(process)
        with logged_in(pool) as session:
            real = {cls: records_of(session, cls) for cls in classes()}
    with simulator("--journal", str(tmp_path / "data")) as past, logged_in(past) as session:
        shown = {cls: records_of(session, cls) for cls in classes()}
    assert real["VM"]
    for cls, records in real.items():
        assert _by_ref(shown[cls]) == _by_ref(records), cls
    assert "note: the instant lies in gap" in said(["--journal", str(tmp_path / "data")])


def _by_ref(records: Records | None) -> dict[str, list[tuple[str, str]]]:
    """Return records for comparing: what was recorded in JSON comes back in XML all the same.

    Times tell when the simulators of the two started, and memory what they found then.
    """
    return {
        ref: [(name, str(value)) for name, value in record.items() if name != "last_updated"]
        for ref, record in (records or {}).items()
    }


# -- options -----------------------------------------------------------------------------------


def _run(*args: str) -> Result:
    return CliRunner().invoke(app, ["simulate", "--port", "0", *args])


def test_presets_are_listed() -> None:
    """Both kinds: pools by counts, and loads."""
    result = _run("--list-presets")
    assert result.exit_code == 0
    assert all(f"--preset {name}: hosts " in result.stdout for name in PRESETS)
    assert "--load ordinary: 6 a minute, curve flat" in result.stdout


def _dump(*more: str) -> list[str]:
    return ["--database", str(DUMPS / "pool.xml"), *more]


def _nothing(path: Path) -> list[str]:
    return ["--journal", str(path)]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (_dump("--vms", "3"), 2, "--vms makes up a pool, --database and --journal bring one"),
        (_dump("--pools", "2"), 2, "--pools makes up a pool, --database and --journal bring one"),
        (_dump("--journal", "x"), 2, "--database and --journal bring a pool each: choose one"),
        (["--at", "now"], 2, "--at and --pool choose from a journal: say which with --journal"),
        (["--pool", "lab"], 2, "--at and --pool choose from a journal: say which with --journal"),
        (["--rewrite-addresses"], 2, "--rewrite-addresses is for --database and --journal"),
        (["--preset", "huge"], 2, "no such preset: 'huge' is none of default, "),
        (["--load", "heavy"], 2, "no such load: 'heavy' is neither a file nor one of none, "),
        (["--port", "65535", "--pools", "2"], 2, "--port 65535: 2 pools take as many ports"),
        (["--port", "8443", "--tls-port", "8443"], 2, "--port and --tls-port are both 8443"),
        (
            ["--port", "8442", "--tls-port", "8443", "--pools", "2"],
            2,
            "--port 8442 and --tls-port 8443 are too close for 2 pools",
        ),
        (["--user", "ann"], 2, "--user 'ann': a user is given as NAME:PASSWORD:ROLE"),
        (
            ["--user", "ann:x:king"],
            2,
            "there is no role king: choose one of read-only, vm-operator, vm-admin, ",
        ),
        (["--user", "root:x:read-only"], 2, "root is there anyway: see --password"),
        (
            ["--user", "ann:x:read-only", "--user", "ann:y:vm-admin"],
            2,
            "--user 'ann:y:vm-admin': there is a user ann already",
        ),
        (["--fault", "nonsense"], 2, "--fault: not valid TOML"),
        (
            ["--fault", 'pool = "west", match = "VM.start", effect = "fault", code = "NO"'],
            2,
            "there is no pool west; known: pool-1",
        ),
        (["--faults", "none.toml"], 2, "none.toml: cannot be read"),
        (["--database", "none.xml"], 2, "none.xml cannot be read"),
        (["--journal", "none"], 40, "--journal none: there is no such folder"),
        (["--journal", ".", "--at", ""], 60, "'' is no point in time"),
        (["--journal", ".", "--at", "whenever"], 60, "'whenever' is no point in time"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(args: list[str], code: int, message: str) -> None:
    """Nothing is served, and the error says what to change."""
    result = _run(*args)
    assert isinstance(result.exception, XentrailError)
    assert message in str(result.exception)
    assert result.exception.exit_code == code


@pytest.mark.parametrize("factor", ["-1", "nan", "inf"])
def test_a_factor_that_time_cannot_have_is_refused(factor: str) -> None:
    """With inf, every operation would wait for ever."""
    result = _run("--realtime", factor)
    assert result.exit_code == 2
    assert "--realtime" in result.stderr


# -- what goes wrong ---------------------------------------------------------------------------


def test_faults_come_from_the_command_line_and_from_outside(tmp_path: Path) -> None:
    """A rule of the start is in force at the first call; `control` adds and removes others."""
    rule = 'name = "no", match = "VM.start", effect = "fault", code = "HOST_OFFLINE"'
    socket = tmp_path / "control"
    with (
        simulator("--fault", rule, "--control", str(socket), "--realtime", "0") as pool,
        logged_in(pool) as session,
    ):
        vm = next(
            ref
            for ref, record in session.xenapi.VM.get_all_records().items()
            if record["power_state"] == "Halted" and not record["is_a_template"]
        )
        with pytest.raises(XenAPI.Failure, match="HOST_OFFLINE"):
            session.xenapi.VM.start(vm, False, False)
        _control(socket, json.dumps({"do": "remove", "name": "no"}))
        session.xenapi.VM.start(vm, False, False)
        assert "no" not in _control(socket, json.dumps({"do": "list"}))


def _control(socket: Path, command: str) -> str:
    done = subprocess.run(
        [XENTRAIL, "fault", str(socket), command],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
