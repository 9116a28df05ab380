"""Where figures were measured: the machine, and the versions of what took part."""

import os
import platform
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

PACKAGES = ("trio", "msgpack", "msgspec", "duckdb", "pyarrow", "zstandard", "XenAPI")
XEN_API = Path(__file__).parents[1] / "clients" / "xo" / "node_modules" / "xen-api" / "package.json"


@dataclass(frozen=True, slots=True)
class Place:
    """What a reader needs to judge figures, or to repeat them."""

    day: str
    machine: str
    versions: dict[str, str]
    commit: str


def place() -> Place:
    """Look at this machine."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Place(
        day=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=f"{os.cpu_count()} x {_processor()}, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}",
        versions=_versions(),
        commit=_said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "OpenSSL": ssl.OPENSSL_VERSION.split()[1]}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    if node := shutil.which("node"):
        versions["node"] = _said(node, "--version").removeprefix("v")
    if XEN_API.exists():
        versions["xen-api"] = _version_of_xen_api()
    return versions


def _version_of_xen_api() -> str:
    told = msgspec.json.decode(XEN_API.read_bytes(), type=dict[str, object])
    return str(told["version"])


def _said(*command: str) -> str:
    """Return what a program prints, or "unknown" where it is missing or fails."""
    if not shutil.which(command[0]):
        return "unknown"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
