"""Users' programs pass strict type checking, and get the types of their own classes.

mypy runs as its own process on copies of the files, as it would in a user's project:
with no configuration of ours, and with mypy-zope's plugin, as Twisted's users have it.
"""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted_ws

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ("auction.py", "bidder.py")
PATIENCE = 300.0

noMypy = noPlugin = None
if importlib.util.find_spec("mypy") is None:
    noMypy = noPlugin = "needs mypy"
elif importlib.util.find_spec("mypy_zope") is None:
    noPlugin = "needs mypy-zope"


class UserTests(SynchronousTestCase):
    """mypy in a user's project."""

    skip = noMypy

    def setUp(self) -> None:
        """Make a project."""
        self.project = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.project)
        for name in EXAMPLES:
            shutil.copy(ROOT / "docs" / "examples" / name, self.project)
        shutil.copy(ROOT / "tests" / "typed_uses.py", self.project)

    def check(self, *configuration: str) -> str:
        """Run ``mypy --strict`` on all files of the project.

        :param configuration: lines of mypy's section of the configuration
        :returns: what it says
        """
        (self.project / "mypy.ini").write_text("\n".join(("[mypy]", *configuration)))
        # Errors in what is imported are ours to find elsewhere; a user, who has
        # installed the package, is not told of them either.
        command = ["mypy", "--strict", "--follow-imports", "silent", "."]
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.project,
            env={**os.environ, "MYPYPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    def test_strict(self) -> None:
        """``mypy --strict`` has nothing to say."""
        self.assertEqual(self.check(), "Success: no issues found in 3 source files\n")

    def test_withPlugin(self) -> None:
        """Nor has it with the plugin for Twisted's interfaces."""
        said = self.check("plugins = mypy_zope:plugin")
        self.assertEqual(said, "Success: no issues found in 3 source files\n")

    test_withPlugin.skip = noPlugin  # type: ignore[attr-defined]

    def test_mistake(self) -> None:
        """A mistake is found: what is imported is known, and not taken for anything."""
        (self.project / "mistake.py").write_text(
            "from bidder import Bidder\n"
            "from twisted_ws import WebSocketClientEndpoint\n"
            "async def bid(endpoint: WebSocketClientEndpoint) -> str:\n"
            "    return await (await endpoint.connect(Bidder)).bid(5)\n"
        )
        said = self.check()
        self.assertIn('(got "int", expected "str")', said)
        self.assertIn("mistake.py:4: error: ", said)
        self.assertIn("Found 1 error in 1 file (checked 4 source files)", said)


class MarkerTests(SynchronousTestCase):
    """What tells type checkers to look."""

    def test_marker(self) -> None:
        """The package has the marker of PEP 561."""
        assert twisted_ws.__file__ is not None
        self.assertTrue((Path(twisted_ws.__file__).parent / "py.typed").exists())
