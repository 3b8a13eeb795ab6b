"""Finds the Testsuite's ``wstest`` program, and installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .errors import NotInstalled, RunFailed

#: What is installed; fixed, so that figures of different days can be compared.
REQUIREMENT = "autobahntestsuite==25.10.1"

# The last virtualenv that can make an environment for Python 2.7.
_VIRTUALENV = "virtualenv<20.22"

# Importing everything is slow when nothing is compiled yet.
_PROBE_TIMEOUT = 60.0
_INSTALL_TIMEOUT = 1800.0


def python2Environ(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for programs of another Python.

    :param environ: ours.
    :returns: ours without what points a Python at our modules. Output is not buffered,
        because somebody is following it.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "VIRTUAL_ENV")
    }
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


def cacheDirectory(environ: Mapping[str, str]) -> Path:
    """Where :func:`install` puts the virtualenv, and :func:`findWstest` looks for it.

    :param environ: names ``XDG_CACHE_HOME`` or ``HOME``.
    :returns: the virtualenv's directory, existing or not.
    """
    cache = environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else _home(environ) / ".cache"
    return base / "twisted_ws" / "wstest"


def findWstest(named: str | None, environ: Mapping[str, str]) -> Path:
    """Find a ``wstest`` that works.

    The first of these is taken: the one that is named, the one in the environment
    variable ``WSTEST``, those on ``PATH``, the one that :func:`install` made. A broken
    one on ``PATH``, such as the stand-in of a Python that is not active, is passed by.

    :param named: a path, or ``None``.
    :param environ: where ``WSTEST``, ``PATH`` and the cache directory are looked up.
    :returns: the absolute path of the program.
    :raises RunFailed: if one was asked for by its path and does not work.
    :raises NotInstalled: if none is found.
    """
    for source, path in (("--wstest", named), ("WSTEST", environ.get("WSTEST"))):
        if path:
            if not _works(Path(path), environ):
                raise RunFailed(f"{source}: {path} is not a working wstest")
            return Path(path).absolute()
    for candidate in (
        *_onPath("wstest", environ),
        cacheDirectory(environ) / "bin" / "wstest",
    ):
        if _works(candidate, environ):
            return candidate.absolute()
    raise NotInstalled(
        "skipped: the Autobahn Testsuite's wstest was not found; "
        "install it with: python -m tests.autobahn install"
    )


def findPython2(named: str | None, environ: Mapping[str, str]) -> Path:
    """Find a Python 2.7.

    :param named: a path, or ``None`` to look on ``PATH`` and among pyenv's versions.
    :param environ: where ``PATH``, ``PYENV_ROOT`` and ``HOME`` are looked up.
    :returns: the path of the interpreter.
    :raises RunFailed: if one was asked for by its path and is no Python 2.7.
    :raises NotInstalled: if none is found.
    """
    if named:
        if not _isPython2(Path(named), environ):
            raise RunFailed(f"--python: {named} is not a working Python 2.7")
        return Path(named)
    pyenv = Path(environ.get("PYENV_ROOT") or _home(environ) / ".pyenv")
    for candidate in (
        *_onPath("python2.7", environ),
        *sorted(pyenv.glob("versions/2.7*/bin/python")),
    ):
        if _isPython2(candidate, environ):
            return candidate
    raise NotInstalled(
        "skipped: the Autobahn Testsuite needs Python 2.7 and none was found; "
        "name one with --python PATH, or let pyenv install one: pyenv install 2.7.18"
    )


def install(
    named: str | None, environ: Mapping[str, str], say: Callable[[str], None]
) -> Path:
    """Make a virtualenv with ``wstest`` in the cache directory.

    The Python 2.7 that is used for it stays as it was.

    :param named: the path of a Python 2.7, or ``None`` to look for one.
    :param environ: where things are looked up; also the children's environment.
    :param say: called with a line before each step.
    :returns: the path of the program. One that is there already is left alone.
    :raises RunFailed: if a step fails.
    :raises NotInstalled: if there is no Python 2.7.
    """
    target = cacheDirectory(environ)
    program = target / "bin" / "wstest"
    if _works(program, environ):
        say("it is installed already")
        return program
    python = findPython2(named, environ)
    clean = python2Environ(environ)
    try:
        with tempfile.TemporaryDirectory(prefix="twisted_ws-") as directory:
            if _answer([str(python), "-m", "virtualenv", "--version"], clean) is None:
                say(f"fetching virtualenv for {python}")
                # Beside the user's Python, not into it.
                pip = [str(python), "-m", "pip", "install", "--quiet"]
                _step([*pip, "--target", directory, _VIRTUALENV], clean)
                helper = {**clean, "PYTHONPATH": directory}
            else:
                helper = clean
            say(f"making a virtualenv in {target}")
            _step([str(python), "-m", "virtualenv", "--clear", str(target)], helper)
        say(f"installing {REQUIREMENT}, which takes a minute or more")
        pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _step([*pip, REQUIREMENT], clean)
        if not _works(program, environ):
            raise RunFailed(f"{program} was installed and does not work")
    except BaseException:
        # Half a virtualenv is of no use to anybody.
        shutil.rmtree(target, ignore_errors=True)
        raise
    return program


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _onPath(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for directory in environ.get("PATH", "").split(os.pathsep):
        found = shutil.which(name, path=directory)
        if found:
            yield Path(found)


def _works(program: Path, environ: Mapping[str, str]) -> bool:
    if not program.is_file():
        return False
    answer = _answer([str(program), "--autobahnversion"], python2Environ(environ))
    return answer is not None and re.search("testsuite", answer, re.I) is not None


def _isPython2(program: Path, environ: Mapping[str, str]) -> bool:
    script = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    return _answer([str(program), "-c", script], python2Environ(environ)) == "2.7"


def _answer(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """What a command prints, or ``None`` if it fails in any way."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=_PROBE_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _step(command: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            timeout=_INSTALL_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunFailed(str(error)) from error
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").splitlines()[-15:]
        raise RunFailed(
            f"{' '.join(command)} failed with status {done.returncode}:"
            + "".join(f"\n    {line}" for line in lines)
        )
