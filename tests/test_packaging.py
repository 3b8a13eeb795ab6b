"""What is published and installed: wheel, source distribution, editable install."""

# The assertions of trial have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path

import twisted
from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = "twisted/plugins/twisted_ws_plugin.py"
TIMEOUT = 120.0
# The accelerator's file, one that an older Python left, and how to have no compiler.
NATIVE = f"twisted_ws/_speedups{sysconfig.get_config_var('EXT_SUFFIX')}"
STALE = "_speedups.cpython-39-x86_64-linux-gnu.so"
NO_COMPILER = {"CC": "/nonexistent/compiler"}
PURE = "py3-none-any"

# All that a build looks at; there may be much else, such as virtual environments.
DIRECTORIES = ("twisted_ws", "twisted", "tests", "docs")
# twistd as pip writes it; the fresh environments borrow Twisted, so pip does not.
_TWISTD = """\
import sys
from twisted.scripts.twistd import run
sys.exit(run())
"""


def missingTools() -> str | None:
    """Say why nothing can be built here, if so."""
    if not (ROOT / "pyproject.toml").is_file():
        return "this is not a source tree: it has no pyproject.toml"
    if importlib.util.find_spec("pip") is None:
        return "pip is not installed for this Python"
    if importlib.util.find_spec("venv") is None:
        return "this Python cannot make virtual environments: it has no venv"
    return None


def run(
    command: Sequence[str | Path],
    directory: Path,
    environ: dict[str, str] | None = None,
) -> str:
    """Run a program.

    :param command: the program and its arguments
    :param directory: where it runs
    :param environ: what to add to the environment
    :returns: what it printed
    :raises AssertionError: it failed; with what it printed
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        # Nothing of ours may be found but through what was installed; and old versions
        # of pip warn of things that are not ours.
        if name not in ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env={**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
    )
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise AssertionError(f"{command} gave {done.returncode}:\n{output}")
    return output


@functools.cache
def workshop() -> Path:
    """Make a directory that goes away with the process."""
    directory = Path(tempfile.mkdtemp(prefix="twisted_ws-packaging-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@functools.cache
def sourceTree() -> Path:
    """Copy the source tree, and give it what a used checkout has lying about."""
    tree = workshop() / "tree"
    tree.mkdir()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, tree)
    for each in DIRECTORIES:
        shutil.copytree(
            ROOT / each, tree / each, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in (
        "twisted/plugins/dropin.cache",
        "twisted/plugins/__pycache__/twisted_ws_plugin.cpython-310.pyc",
        "tests/__pycache__/test_x.cpython-310.pyc",
        "docs/_build/index.html",
        "twistd.log",
        f"twisted_ws/{STALE}",
    ):
        path = tree / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"leftover")
    return tree


def missingCompiler() -> str | None:
    """Say why the accelerator cannot be built here, if so."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or ""
    if not compiler or shutil.which(compiler.split()[0]) is None:
        return "there is no C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are not installed"
    return None


@functools.cache
def buildBackend() -> dict[str, str]:
    """Have hatchling and setuptools at hand: those that are installed, else those of
    PyPI.

    :returns: what to add to the environment
    """
    if all(map(importlib.util.find_spec, ("hatchling", "setuptools"))):
        return {}
    target = workshop() / "hatchling"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "install"]
    # Few tries: without a network there is no use in more.
    quick = ["--quiet", "--retries", "1", "--timeout", "15"]
    try:
        wanted = ("hatchling>=1.27", "setuptools>=61")
        run([*pip, *quick, "--target", target, *wanted], workshop())
    except (AssertionError, subprocess.TimeoutExpired) as error:
        lastLine = str(error).strip().rpartition("\n")[2]
        raise SkipTest(
            f"what builds is not installed and cannot be fetched: {lastLine}"
        ) from None
    return {"PYTHONPATH": str(target)}


