"""Where a host listens: `https://host[:port]`, `http://` for loopback only, or `unix:/path`."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from ..errors import ConfigError, ProtocolError

Scheme = Literal["https", "http", "unix"]

PORT_OF: dict[str, int] = {"https": 443, "http": 80}

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}(?<![.-])")


class Address(msgspec.Struct, frozen=True):
    """One address of a pool. `host` has no brackets; `path` is that of a unix socket."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address. Raises ConfigError that says what an address looks like."""
        if text.startswith("unix:"):
            return _unix(text)
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            raise _refused(text, "it cannot be read") from None
        if "@" in parts.netloc:
            raise ConfigError(
                "an address must not hold a user or a password; name them in user and password_file"
            )
        if scheme not in PORT_OF:
            raise _refused(text, "it does not start with https://")
        if not host or not _is_host(host):
            raise _refused(text, "it names no host")
        if port == 0 or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise _refused(text, "only a host and a port may follow the scheme")
        kind: Scheme = "https" if scheme == "https" else "http"
        address = cls(kind, host, port or PORT_OF[kind])
        if kind == "http" and not address.is_loopback:
            raise _refused(text, "http:// would send the password in clear over the network")
        return address

    @property
    def is_loopback(self) -> bool:
        """Tell whether nothing sent to this address leaves the machine."""
        if self.scheme == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def with_host(self, host: str) -> "Address":
        """Return the same scheme and port on `host`, which HOST_IS_SLAVE named as the master.

        From a unix socket it leads to `https` at its usual port. Raises ProtocolError if `host` is
        no host name or IP address, or if plain HTTP would leave the machine.
        """
        if not _is_host(host):
            raise ProtocolError(f"{self} names {host!r:.80} as its master, which is not a host")
        if self.scheme == "unix":
            return Address("https", host, PORT_OF["https"])
        moved = replace(self, host=host)
        if self.scheme == "http" and not moved.is_loopback:
            raise ProtocolError(
                f"{self} names {host} as its master, which plain HTTP must not be used for;"
                " write an https:// address into the configuration"
            )
        return moved

    def __str__(self) -> str:
        """Return the text that `parse` reads back as this address."""
        if self.scheme == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def with_members(addresses: Sequence[Address], members: Sequence[str]) -> list[Address]:
    """Return the configured addresses, and behind them where else hosts of the pool are.

    Those are spoken to as the first configured one is. A recorder that was told to stay on this
    machine, or to use the socket of a host, does not leave it for what a pool says.
    """
    first, found = addresses[0], list(addresses)
    for member in members:
        try:
            address = first.with_host(member)
        except ProtocolError:
            continue  # What is no address for us is none of the pool's hosts for us.
        stays = not first.is_loopback or address.is_loopback
        if stays and first.scheme != "unix" and address not in found:
            found.append(address)
    return found


def _unix(text: str) -> Address:
    path = text.removeprefix("unix:")
    if not path.startswith("/") or "\0" in path:
        raise _refused(text, "unix: needs the absolute path of a socket")
    return Address("unix", path=path)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _HOST_NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "]" not in host


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is not an address: {why}; write https://HOST[:PORT],"
        " http://HOST[:PORT] for this machine only, or unix:/PATH"
    )
