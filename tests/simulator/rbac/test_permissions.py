"""What the roles may do, and how a refusal looks."""

import json
import lzma
from pathlib import Path

import pytest
import trio.testing

from recorder.simulator import roles
from recorder.simulator.calls import RowReply, Sent, TableReply
from recorder.simulator.catalogue import Role, signatures
from recorder.simulator.guard import permission_of
from recorder.simulator.values import Fault
from tests.simulator.rbac.support import OPERATOR, READER, a_bench

ROLES = Path(__file__).parents[2] / "golden" / "simulator" / "roles" / "records.json.xz"
REFUSED = "No permission in user session."
CHANGERS = "vm-power-admin, vm-admin, pool-admin, pool-operator"
STARTERS = "vm-power-admin, vm-admin, vm-operator, pool-admin, pool-operator"


def test_roles_are_those_of_xapi() -> None:
    """2,196 records: every permission with its uuid, and the seven roles, in wire order."""
    database = roles.role_database()
    recorded = json.loads(lzma.decompress(ROLES.read_bytes()))
    records = {ref: database.record("role", ref) for ref in database.refs("role")}
    assert list(records) == list(recorded)
    assert records == recorded
    assert len(records) == 2196


def test_roles_with_a_permission_come_in_the_order_of_xapi() -> None:
    """Each role may do what those below it may; a certificate of a client is apart."""
    assert ", ".join(roles.roles_with("vm.start")) == STARTERS
    assert roles.roles_with("vm.start_on") == (
        "vm-power-admin",
        "client-cert",
        "pool-admin",
        "pool-operator",
    )
    assert roles.roles_with("session.change_password") == ()


@pytest.mark.parametrize(
    ("key", "permission"),
    [
        ("folder", "vm.add_to_other_config/key:folder"),
        ("XenCenter.CustomFields.cost", "vm.add_to_other_config/key:xencenter.customfields.*"),
        ("xencenter.customfields.cost", "vm.add_to_other_config"),
        ("pci", "vm.add_to_other_config/key:pci"),
        ("anything", "vm.add_to_other_config"),
    ],
)
def test_some_keys_have_a_permission_of_their_own(key: str, permission: str) -> None:
    """Keys are compared as they are spelled, permissions are in lower case."""
    assert permission_of("VM.add_to_other_config", {"key": key}) == permission


async def test_a_reader_reads_everything_but_secrets() -> None:
    """All getters and all of event.* are open to read-only, except for the class secret."""
    wanted = {
        name
        for name, known in signatures().items()
        if known.role is Role.READ_ONLY and (".get_" in name or name.startswith("event."))
    }
    async with a_bench() as bench:
        reader = bench.login(READER)
        assert {name for name in wanted if not bench.sessions.may(reader, name.lower())} == set()
        assert isinstance(await bench.call("VM.get_all_records", session=reader), TableReply)
        await bench.call("event.register", ["*"], session=reader)
        await bench.call("event.inject", "pool", bench.pool.pool_ref, session=reader)
        assert (await bench.fault("secret.get_all_records", session=reader))[:2] == [
            "RBAC_PERMISSION_DENIED",
            "secret.get_all_records",
        ]


async def test_a_refusal_names_the_permission_and_who_has_it() -> None:
    """The permission is in lower case; the roles are listed in the order of xapi."""
    async with a_bench() as bench:
        vm, reader = bench.database.refs("VM")[-1], bench.login(READER)
        assert await bench.fault("VM.set_name_label", vm, "x", session=reader) == [
            "RBAC_PERMISSION_DENIED",
            "vm.set_name_label",
            f"{REFUSED} (Roles with this permission: {CHANGERS})",
        ]
        assert (await bench.fault("session.change_password", "a", "b", session=reader))[2] == (
            f"{REFUSED} (Roles with this permission: )"
        )