def build(target: str, directory: Path, environ: dict[str, str]) -> str:
    """Build a distribution.

    :param target: ``wheel`` or ``sdist``
    :param directory: where to
    :param environ: what to add to the environment
    :returns: what was printed
    """
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    return run(
        [*hatchling, "-t", target, "-d", directory],
        sourceTree(),
        {"TWISTED_WS_BUILD": "", **buildBackend(), **environ},
    )


@functools.cache
def built(target: str) -> Path:
    """Give a distribution, built as anybody would.

    :param target: ``wheel`` or ``sdist``
    """
    directory = workshop() / target
    build(target, directory, {})
    [found] = directory.iterdir()
    return found


def wheelNames() -> list[str]:
    """List the files of the wheel."""
    with zipfile.ZipFile(built("wheel")) as wheel:
        return wheel.namelist()


def metadata() -> Message:
    """Read the metadata of the wheel."""
    with zipfile.ZipFile(built("wheel")) as wheel:
        [name] = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        return Parser().parsestr(wheel.read(name).decode("utf-8"))


def sdistNames() -> list[str]:
    """List the files of the source distribution, without its top directory."""
    with tarfile.open(built("sdist")) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def borrowed() -> Iterator[Path]:
    """Give what is installed beside Twisted, without what is ours."""
    directories = dict.fromkeys(
        [
            Path(twisted.__file__).parent.parent,
            *(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")),
        ]
    )
    for directory in directories:
        for path in directory.iterdir():
            ours = "twisted_ws" in path.name
            if not ours and path.suffix != ".pth" and path.name != "__pycache__":
                yield path


class Environment:
    """A fresh virtual environment that has this one's Twisted, but not twisted_ws.

    Twisted is copied, not only found through the path, so that the plugin's file is
    installed into its package as it would be for a user.

    :param name: of its directory
    """

    def __init__(self, name: str) -> None:
        self._home = workshop() / name
        self._environ = dict(buildBackend())
        run([sys.executable, "-m", "venv", "--without-pip", self._home], workshop())
        self._python = self._home / "bin" / "python"
        self.packages = Path(
            run(
                [
                    self._python,
                    "-c",
                    "import sysconfig; print(sysconfig.get_path('purelib'), end='')",
                ],
                workshop(),
            )
        )
        for path in borrowed():
            copy = self.packages / path.name
            if copy.exists():
                continue
            if path.name == "twisted":
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns("test"))
                for cache in copy.glob("plugins/dropin.cache"):
                    cache.unlink()
                # An older twisted_ws may lie in Twisted's own directory.
                for plugin in copy.glob("plugins/twisted_ws_plugin.py"):
                    plugin.unlink()
            else:
                copy.symlink_to(path)
        # Not the source tree, where the plugin would be found anyway.
        self._elsewhere = workshop() / f"{name}-elsewhere"
        self._elsewhere.mkdir()
        self._twistd = self._home / "bin" / "twistd"
        self._twistd.write_text(_TWISTD, "utf-8")

    def pip(self, *arguments: str | Path) -> str:
        """Run pip; it has no network.

        :param arguments: the command line
        :returns: what it printed
        """
        command: list[str | Path] = [self._python, "-m", "pip", *arguments]
        return run(command, self._elsewhere, self._environ)

    def install(self, *what: str | Path, environ: dict[str, str]) -> None:
        """Install without dependencies, with the build backend that is here.

        :param what: pip's arguments
        :param environ: what to add to the environment
        """
        self._environ.update(environ)
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)

    def twistd(self, *arguments: str) -> str:
        """Run ``twistd`` in a directory without any files.

        :param arguments: the command line
        :returns: what it printed
        """
        return run(
            [self._python, self._twistd, *arguments],
            self._elsewhere,
            {"TWISTED_WS_PURE_PYTHON": ""},
        )


def commands(helpText: str) -> set[str]:
    """Read the commands off ``twistd --help``.

    :param helpText: what it printed
    """
    _, _, listed = helpText.partition("Commands:")
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


