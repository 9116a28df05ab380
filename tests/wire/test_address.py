"""Addresses: three forms, read and written alike; every other text is refused with a reason."""

import pytest

from recorder.client.transport import Address
from recorder.errors import ConfigError, ProtocolError

HOW = "; write https://HOST[:PORT], http://HOST[:PORT] for this machine only, or unix:/PATH"


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("https://xen1", Address("https", "xen1", 443), "https://xen1:443"),
        ("https://xen1.lab:8443/", Address("https", "xen1.lab", 8443), "https://xen1.lab:8443"),
        (
            "https://[2001:db8::7]",
            Address("https", "2001:db8::7", 443),
            "https://[2001:db8::7]:443",
        ),
        ("http://127.0.0.2", Address("http", "127.0.0.2", 80), "http://127.0.0.2:80"),
        ("http://[::1]:8080", Address("http", "::1", 8080), "http://[::1]:8080"),
        ("http://localhost:1", Address("http", "localhost", 1), "http://localhost:1"),
        (
            "unix:/var/lib/xcp/xapi",
            Address("unix", path="/var/lib/xcp/xapi"),
            "unix:/var/lib/xcp/xapi",
        ),
    ],
)
def test_parse_reads_what_str_writes(text: str, address: Address, written: str) -> None:
    """An address is read, and its text reads back as the same address."""
    assert Address.parse(text) == address
    assert str(address) == written
    assert Address.parse(written) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("xen1", "it does not start with https://"),
        ("ftp://xen1", "it does not start with https://"),
        ("https://", "it names no host"),
        ("https://-x", "it names no host"),
        ("https://xen1:port", "it cannot be read"),
        ("https://[::1", "it cannot be read"),
        ("https://xen1:0", "only a host and a port may follow the scheme"),
        ("https://xen1/jsonrpc", "only a host and a port may follow the scheme"),
        ("https://xen1?a", "only a host and a port may follow the scheme"),
        ("unix:xapi", "unix: needs the absolute path of a socket"),
        ("http://xen1", "http:// would send the password in clear over the network"),
        ("http://10.0.0.1", "http:// would send the password in clear over the network"),
    ],
)
def test_parse_says_why_it_refuses(text: str, why: str) -> None:
    """A text that is no address is refused with the reason and the three forms."""
    with pytest.raises(ConfigError) as caught:
        Address.parse(text)
    assert str(caught.value) == f"{text!r} is not an address: {why}{HOW}"


def test_parse_shows_nothing_of_a_password_in_an_address() -> None:
    """A password written into an address is refused, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        Address.parse("https://root:hunter2@xen1")
    assert "hunter2" not in repr(caught.value)
    assert str(caught.value).startswith("an address must not hold a user or a password")


@pytest.mark.parametrize(
    ("start", "host", "end"),
    [
        ("https://xen1:8443", "10.0.0.2", "https://10.0.0.2:8443"),
        ("https://xen1", "2001:db8::7", "https://[2001:db8::7]:443"),
        ("http://127.0.0.1:8080", "127.0.0.2", "http://127.0.0.2:8080"),
        ("unix:/var/lib/xcp/xapi", "10.0.0.2", "https://10.0.0.2:443"),
    ],
)
def test_with_host_keeps_scheme_and_port(start: str, host: str, end: str) -> None:
    """A member names its master by host alone; how to talk to it stays the same."""
    assert str(Address.parse(start).with_host(host)) == end


@pytest.mark.parametrize(
    ("start", "host", "message"),
    [
        ("https://xen1", "", "https://xen1:443 names '' as its master, which is not a host"),
        ("https://xen1", "a b", "https://xen1:443 names 'a b' as its master, which is not a host"),
        (
            "https://xen1",
            "x::y",
            "https://xen1:443 names 'x::y' as its master, which is not a host",
        ),
        (
            "http://127.0.0.1",
            "10.0.0.2",
            (
                "http://127.0.0.1:80 names 10.0.0.2 as its master, which plain HTTP must not be"
                " used for; write an https:// address into the configuration"
            ),
        ),
    ],
)
def test_with_host_refuses_what_a_host_should_not_name(start: str, host: str, message: str) -> None:
    """A host cannot lead us to nonsense, nor to a password in clear over the network."""
    with pytest.raises(ProtocolError) as caught:
        Address.parse(start).with_host(host)
    assert str(caught.value) == message
