"""Which implementation of the frames is chosen, and that it is told."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted_ws
from twisted_ws import adversary, codec, connection, deflate, frames, peerbytes

PLACE = Path(twisted_ws.__file__).parent.parent
BUILT = importlib.util.find_spec("twisted_ws._speedups") is not None
# As if it were not built.
_WITHOUT = "import sys; sys.modules['twisted_ws._speedups'] = None\n"
_SHOW = """\
from twisted_ws import codec, connection
print(codec.IMPLEMENTATION, codec.FrameDecoder.__module__,
      connection.FrameDecoder is codec.FrameDecoder)
print(codec.versionLine())
"""


def show(pure: str | None, before: str = "") -> list[str]:
    """Import it in a fresh interpreter.

    :param pure: the variable's value, None for none
    :param before: code to run first
    :returns: what it says, in lines
    """
    environ = {**os.environ, "PYTHONPATH": str(PLACE)}
    environ.pop(codec.PURE_PYTHON, None)
    if pure is not None:
        environ[codec.PURE_PYTHON] = pure
    done = subprocess.run(
        [sys.executable, "-c", before + _SHOW],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


class ChoiceTests(SynchronousTestCase):
    """The choice at import."""

    def checkPython(self, found: list[str]) -> None:
        """Check that the implementation in Python is in use, and said to be."""
        self.assertEqual(
            found,
            [
                "Python twisted_ws.frames True",
                f"twisted_ws {twisted_ws.__version__} (accelerator: none)",
            ],
        )

    def test_oldBuild(self) -> None:
        """One that was built from other sources is not used, with a warning."""
        stale = (
            "import sys, types\n"
            "stale = types.ModuleType('twisted_ws._speedups')\n"
            "stale.CONTRACT, stale.__file__ = 0, 'stale.so'\n"
            "sys.modules['twisted_ws._speedups'] = stale\n"
        )
        found = show(None, stale)
        self.checkPython(found[:2])
        self.assertTrue(
            any("RuntimeWarning: stale.so was built from other" in it for it in found)
        )

    def test_built(self) -> None:
        """The one in C is used where it is built and not kept out."""
        for pure in (None, "", "0"):
            found = show(pure)
            if not BUILT:
                self.checkPython(found)
                continue
            self.assertEqual(
                found,
                [
                    "C twisted_ws._speedups True",
                    f"twisted_ws {twisted_ws.__version__} (accelerator: C)",
                ],
            )

    def test_keptOut(self) -> None:
        """The variable of the environment keeps it out."""
        for pure in ("1", "yes", "00"):
            self.checkPython(show(pure))

    def test_notBuilt(self) -> None:
        """Where it is not built the one in Python is used, without a word."""
        self.checkPython(show(None, _WITHOUT))

    def test_unusable(self) -> None:
        """Where it was built for another machine, so that it cannot be loaded, the one
        in Python is used, too."""
        unusable = (
            "import sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, path, target=None):\n"
            "        if name == 'twisted_ws._speedups':\n"
            "            raise ImportError('undefined symbol')\n"
            "sys.meta_path.insert(0, Finder())\n"
        )
        self.checkPython(show(None, unusable))


class UseTests(SynchronousTestCase):
    """What is chosen is what is used."""

    def test_everywhere(self) -> None:
        """Every module of the package has the chosen ones."""
        for module, names in (
            (adversary, ("FrameDecoder",)),
            (connection, ("FrameDecoder", "encodeFrame")),
            (deflate, ("encodeFrame",)),
            (peerbytes, ("FrameDecoder", "encodeFrame")),
        ):
            for name in names:
                self.assertIs(getattr(module, name), getattr(codec, name))

    def test_namesWhatIsInUse(self) -> None:
        """The name of the implementation is that of what is exported."""
        isPython = codec.FrameDecoder is frames.FrameDecoder
        self.assertEqual(codec.IMPLEMENTATION, "Python" if isPython else "C")
        self.assertIs(codec.mask is frames.mask, isPython)
        self.assertIs(codec.encodeFrame is frames.encodeFrame, isPython)
