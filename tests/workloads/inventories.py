"""Pools of any composition, for selections and plans."""

from hypothesis import strategies as st

from recorder.workloads.inventory import NEVER, NULL_REF, HostRecord, Inventory, VmRecord

HOSTS = {f"OpaqueRef:h{n}": HostRecord(f"uuid-h{n}", f"host-{n}") for n in range(1, 4)}


def vm(
    number: int, power_state: str = "Running", host: int | None = None, **fields: object
) -> VmRecord:
    """Return the record of `vm-NUMBER`, which runs on host `host`, else on one by its number."""
    runs = power_state in {"Running", "Paused"}
    where = f"OpaqueRef:h{host or number % 3 + 1}" if runs else NULL_REF
    known: dict[str, object] = {
        "uuid": f"uuid-{number}",
        "name_label": f"vm-{number}",
        "power_state": power_state,
        "resident_on": where,
        **fields,
    }
    return VmRecord(**known)  # type: ignore[arg-type]  # the fields of a record, by name


def pool(*vms: VmRecord, name: str = "lab") -> Inventory:
    """Return a pool of three hosts."""
    return Inventory(name, {f"OpaqueRef:{one.uuid}": one for one in vms}, HOSTS)


@st.composite
def pools(draw: st.DrawFn) -> Inventory:
    """Any pool: templates, snapshots, control domains and tags in all combinations."""
    count = draw(st.integers(0, 12))
    flags = st.booleans()
    tags = st.lists(st.sampled_from([NEVER, "nightly", "web"]), unique=True)
    states = st.sampled_from(["Halted", "Paused", "Running", "Suspended"])
    vms = [
        vm(
            number,
            draw(states),
            name_label=draw(st.sampled_from(["web", "web-1", "db", "Debian 12"])),
            is_a_template=draw(flags),
            is_a_snapshot=draw(flags),
            is_control_domain=draw(flags),
            tags=draw(tags),
        )
        for number in range(count)
    ]
    return pool(*vms)
