"""The errors of xentrail: one class a family, each with the exit code of the command line.

Families are two levels deep at most. A subclass keeps the exit code of its family, so that a
script can rely on eight numbers; the class docstring is the sentence that explains the family.
"""

from typing import ClassVar


class XentrailError(Exception):
    """Something that was foreseen went wrong; the message says what, where and what to do.

    `choices` are lines that belong below it: all the mistakes, or all that was meant, perhaps.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    choices: tuple[str, ...] = ()


class ConfigError(XentrailError):
    """The configuration or the command line cannot be used as it is."""

    exit_code = 2


class TransportError(XentrailError):
    """A host could not be reached, or the connection to it ended early."""

    exit_code = 10
    retryable = True


class CertificateRefused(TransportError):
    """The certificate of a host is not the one that the configuration vouches for."""

    retryable = False

    def __init__(self, message: str, *, why: str = "") -> None:
        """`why` is the reason by itself."""
        super().__init__(message)
        self.why = why


class ProtocolError(XentrailError):
    """A host answered with something that is not XAPI."""

    exit_code = 20
    retryable = True


class XapiFault(XentrailError):
    """XAPI refused a call, with an error code and parameters."""

    exit_code = 30
    retryable = True

    def __init__(
        self, code: str, params: tuple[str, ...] = (), *, shown: str | None = None
    ) -> None:
        """`shown` replaces the default text, for faults whose parameters hold a secret."""
        super().__init__(shown if shown is not None else " ".join([code, *params]))
        self.code = code
        self.params = params


class LoginRefused(XapiFault):
    """The pool does not accept this user and password."""

    retryable = False


class AnotherPool(XapiFault):
    """The address leads to another pool than the one recorded under this name."""

    retryable = False


class JournalError(XentrailError):
    """The journal cannot be opened, read or written."""

    exit_code = 40


class JournalDamaged(JournalError):
    """The journal holds bytes that are not what was written."""


class JournalLocked(JournalError):
    """Another process is writing to this journal."""


class JournalWriteFailed(JournalError):
    """The disk refused to make entries durable."""


class WorkloadError(XentrailError):
    """A workload script cannot be run, or its run did not meet its expectations."""

    exit_code = 50

    def __init__(self, *texts: str) -> None:
        """Each of `texts` is a line for people: a script may have many mistakes."""
        super().__init__(texts[0])
        self.texts = texts
        self.choices = texts[1:]


class QueryError(XentrailError):
    """A question about the past could not be answered as asked."""

    exit_code = 60
