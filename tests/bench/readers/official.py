"""The official client reads all records: `... official URL CLASS ...`."""

import sys
from collections.abc import Sequence

import XenAPI

from tests.bench.readers.account import PASSWORD, USER
from tests.bench.usage import Meter, tell


def read_all(url: str, classes: Sequence[str]) -> None:
    """Log in and read classes, one after the other; those that were removed fail. None is kept."""
    session = XenAPI.Session(url, ignore_ssl=True)
    session.xenapi.login_with_password(USER, PASSWORD, "1.0", "bench")
    for cls in classes:
        try:
            session.xenapi_request(f"{cls}.get_all_records", ())
        except XenAPI.Failure as failure:
            if failure.details[0] != "MESSAGE_REMOVED":
                raise
    session.xenapi.session.logout()


if __name__ == "__main__":
    meter = Meter()
    read_all(sys.argv[1], sys.argv[2:])
    tell(meter.usage())
