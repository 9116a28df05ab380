"""Users of the directory: who gets in, as what, and for how long."""

import pytest

from recorder.simulator.calls import Sent
from recorder.simulator.door import Door
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.roles import permissions, role_ref
from recorder.simulator.users import UserSpec
from recorder.simulator.values import Fault
from tests.simulator.rbac.support import MEMBER, READER, a_bench


class Clock:
    now_s = 1_795_452_672.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("ann:s:read-only", UserSpec("ann", "s", "read-only")),
        ("ann:a:b:pool-admin", UserSpec("ann", "a:b", "pool-admin")),
        ("ann::", UserSpec("ann", "", "")),
    ],
)
def test_a_user_is_written_as_name_password_and_role(text: str, user: UserSpec) -> None:
    """NAME:PASSWORD:ROLE, where the role may be left empty."""
    assert UserSpec.parse(text) == user


@pytest.mark.parametrize("text", ["ann", "ann:s", ":s:read-only", "ann:s:king"])
def test_what_is_no_user_is_refused(text: str) -> None:
    """Without a name or a role that exists there is no user."""
    with pytest.raises(ValueError, match=r"NAME:PASSWORD:ROLE|there is no role king"):
        UserSpec.parse(text)


async def test_a_session_tells_who_it_is() -> None:
    """The record has subject, identifier, name, permissions and originator, as in xapi."""
    async with a_bench() as bench:
        ref = await bench.raw("session.login_with_password", READER, "reads", "1.0", "me")
        assert isinstance(ref, str)
        task = await bench.call("task.create", "mine", "", session=ref)
        await bench.call("session.get_record", ref, session=ref)
        record = bench.database.record("session", ref)
        (subject,) = bench.database.find("subject", "subject_identifier", record["auth_user_sid"])
        assert record["auth_user_name"] == READER
        assert record["subject"] == subject
        assert record["is_local_superuser"] is False
        assert record["rbac_permissions"] == [*permissions("read-only")[::-1]]
        assert record["originator"] == "me"
        assert record["this_host"] == bench.pool.master
        assert record["last_active"] == record["validation_time"] == "20261123T17:13:34Z"
        assert record["tasks"] == [task]
        assert record["pool"] is False
        assert record["parent"] == record["this_user"] == "OpaqueRef:NULL"


async def test_root_has_no_list_of_permissions() -> None:
    """Root is the local superuser, who may do anything, and no subject."""
    async with a_bench() as bench:
        record = bench.database.record("session", bench.root)
        assert record["is_local_superuser"] is True
        assert record["rbac_permissions"] == []
        assert record["auth_user_sid"] == ""
        assert record["auth_user_name"] == "root"


async def test_only_subjects_get_in() -> None:
    """A wrong password, a stranger and a subject without a role are refused, each in its way."""
    async with a_bench() as bench:
        headers = {"user-agent": "tests"}
        cases = {
            (READER, "wrong"): ["SESSION_AUTHENTICATION_FAILED", READER, "Authentication failure"],
            ("nobody", "x"): ["SESSION_AUTHENTICATION_FAILED", "nobody", "Authentication failure"],
        }
        for (user, password), expected in cases.items():
            with pytest.raises(Fault) as error:
                await bench.raw("session.login_with_password", user, password)
            assert [error.value.code, *error.value.params] == expected
        with pytest.raises(Fault) as error:
            await bench.raw("session.login_with_password", "stranger", "strange", headers=headers)
        assert error.value.code == "SESSION_AUTHORIZATION_FAILED"
        assert error.value.params[0] == "stranger"
        assert error.value.params[1].endswith(
            "from HTTP request from Internet with User-Agent: tests)"
            " has no access rights in this pool"
        )


async def test_root_lets_users_in_and_out() -> None:
    """subject.create, add_to_roles, remove_from_roles and destroy, with auth to find the user."""
    async with a_bench() as bench:
        sid = str(await bench.call("auth.get_subject_identifier", "stranger"))
        made: dict[str, Sent] = {"subject_identifier": sid, "other_config": {}}
        subject = await bench.call("subject.create", made)
        assert isinstance(subject, str)
        assert await bench.fault("subject.create", made) == ["SUBJECT_ALREADY_EXISTS"]
        with pytest.raises(Fault, match=r"RBAC_PERMISSION_DENIED .* has no roles in this pool"):
            bench.login("stranger")
        role = role_ref("vm-admin")
        await bench.call("subject.add_to_roles", subject, role)
        assert await bench.fault("subject.add_to_roles", subject, role) == ["ROLE_ALREADY_EXISTS"]
        assert await bench.fault("subject.add_to_roles", subject, "x") == ["ROLE_NOT_FOUND"]
        session = bench.login("stranger")
        names = await bench.call("subject.get_permissions_name_label", subject)
        assert names == [*permissions("vm-admin")]
        await bench.call("subject.remove_from_roles", subject, role)
        assert bench.sessions.may(session, "vm.clone")
        await bench.call("subject.destroy", subject)
        with pytest.raises(Fault, match="SESSION_AUTHORIZATION_FAILED"):
            bench.login("stranger")
        told = bench.lines()
        assert any("'subject.add_to_roles' (('self' 'stranger' '" in line for line in told)
        assert any(f"('role' 'vm-admin' '' '{role}')" in line for line in told)
        assert any(f"('subject_identifier' '{sid}' '' '')" in line for line in told)


