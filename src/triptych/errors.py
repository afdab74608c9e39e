"""What can go wrong, said in one sentence, and the exit code that a script sees.

Every message says what happened, where, and the cure. The command line prints it and exits
with the class's `code`; nothing else in the package calls `sys.exit`.
"""

from __future__ import annotations

import difflib
import errno
import importlib
from collections.abc import Iterable
from typing import Any


class TriptychError(Exception):
    """A failure with a sentence for the user and an exit code for scripts."""

    code = 1
    everywhere = False  # whether all processes of a run raise it together


class UsageError(TriptychError):
    """An unknown name, key or value, or two wishes that contradict each other."""

    code = 2


class DataError(TriptychError):
    """Images that cannot be used; the message lists each file with its reason."""

    code = 3


class CheckpointError(TriptychError):
    """A damaged or foreign checkpoint; the message names the file and the way out."""

    code = 4


class ResourceError(TriptychError):
    """Memory, disk or a device that is not there."""

    code = 5


class NumericsError(TriptychError):
    """A loss or a weight that is no longer a finite number."""

    code = 6


class RankError(TriptychError):
    """A process of a run that was lost, or contradicts the others; the message names its rank.

    An empty message is that of a process whose part another one has said.
    """

    code = 7


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def explained(error: BaseException) -> TriptychError | None:
    """What a failure of the machine means to the user; None for anything else, which is a mistake of ours.

    The one place where exit codes are given to what Python and PyTorch raise themselves.
    """
    if isinstance(error, OSError):
        where = f"{error.filename or 'a file'}"
        if error.errno in _FULL:
            return ResourceError(f"The disk is full: {where} could not be written ({error.strerror}); make room there.")
        if error.errno in _CLOSED:
            return ResourceError(
                f"{where} cannot be used ({error.strerror}); give another path, or the right to use it."
            )
        if error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE):
            return ResourceError(f"The system refused {where} ({error.strerror}); see to it and try again.")
        return None
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return ResourceError(
            "The memory is full; compute batches in pieces (--set pieces=4), or give a smaller batch, image or model."
        )
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: the closest known name, else all of them.

    >>> nearest("dcgn", ["dcgan", "vae"])
    "did you mean 'dcgan'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}."


def package(name: str, who: str, extra: str) -> Any:
    """The imported package; raises a `ResourceError` that names the extra where it is missing or broken."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:  # a broken binary raises either of the last two
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResourceError(f"{who} needs the package {name} ({reason}): pip install 'triptych[{extra}]'.") from error