async def test_a_refused_call_makes_its_task_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A refused synchronous call is seven events; with Async. it succeeds, and its task fails."""
    async with a_bench() as bench:
        vm, reader = bench.database.refs("VM")[-1], bench.login(READER)
        await bench.call("event.register", ["task"])
        fault = await bench.fault("VM.start", vm, False, False, session=reader)
        events = await bench.pool.hub.next(bench.root)
        assert [event.operation for event in events] == ["add", *["mod"] * 5, "del"]
        task = await bench.call("Async.VM.start", vm, False, False, session=reader)
        record = await bench.finished(task)
        assert record["status"] == "failure"
        assert record["error_info"] == fault
        assert record["name_label"] == "Async.VM.start"


@pytest.mark.parametrize(
    ("user", "method", "allowed"),
    [
        (OPERATOR, "VM.hard_reboot", True),
        (OPERATOR, "VM.clone", False),
        (OPERATOR, "VM.set_memory", False),
        ("poolop", "VM.clone", True),
        ("poolop", "subject.get_all", True),
        ("poolop", "subject.destroy", False),
    ],
)
async def test_each_role_has_its_calls(user: str, method: str, allowed: bool) -> None:
    """A role may do what its name promises and no more."""
    async with a_bench() as bench:
        assert bench.sessions.may(bench.login(user), method.lower()) is allowed


async def test_an_operator_may_set_folders_only() -> None:
    """vm-operator may put a VM into a folder, though not change its settings otherwise."""
    async with a_bench() as bench:
        vm, operator = bench.database.refs("VM")[-1], bench.login(OPERATOR)
        await bench.call("VM.add_to_other_config", vm, "folder", "/a", session=operator)
        fault = await bench.fault("VM.add_to_other_config", vm, "x", "y", session=operator)
        assert fault[:2] == ["RBAC_PERMISSION_DENIED", "vm.add_to_other_config"]


async def test_what_only_hosts_call_is_refused_to_everybody() -> None:
    """Not by a role: the session is that of a person, even of root."""
    async with a_bench() as bench:
        assert await bench.fault("host.tickle_heartbeat", bench.pool.master, {}) == [
            "INTERNAL_ERROR",
            'Internal API "host.tickle_heartbeat" call attempted with non-pool (external) session',
        ]


async def test_permission_comes_after_everything_that_is_wrong_with_the_call() -> None:
    """Count, types and session are looked at first; whether the object exists, only then."""
    async with a_bench() as bench:
        reader = bench.login(READER)
        cases: list[tuple[list[Sent], str]] = [
            ([], "MESSAGE_PARAMETER_COUNT_MISMATCH"),
            (["OpaqueRef:x", 5], "INTERNAL_ERROR"),
            (["OpaqueRef:x", "name"], "RBAC_PERMISSION_DENIED"),
        ]
        for params, code in cases:
            assert (await bench.fault("VM.set_name_label", *params, session=reader))[0] == code
        with pytest.raises(Fault, match="SESSION_INVALID"):
            await bench.raw("VM.set_name_label", "OpaqueRef:s", "OpaqueRef:x", "name")


async def test_tasks_of_others_need_a_permission(autojump_clock: trio.testing.MockClock) -> None:
    """Everybody may cancel and destroy his own tasks; others' only pool-operators and above."""
    async with a_bench() as bench:
        reader, operator = bench.login(READER), bench.login(OPERATOR)
        task = await bench.call("task.create", "mine", "", session=reader)
        assert isinstance(task, str)
        fault = await bench.fault("task.cancel", task, session=operator)
        assert fault[:2] == ["RBAC_PERMISSION_DENIED", "task.destroy/any"]
        begun = len(bench.lines())
        await bench.call("task.cancel", task, session=bench.login(READER))
        assert len(bench.lines()) == begun + 1
        await bench.call("task.set_status", task, "success", session=reader)
        await bench.call("task.destroy", task, session=bench.login("poolop"))
        assert not bench.database.exists("task", task)
        assert "'ALLOWED' 'OK' 'API' 'task.destroy/any' ()" in bench.lines()[-2]


async def test_roles_answer_like_other_classes() -> None:
    """Records, fields, names and permissions can be asked for; pools do not count them."""
    async with a_bench() as bench:
        role = roles.role_ref("read-only")
        assert await bench.call("role.get_by_name_label", "read-only") == [role]
        assert isinstance(await bench.call("role.get_record", role), RowReply)
        names = await bench.call("role.get_permissions_name_label", role)
        assert isinstance(names, list)
        assert names[::-1] == list(roles.permissions("read-only"))
        assert await bench.call("role.get_by_permission_name_label", "vm.clone") == [
            roles.role_ref(name) for name in roles.roles_with("vm.clone")
        ]
        composite = await bench.call("role.get_all_records_where", "subroles<>[]")
        assert isinstance(composite, TableReply)
        assert len(composite.refs) == 7
        assert bench.database.row_counts()["role"] == 0