async def test_without_users_there_is_no_directory() -> None:
    """Then only root logs in, and nobody can be looked up."""
    spec = PoolSpec(hosts=1, vms=1)
    front = Front(SimulatedPool.build(spec, now_s=Clock()), now_s=Clock())
    with pytest.raises(Fault, match="AUTH_IS_DISABLED"):
        front.sessions.logins.directory.named("ann")
    with pytest.raises(Fault, match="SESSION_AUTHENTICATION_FAILED"):
        front.sessions.login("ann", "x", originator="", trusted=False)


def test_a_user_who_is_no_subject_any_more_is_logged_out() -> None:
    """It takes at least 30 minutes and at most 40 until the session is looked at again."""
    clock = Clock()
    spec = PoolSpec(hosts=1, vms=1, users=(UserSpec("ann", "s", "read-only"),))
    front = Front(SimulatedPool.build(spec, now_s=clock), now_s=clock)
    ann = front.sessions.login("ann", "s", originator="", trusted=False)
    front.pool.database.delete("subject", front.pool.database.refs("subject")[0])
    clock.now_s += 1799.0
    front.sessions.collect()
    assert front.sessions.refs() == [ann]
    clock.now_s += 602.0
    front.sessions.collect()
    assert front.sessions.refs() == []


async def test_users_can_be_logged_out_by_identifier() -> None:
    """All sessions of a user end but the one that asks; root's are never meant."""
    async with a_bench() as bench:
        first, second, other = (bench.login(name) for name in (READER, READER, "poolop"))
        sid = str(bench.database.field("session", first, "auth_user_sid"))
        assert sid in await bench.call("session.get_all_subject_identifiers")  # type: ignore[operator]
        await bench.call("session.logout_subject_identifier", sid, session=other)
        assert bench.sessions.refs() == [bench.root, other]
        assert [line for line in bench.lines() if "'session.destroy'" in line] != []
        assert second not in bench.sessions.refs()


async def test_root_changes_its_password() -> None:
    """The old one is not asked for; sessions stay; the other hosts are told."""
    async with a_bench(hosts=2) as bench:
        await bench.call("session.change_password", "whatever", "new")
        with pytest.raises(Fault, match="SESSION_AUTHENTICATION_FAILED"):
            bench.login("root")
        await bench.raw("session.login_with_password", "root", "new")
        assert bench.root in bench.sessions.refs()
        assert "'host.request_config_file_sync' (('host' 'host-2' " in bench.lines()[0]


async def test_a_host_has_sessions_of_its_own() -> None:
    """Root logs in to a member for itself: it may do anything there, and nothing elsewhere."""
    async with a_bench(hosts=2) as bench:
        login = "session.slave_local_login_with_password"
        with pytest.raises(Fault, match="SESSION_AUTHENTICATION_FAILED"):
            await bench.raw(login, READER, "reads", door=MEMBER)
        local = str(await bench.raw(login, "root", "xenroot", door=MEMBER))
        await bench.raw("VM.get_all", local, door=MEMBER)
        with pytest.raises(Fault, match="SESSION_INVALID"):
            await bench.raw("VM.get_all", local)
        await bench.raw("session.local_logout", local, door=MEMBER)
        with pytest.raises(Fault, match="SESSION_INVALID"):
            await bench.raw("VM.get_all", local, door=MEMBER)


@pytest.mark.parametrize(
    ("method", "params", "refused"),
    [
        ("session.slave_login", ["OpaqueRef:h", "guess"], "OpaqueRef:h"),
        ("session.slave_local_login", ["guess"], "localhost"),
    ],
)
async def test_the_secret_of_the_pool_is_nobodys(
    method: str, params: list[str], refused: str
) -> None:
    """Logins of hosts need it."""
    async with a_bench() as bench:
        with pytest.raises(Fault) as error:
            await bench.raw(method, *params, door=Door("127.0.0.1"))
        expected = ("SESSION_AUTHENTICATION_FAILED", refused, "Pool credentials invalid")
        assert (error.value.code, *error.value.params) == expected


async def test_a_session_cannot_be_listed_but_asked() -> None:
    """There is no session.get_all; whoever knows a uuid finds the session."""
    async with a_bench() as bench:
        for method in ("session.get_all", "session.get_all_records"):
            assert await bench.fault(method) == ["MESSAGE_METHOD_UNKNOWN", method]
        uuid = str(bench.database.field("session", bench.root, "uuid"))
        assert await bench.call("session.get_by_uuid", uuid) == bench.root
        assert await bench.fault("session.create_from_db_file", "/x") == [
            "NOT_IMPLEMENTED",
            "session.create_from_db_file",
        ]
