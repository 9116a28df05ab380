"""HTTP as xapi's own server speaks it: heads in, replies out. No I/O; `connection` moves the bytes.

The habits are those of recorded replies: header names in lower case, a fixed order, and an HTML
page with the text of the OCaml exception where other servers would answer 4xx.
"""

import re
from dataclasses import dataclass, field

BODY_BYTES_MAX = 300 * 1024
"""The size of a request body that xapi accepts (http_limit_max_rpc_size)."""
HEAD_BYTES_MAX = 1024
"""The size of the request head that xapi accepts (its buffer, and max_header_length_tcp)."""
FIRST_READ_BYTES = len("GET / HTTP/1.0\r\n\r\n")
"""xapi waits for this much before it looks at a request: shorter garbage is never answered."""

_APOLOGY = (
    "An unexpected error occurred; please wait a while and try again. If the problem persists, "
    "please contact your support representative."
)
_MARKS = {"<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "&": "&amp;"}
_KNOWN = frozenset({"GET", "POST", "PUT", "CONNECT", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers that matter here; `headers` has lower-case names."""

    method: str
    path: str
    version: str
    close: bool
    content_length: int | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def reply_version(self) -> str:
        return "1.0" if self.version == "1.0" else "1.1"


class HttpError(Exception):
    """A request that is answered by an HTML page and the end of the connection."""

    def __init__(self, status: str, page: str, *, version: str = "1.1") -> None:
        super().__init__(status)
        self.status = status
        self.page = page
        self.version = version

    def encode(self) -> bytes:
        """Return the whole reply."""
        body = f"<html><body>{self.page}</body></html>".encode()
        headers = {"content-type": "text/html", "connection": "close"}
        headers["cache-control"] = "no-cache, no-store"
        return _reply(self.version, self.status, headers, body)


def internal_error(extra: str, *, head: Head | None = None, escaped: bool = False) -> HttpError:
    """Return the answer to an exception in xapi: status 500 and its text."""
    text = extra if escaped else "".join(_MARKS.get(char, char) for char in extra)
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
    name = head.method if head.method in _KNOWN else f"Unknown {head.method}"
    page = f"<h1>HTTP 501 Method Not Implemented</h1><p>{name} not supported.<br /></p>"
    return HttpError("501 Method not implemented", page, version=head.reply_version)


def parse_head(raw: bytes) -> Head:
    """Read a request head, from the request line to the empty line.

    Raises HttpError as xapi answers: a line without three words, or a length that is no number.
    """
    first, *lines = raw.decode("latin-1").split("\n")
    words = first.split()
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise internal_error("The HTTP headers could not be parsed.")
    method, target, protocol = words
    version = protocol.removeprefix("HTTP/")
    headers = dict(_header(line) for line in lines if ":" in line)
    return Head(
        method=method,
        path=target.split("?", 1)[0],
        version=version,
        close=_closes(version, headers.get("connection", "").lower()),
        content_length=_length(headers),
        headers=headers,
    )


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def _closes(version: str, connection: str) -> bool:
    if connection in {"close", "keep-alive"}:
        return connection == "close"
    return version == "1.0"


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise internal_error('Failure("Int64.of_string")')
    return int(text)


def body_length(head: Head) -> int:
    """Return how many bytes of body follow. Raises HttpError: xapi knows no chunked bodies."""
    if head.content_length is None:
        raise internal_error('Failure("We require a content-length: HTTP header")', head=head)
    if head.content_length > BODY_BYTES_MAX:
        raise internal_error("Http_svr.Client_requested_size_over_limit", head=head)
    if head.content_length < 0:
        raise internal_error('Invalid_argument("Bytes.create")', head=head)
    return head.content_length


def encode_reply(head: Head, content_type: str, body: bytes) -> bytes:
    """Return a reply of the RPC endpoints, whether the call worked or not."""
    headers = _alive(head)
    headers["content-type"] = content_type
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Allow-Headers"] = "X-Requested-With"
    return _reply(head.reply_version, "200 OK", headers, body)


def encode_raised(head: Head, content_type: str, body: bytes) -> bytes:
    """Return the reply to an error before the dispatch, which lacks two headers."""
    headers = {**_alive(head), "content-type": content_type}
    return _reply(head.reply_version, "200 OK", headers, body)


def encode_options(head: Head) -> bytes:
    """Return the reply to OPTIONS, which allows what was asked for."""
    asked = head.headers.get("access-control-request-headers")
    headers = _alive(head)
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Allow-Headers"] = (
        f"{asked}, X-Requested-With" if asked else "X-Requested-With"
    )
    headers["Access-Control-Allow-Methods"] = "PUT"
    return _reply(head.reply_version, "200 OK", headers, b"")


def _alive(head: Head) -> dict[str, str]:
    return {
        "connection": "close" if head.close else "keep-alive",
        "cache-control": "no-cache, no-store",
    }


def _reply(version: str, status: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/{version} {status}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
