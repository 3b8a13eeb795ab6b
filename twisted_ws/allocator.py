"""The memory that messages come from, for a process that is a WebSocket server.

By default glibc gives freed memory back to the system soon, and takes it again, page by
page, for the next message. From some 256 KiB on that costs more than all else: an echo
of 1 MiB takes 1.4 ms with its defaults and 0.6 ms without.

Only a program may decide that for its process, so no application that imports the
library is affected: ``twistd websocket`` calls :func:`keepFreedMemory`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["KEPT", "MAPPED", "keepFreedMemory"]

MAPPED = 4 * 1024 * 1024
"""Bytes from which memory comes from the system, and goes back to it, each time."""
KEPT = 8 * 1024 * 1024
"""Most freed bytes that the process keeps at the end of its memory."""

# Of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_VARIABLES = (
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
)


def keepFreedMemory(
    environment: Mapping[str, str] = os.environ, load: Any = ctypes.CDLL
) -> bool:
    """Have glibc keep up to :data:`KEPT` bytes of freed memory for the next message.

    :param environment: if it has a variable with which one tells glibc so oneself,
        nothing is done
    :param load: loads the C library; an argument for tests only
    :returns: whether it was done; elsewhere than with glibc there is no need to
    """
    if any(name in environment for name in _VARIABLES):
        return False
    try:
        setOption = load(None).mallopt
    except (AttributeError, OSError, TypeError):
        # Another C library, or none that can be named so.
        return False
    # Each ends glibc's own adjusting of both, so the second is set as well.
    return bool(
        setOption(_M_MMAP_THRESHOLD, MAPPED) and setOption(_M_TRIM_THRESHOLD, KEPT)
    )
