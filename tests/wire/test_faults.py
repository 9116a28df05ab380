"""What error codes mean: each question has its codes, and no fault holds a session ref."""

from collections.abc import Callable

import pytest

from recorder.errors import XapiFault
from recorder.xapi import faults


@pytest.mark.parametrize(
    ("predicate", "codes"),
    [
        (faults.is_session_lost, {"SESSION_INVALID", "SESSION_NOT_REGISTERED"}),
        (faults.is_events_lost, {"EVENTS_LOST"}),
        (
            faults.is_login_refused,
            {"SESSION_AUTHENTICATION_FAILED", "SESSION_AUTHORIZATION_FAILED"},
        ),
        (faults.is_emergency, {"HOST_STILL_BOOTING", "HOST_BROKEN", "HOST_HAS_NO_MANAGEMENT_IP"}),
        (
            faults.is_permanent,
            {
                "ANOTHER_POOL",
                "RBAC_PERMISSION_DENIED",
                "SESSION_AUTHENTICATION_FAILED",
                "SESSION_AUTHORIZATION_FAILED",
            },
        ),
    ],
)
def test_predicate_knows_its_codes(predicate: Callable[[XapiFault], bool], codes: set[str]) -> None:
    """Each predicate answers yes to its codes, and no to all that belong elsewhere."""
    others = {"HANDLE_INVALID", "HOST_IS_SLAVE", "INTERNAL_ERROR"}
    assert all(predicate(XapiFault(code)) for code in codes)
    assert not any(predicate(XapiFault(code)) for code in others)


@pytest.mark.parametrize(
    ("fault", "master"),
    [
        (XapiFault("HOST_IS_SLAVE", ("10.0.0.2",)), "10.0.0.2"),
        (XapiFault("HOST_IS_SLAVE", ("",)), None),
        (XapiFault("HOST_IS_SLAVE"), None),
        (XapiFault("HANDLE_INVALID", ("10.0.0.2",)), None),
    ],
)
def test_is_slave_gives_the_master(fault: XapiFault, master: str | None) -> None:
    """The master is the parameter of HOST_IS_SLAVE, if there is one."""
    assert faults.is_slave(fault) == master


@pytest.mark.parametrize(
    ("code", "params", "text"),
    [
        ("SESSION_INVALID", ["OpaqueRef:secret"], "SESSION_INVALID"),
        ("HANDLE_INVALID", ["session", "OpaqueRef:secret"], "HANDLE_INVALID session"),
        ("HANDLE_INVALID", ["VM", "OpaqueRef:vm"], "HANDLE_INVALID VM OpaqueRef:vm"),
    ],
)
def test_from_reply_drops_session_refs(code: str, params: list[str], text: str) -> None:
    """A session ref is a bearer token: it reaches neither the text nor the parameters."""
    fault = faults.from_reply(code, params)
    assert str(fault) == text
    assert "secret" not in repr(fault.params)