class WheelTests(SynchronousTestCase):
    """What is in the wheel."""

    skip = missingTools()

    def test_contents(self) -> None:
        """The wheel holds every module, the page, the mark that there are types, the
        plugin and the licence."""
        names = wheelNames()
        for path in sorted((ROOT / "twisted_ws").glob("*.*")):
            if path.suffix not in (".c", ".so", ".pyd"):
                self.assertIn(f"twisted_ws/{path.name}", names)
        for name in ("twisted_ws/demo.html", "twisted_ws/py.typed", PLUGIN):
            self.assertIn(name, names)
        licences = [name for name in names if name.endswith("licenses/LICENSE")]
        self.assertEqual(len(licences), 1, names)

    def test_nothingElse(self) -> None:
        """The wheel holds nothing of Twisted's own and nothing left over: an
        ``__init__.py`` would hide the real Twisted, a cache other plugins."""
        for name in wheelNames():
            top, _, rest = name.partition("/")
            if top == "twisted":
                self.assertEqual(name, PLUGIN)
            else:
                self.assertTrue(top == "twisted_ws" or top.endswith(".dist-info"), name)
            self.assertNotIn("__pycache__", rest)
            self.assertNotIn("leftover", rest)
            self.assertNotEqual(rest, STALE)

    def test_metadata(self) -> None:
        """The metadata name the dependencies without which nothing runs, the oldest
        Python and the licence; nothing else is installed unasked."""
        found = metadata()
        required = [
            each
            for each in found.get_all("Requires-Dist", [])
            if "extra ==" not in each
        ]
        self.assertEqual(
            sorted(each.partition(">=")[0] for each in required),
            ["pyopenssl", "service-identity", "twisted"],
        )
        self.assertEqual(found["Requires-Python"], ">=3.10")
        self.assertEqual(found["License-Expression"], "MIT")

    def test_description(self) -> None:
        """The README is what an index shows."""
        found = metadata()
        self.assertEqual(found["Description-Content-Type"], "text/markdown")
        payload = found.get_payload()
        readme = (ROOT / "README.md").read_text("utf-8")
        self.assertEqual(str(payload).strip(), readme.strip())


class AcceleratorTests(SynchronousTestCase):
    """Wheels with the accelerator, and without."""

    skip = missingTools()

    def wheel(self, environ: dict[str, str]) -> tuple[str, list[str], str]:
        """Build a wheel.

        :param environ: what to add to the environment
        :returns: its name, the native files in it, and what was printed
        """
        directory = Path(tempfile.mkdtemp(dir=workshop()))
        output = build("wheel", directory, environ)
        [found] = directory.iterdir()
        with zipfile.ZipFile(found) as wheel:
            names = wheel.namelist()
        native = [name for name in names if name.endswith((".so", ".pyd", ".c"))]
        return found.name, native, output

    def test_withCompiler(self) -> None:
        """With a compiler the wheel holds it, and says for which Python it is."""
        why = missingCompiler()
        if why is not None:
            raise SkipTest(why)
        name, native, output = self.wheel({"TWISTED_WS_BUILD": "require"})
        self.assertEqual(native, [NATIVE])
        self.assertNotIn(PURE, name)
        self.assertIn(f"cp{sys.version_info[0]}{sys.version_info[1]}-", name)
        self.assertNotIn("without its accelerator", output)

    def test_withoutCompiler(self) -> None:
        """Without one the wheel is for every Python, and one line says why."""
        name, native, output = self.wheel(NO_COMPILER)
        self.assertEqual(native, [])
        self.assertIn(PURE, name)
        [line] = [line for line in output.splitlines() if "accelerator" in line]
        self.assertIn("twisted_ws without its accelerator, in Python only: ", line)

    def test_leftOut(self) -> None:
        """It can be left out."""
        name, native, output = self.wheel({"TWISTED_WS_BUILD": "skip"})
        self.assertEqual(native, [])
        self.assertIn(PURE, name)
        self.assertIn("TWISTED_WS_BUILD is skip", output)

    def test_required(self) -> None:
        """Where it is required there is no wheel without it."""
        environ = {"TWISTED_WS_BUILD": "require", **NO_COMPILER}
        error = self.assertRaises(AssertionError, self.wheel, environ)
        self.assertIn("TWISTED_WS_BUILD is require, but ", str(error))

    def test_anotherWish(self) -> None:
        """Any other word is an error, so that a slip does not go unseen."""
        environ = {"TWISTED_WS_BUILD": "required"}
        error = self.assertRaises(AssertionError, self.wheel, environ)
        self.assertIn("'required', neither require nor skip", str(error))


