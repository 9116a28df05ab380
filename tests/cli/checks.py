"""`xentrail check` as a process, and what it says, for the tests of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cli.programs import PASSWORD, SimulatedAt, pool_table, write_config, xentrail

WRONG_FINGERPRINT = ":".join(["AB"] * 32)


@dataclass(frozen=True)
class Checked:
    """What a check said, by subject and point."""

    code: int
    findings: list[dict[str, str]]

    def about(self, point: str, subject: str = "pool lab") -> dict[str, str]:
        (found,) = [
            one for one in self.findings if (one["subject"], one["point"]) == (subject, point)
        ]
        return found

    def ailing(self) -> list[tuple[str, str]]:
        return [(one["verdict"], one["point"]) for one in self.findings if one["verdict"] != "ok"]


def check(config: Path, *args: str) -> Checked:
    """Run a check and read what it prints as JSON; nothing is printed beside it."""
    done = xentrail("check", "--config", str(config), "--format", "json", *args)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["well"] == (done.returncode == 0)
    return Checked(done.returncode, told["findings"])


def configure(folder: Path, *tables: str, password: str = PASSWORD) -> Path:
    config = write_config(folder, *tables, password=password)
    (folder / "password").chmod(0o600)
    return config


def pinned(served: SimulatedAt, extra: str = "") -> str:
    return pool_table(served.tls_url, extra=f'tls.fingerprint = "{served.fingerprint}"\n{extra}')
