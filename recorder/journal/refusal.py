"""What an operator is told when the disk refuses: the words of the system, and what to do."""

import errno

_ANOTHER = "or choose another folder with --data"
_ADVICE = {
    errno.ENOSPC: "make room on its file system",
    errno.EDQUOT: "raise the quota of the recorder's user, or delete what counts against it",
    errno.EFBIG: "raise the limit for the size of a file (ulimit -f)",
    errno.EROFS: f"mount its file system for writing, {_ANOTHER}",
    errno.EACCES: f"let the recorder's user write there, {_ANOTHER}",
    errno.EPERM: f"let the recorder's user write there, {_ANOTHER}",
    errno.ENOTDIR: f"move away the file that is in the place of a folder, {_ANOTHER}",
    errno.EIO: "look into the log of the system, check the disk, and start the recorder again",
}
_OTHERWISE = "look into the log of the system, and start the recorder again"


def told(error: OSError) -> str:
    """Return what the system said, of which file if it named one, and what to do about it."""
    words = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename is not None else ""
    return f"{words}{where}: {_ADVICE.get(error.errno or 0, _OTHERWISE)}"
