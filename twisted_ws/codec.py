"""Frames in C or in Python: the choice between the two implementations.

The one in C, ``_speedups``, is used where it was built; it does the same as
:mod:`twisted_ws.frames`, faster. A variable of the environment,
``TWISTED_WS_PURE_PYTHON``, keeps it out: set to anything but nothing or ``0``.
"""

from __future__ import annotations

import os
import warnings
from typing import Literal

from .frames import CONTRACT, FrameDecoder, encodeFrame, mask

__all__ = [
    "IMPLEMENTATION",
    "PURE_PYTHON",
    "FrameDecoder",
    "encodeFrame",
    "mask",
    "versionLine",
]

PURE_PYTHON = "TWISTED_WS_PURE_PYTHON"
"""The variable of the environment that keeps the one in C out."""

IMPLEMENTATION: Literal["C", "Python"] = "Python"
"""Which one is in use."""

if os.environ.get(PURE_PYTHON, "") in ("", "0"):
    try:
        from . import _speedups
    except ImportError:
        # Not built: there was no compiler, or nobody asked.
        pass
    else:
        if getattr(_speedups, "CONTRACT", None) == CONTRACT:
            FrameDecoder = _speedups.FrameDecoder  # type: ignore[misc]
            encodeFrame, mask = _speedups.encodeFrame, _speedups.mask
            IMPLEMENTATION = "C"
        else:
            warnings.warn(
                f"{_speedups.__file__} was built from other sources than these and is "
                f"not used: install the package again",
                RuntimeWarning,
                stacklevel=2,
            )


def versionLine() -> str:
    """Say which version this is, and which implementation is in use."""
    # Only now: it is set when the package has imported all of its modules.
    from . import __version__

    accelerator = "C" if IMPLEMENTATION == "C" else "none"
    return f"twisted_ws {__version__} (accelerator: {accelerator})"
