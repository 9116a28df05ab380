"""The master of a pool dies under a running recorder, over real TLS."""

import json
from pathlib import Path

from recorder.journal.scan import scan
from recorder.model import GapClosed, GapOpened, Mark, MarkName
from tests.cli.programs import (
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
    xentrail,
)

DOWN_S = 2.0
DEATH = {
    "at_s": 0.0,
    "effect": "failover",
    "planned": False,
    "target": "host-2",
    "takeover_s": DOWN_S,
    "how": "refuse",
}


def test_new_master_is_found_though_only_the_old_one_is_configured(tmp_path: Path) -> None:
    """One gap, from the death on until the new master answers and not a second longer."""
    control = tmp_path / "control"
    with simulator("--hosts", "3", "--vms", "3", "--control", str(control)) as pool:
        extra = f'tls.fingerprint = "{pool.fingerprint}"'
        config = write_config(tmp_path, pool_table(pool.tls_url, extra=extra))
        with recorder(config) as process:
            wait_for(process, ["recording"])
            rule = " , ".join(f"{key} = {json.dumps(value)}" for key, value in DEATH.items())
            assert xentrail("fault", str(control), rule).returncode == 0
            lost = wait_for(process, ["gap-opened"])
            found = wait_for(process, ["connected"])
            wait_for(process, ["gap-closed"])
            stop(process)
    assert "cause=connection-lost" in lost
    assert "address=https://127.0.0.2:" in found
    entries = list(scan(tmp_path / "data" / "journal"))
    opened, stopped = (entry for entry in entries if isinstance(entry.body, GapOpened))
    (closed,) = (entry.body for entry in entries if isinstance(entry.body, GapClosed))
    assert closed.opened_seq == opened.seq
    # A busy machine needs some of this time itself; looking for the master takes half a second.
    assert closed.blind_until_ns - opened.received_at_ns < (DOWN_S + 5.0) * 1e9
    marks = [entry.body for entry in entries if isinstance(entry.body, Mark)]
    members = [mark.detail["addresses"] for mark in marks if mark.name is MarkName.MEMBERS]
    assert [str(text).split()[0] for text in members] == ["127.0.0.1", "127.0.0.2"]
    assert stopped.seq > opened.seq