class SdistTests(SynchronousTestCase):
    """What is in the source distribution."""

    skip = missingTools()

    def test_contents(self) -> None:
        """The source distribution also holds the tests, the documentation and what
        they need to run."""
        names = sdistNames()
        for name in (
            "LICENSE",
            "README.md",
            "pyproject.toml",
            "hatch_build.py",
            PLUGIN,
        ):
            self.assertIn(name, names)
        for directory, suffixes in (
            ("twisted_ws", {".py", ".pyi", ".c", ".html", ".typed"}),
            ("tests", {".py"}),
            ("docs", {".md", ".rst", ".py", ".conf", ".tac"}),
        ):
            wanted = {
                path.relative_to(ROOT).as_posix()
                for path in (ROOT / directory).rglob("*")
                if path.suffix in suffixes and "_build" not in path.parts
            }
            self.assertTrue(wanted, directory)
            self.assertEqual(wanted - set(names), set())

    def test_nothingElse(self) -> None:
        """The source distribution holds nothing that a used checkout has lying about,
        and no ``__init__.py`` in the place of Twisted's."""
        for name in sdistNames():
            self.assertNotIn("__pycache__", name)
            self.assertNotIn("_build/", name)
            self.assertFalse(name.endswith((".so", ".pyd")), name)
            self.assertNotIn(
                name.rpartition("/")[2], ("dropin.cache", "twistd.log"), name
            )
            if name.startswith("twisted/"):
                self.assertEqual(name, PLUGIN)


class InstallTests(SynchronousTestCase):
    """``twistd`` knows the plugin, however it was installed."""

    skip = missingTools()

    def checkInstall(
        self, name: str, *what: str | Path, environ: dict[str, str] | None = None
    ) -> None:
        """Install and look at the help texts; then uninstall.

        :param name: of the environment's directory
        :param what: pip's arguments
        :param environ: what to add to the environment; nothing has the accelerator
            built if that can be done
        """
        environment = Environment(name)
        before = environment.twistd("--help")
        self.assertNotIn("websocket", commands(before))
        self.assertIn("web", commands(before), before)
        environment.install(*what, environ={"TWISTED_WS_BUILD": "", **(environ or {})})
        self.assertIn("websocket", commands(environment.twistd("--help")))
        helpText = environment.twistd("websocket", "--help")
        for option in ("--port=", "--certificate=", "--max-message-size="):
            self.assertIn(option, helpText)
        accelerator = "none" if environ or missingCompiler() else "C"
        self.assertIn(
            f"(accelerator: {accelerator})",
            environment.twistd("websocket", "--version"),
        )
        environment.pip("uninstall", "--yes", "twisted_ws")
        after = environment.twistd("--help")
        self.assertEqual(commands(after), commands(before))
        left = list(environment.packages.rglob("*twisted_ws*"))
        self.assertEqual(left, [])

    def test_wheel(self) -> None:
        """Installed from the wheel, ``twistd`` lists ``websocket`` and shows its help;
        uninstalled, not a file is left."""
        self.checkInstall("venv-wheel", built("wheel"))

    def test_sdist(self) -> None:
        """The same from the source distribution."""
        self.checkInstall("venv-sdist", built("sdist"))

    def test_editable(self) -> None:
        """The same from an editable install, which Twisted sees because it is a plain
        path entry."""
        self.checkInstall("venv-editable", "--editable", sourceTree())

    def test_editableWithoutCompiler(self) -> None:
        """The same where there is no compiler; what was built before is not used, as
        the source may have changed."""
        (sourceTree() / NATIVE).touch()
        self.checkInstall(
            "venv-no-compiler", "--editable", sourceTree(), environ=NO_COMPILER
        )
        self.assertFalse((sourceTree() / NATIVE).exists())
