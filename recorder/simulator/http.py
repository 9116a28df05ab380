"""HTTP as xapi's own server speaks it: heads in, replies out. No I/O; `connection` moves the bytes.

The habits are those of recorded replies: header names in lower case, a fixed order, and an HTML
page with the text of the OCaml exception where other servers would answer 4xx.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, unquote_plus

import msgspec

from .ocaml import failure, int64, quoted

BODY_BYTES_MAX = 300 * 1024
"""The size of a request body that xapi accepts (http_limit_max_rpc_size)."""
FIRST_READ_BYTES = len("GET / HTTP/1.0\r\n\r\n")
"""xapi waits for this much before it looks at a request: shorter garbage is never answered."""
HEAD_BYTES_MAX = 1024 - FIRST_READ_BYTES
"""The longest request head that xapi accepts with its empty line.

Its buffer has max_header_length_tcp = 1024 bytes, from which it takes the first read once more.
"""

_APOLOGY = (
    "An unexpected error occurred; please wait a while and try again. If the problem persists, "
    "please contact your support representative."
)
_KEPT = frozenset({"close", "keep-alive"})
"""The values of `connection` that mean something; any other is as good as none."""
_WHITE = " \t\n\v\f\r"
_TARGET = re.compile(r"(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
"""The parts of a URI (RFC 3986, appendix B): xapi takes whole ones too, and looks at the path."""
_MARKS = {"<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "&": "&amp;"}
_KNOWN = frozenset({"GET", "POST", "PUT", "CONNECT", "OPTIONS"})


class Head(msgspec.Struct, frozen=True):
    """The request line and the headers that matter here; `headers` has lower-case names.

    `path`, `query` and `cookies` are decoded; of a name that comes twice, the first counts.
    """

    method: str
    path: str
    version: str
    close: bool
    content_length: int | None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, str] = msgspec.field(default_factory=dict)
    cookies: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def reply_version(self) -> str:
        """1.0 for a request whose version begins like that, 1.1 for anything else."""
        return "1.0" if re.match(r"\+?0*1\.0+(?![0-9])", self.version) else "1.1"


class HttpError(Exception):
    """A request that is answered by an HTML page and the end of the connection.

    `headers` come after those that every page has.
    """

    def __init__(
        self, status: str, page: str, *, version: str = "1.1", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.page = page
        self.version = version
        self.headers = headers or {}

    def encode(self) -> bytes:
        """Return the whole reply."""
        body = f"<html><body>{self.page}</body></html>".encode("utf-8", "surrogateescape")
        headers = {"content-type": "text/html", "connection": "close"}
        headers["cache-control"] = "no-cache, no-store"
        return reply_head(self.version, self.status, headers | self.headers, len(body)) + body


def internal_error(extra: str, *, head: Head | None = None) -> HttpError:
    """Return the answer to an exception in xapi: status 500 and its text."""
    text = "".join(_MARKS.get(char, char) for char in extra)
    page = f"<h1>HTTP 500 internal server error</h1>{_APOLOGY}"
    page += f"<h1> Additional information </h1>{text}"
    version = head.reply_version if head else "1.1"
    return HttpError("500 Internal Error", page, version=version)


def too_slow() -> HttpError:
    """Return the answer to a first request that does not come."""
    page = "<h1>HTTP 408 request timeout</h1>Timed out waiting for the request."
    return HttpError("408 Request Timeout", page)


def head_too_large() -> HttpError:
    """Return the answer to a head of more than HEAD_BYTES_MAX."""
    page = "<h1>HTTP 431 request header fields too large</h1>Exceeded the maximum header size."
    return HttpError("431 Request Header Fields Too Large", page)


def refusal(head: Head) -> HttpError | None:
    """Return the error for a method or path that nothing handles, None if it is served.

    POST and OPTIONS are claimed for every path below /; PUT and CONNECT exist for other paths.
    """
    if head.method in {"POST", "OPTIONS"} and head.path.startswith("/"):
        return None
    if head.method in {"POST", "OPTIONS", "PUT", "CONNECT"}:
        page = "<h1>HTTP 403 forbidden</h1>Access to the requested resource is forbidden."
        return HttpError("403 Forbidden", page)
    method = head.method.encode("latin-1").decode("utf-8", "surrogateescape")
    name = method if method in _KNOWN else f"Unknown {method}"
    page = f"<h1>HTTP 501 Method Not Implemented</h1><p>{name} not supported.<br /></p>"
    return HttpError("501 Method not implemented", page, version=head.reply_version)


def parse_head(raw: bytes) -> Head:
    """Read a request head, from the request line to the empty line.

    Raises HttpError as xapi answers: a line without three words, or a length that is no number.
    """
    first, *lines = raw.decode("latin-1").split("\n")
    words = [word for word in re.split(f"[{_WHITE}]+", first) if word]
    if len(words) != 3:
        raise internal_error("The HTTP headers could not be parsed.")
    method, target, protocol = words
    version = _version(protocol)
    path, query = _target(target)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and not (
            name.lower() == "connection" and value.strip(_WHITE).lower() not in _KEPT
        ):
            headers[name.lower()] = value.strip(_WHITE)
    return Head(
        method=method,
        path=path,
        version=version,
        close=_closes(version, headers.get("connection", "").lower()),
        content_length=_length(headers),
        headers=headers,
        query=query,
        cookies=_pairs(headers.get("cookie", ""), "[&;]"),
    )


def _version(protocol: str) -> str:
    """Return what follows the first five letters: xapi does not look whether they are HTTP/."""
    if len(protocol) < len("HTTP/"):
        raise internal_error(f"Invalid_argument({quoted('String.sub / Bytes.sub')})")
    return protocol[len("HTTP/") :]


def _target(target: str) -> tuple[str, dict[str, str]]:
    found = _TARGET.fullmatch(target)
    assert found is not None, "the parts of a URI match any text"
    path, query = found.groups(default="")
    return unquote(path, "latin-1"), _pairs(query, "&")


def _pairs(text: str, separator: str) -> dict[str, str]:
    """Return the decoded names and values of a query or of cookies."""
    pairs: dict[str, str] = {}
    for pair in re.split(separator, text):
        name, _, value = pair.strip(_WHITE).partition("=")
        if name:
            pairs.setdefault(_decoded(name), _decoded(value))
    return pairs


def _decoded(text: str) -> str:
    # Both sides of a percent sign are bytes, which the head has as latin-1.
    return unquote_plus(text, "latin-1").encode("latin-1").decode("utf-8", "surrogateescape")


def _closes(version: str, connection: str) -> bool:
    return connection == "close" if connection else version == "1.0"


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    length = int64(text)
    if length is None:
        raise internal_error(failure("Int64.of_string"))
    return length


def body_length(head: Head) -> int:
    """Return how many bytes of body follow. Raises HttpError: xapi knows no chunked bodies."""
    if head.content_length is None:
        raise internal_error(failure("We require a content-length: HTTP header"), head=head)
    if head.content_length > BODY_BYTES_MAX:
        raise internal_error("Http_svr.Client_requested_size_over_limit", head=head)
    if head.content_length < 0:
        raise internal_error('Invalid_argument("Bytes.create")', head=head)
    return head.content_length


def rpc_headers(head: Head, content_type: str) -> dict[str, str]:
    """Return the headers of a reply of the RPC endpoints, whether the call worked or not."""
    headers = raised_headers(head, content_type)
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Allow-Headers"] = "X-Requested-With"
    return headers


def raised_headers(head: Head, content_type: str) -> dict[str, str]:
    """Return the headers of the reply to an error before the dispatch, which are two less."""
    return {**_alive(head), "content-type": content_type}


def encode_options(head: Head) -> bytes:
    """Return the reply to OPTIONS, which allows what was asked for."""
    asked = head.headers.get("access-control-request-headers")
    headers = _alive(head)
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Allow-Headers"] = (
        f"{asked}, X-Requested-With" if asked else "X-Requested-With"
    )
    headers["Access-Control-Allow-Methods"] = "PUT"
    return reply_head(head.reply_version, "200 OK", headers, 0)


def _alive(head: Head) -> dict[str, str]:
    return {
        "connection": "close" if head.close else "keep-alive",
        "cache-control": "no-cache, no-store",
    }


def reply_head(version: str, status: str, headers: Mapping[str, str], length: int) -> bytes:
    """Return everything before the body, which has `length` bytes."""
    lines = [f"HTTP/{version} {status}", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
