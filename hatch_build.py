"""Builds ``twisted_ws/_speedups.c`` into the wheel, or into the tree for an editable
install; without a compiler both come without it, and work.

A variable of the environment says otherwise: with ``TWISTED_WS_BUILD=require`` it is an
error that it cannot be built, ``TWISTED_WS_BUILD=skip`` leaves it out.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "TWISTED_WS_BUILD"
MODULE = "twisted_ws._speedups"
SOURCE = "twisted_ws/_speedups.c"
# As Python itself is mostly built; masking needs it to become vector instructions.
FLAGS = [] if os.name == "nt" else ["-O3"]


class CannotBuild(Exception):
    """There will be no extension.

    :param why: the reason, in a few words
    """


def compileModule(root: Path, directory: Path) -> Path:
    """Compile the extension.

    :param root: the source tree
    :param directory: an empty one
    :returns: the file to import
    :raises CannotBuild: it cannot be compiled here
    """
    if sys.implementation.name != "cpython":
        raise CannotBuild(f"{sys.implementation.name} is faster without it")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CannotBuild("it would switch the GIL on for the whole process")
    try:
        from setuptools import Distribution, Extension, errors
        from setuptools.command.build_ext import build_ext
    except ImportError:
        raise CannotBuild("setuptools is not installed") from None
    extension = Extension(MODULE, [str(root / SOURCE)], extra_compile_args=FLAGS)
    command = build_ext(Distribution({"ext_modules": [extension]}))
    command.build_lib = str(directory / "lib")
    command.build_temp = str(directory / "temp")
    try:
        command.ensure_finalized()
        command.run()
    except (errors.BaseError, errors.CCompilerError, OSError) as error:
        raise CannotBuild(" ".join(str(error).split())) from None
    return Path(command.get_ext_fullpath(MODULE))


class SpeedupsHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it before the wheel is put together.

        :param version: ``editable`` or ``standard``
        :param build_data: what becomes of the wheel
        """
        if self.target_name != "wheel":
            return
        wish = os.environ.get(VARIABLE, "")
        if wish not in ("", "require", "skip"):
            raise ValueError(f"{VARIABLE} is {wish!r}, neither require nor skip")
        root = Path(self.root)
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        name = f"{MODULE.replace('.', '/')}{suffix}"
        isEditable = version == "editable"
        if isEditable:
            # One of an older source is worse than none.
            (root / name).unlink(missing_ok=True)
        self._directory = Path(tempfile.mkdtemp(prefix="twisted_ws-build-"))
        try:
            if wish == "skip":
                raise CannotBuild(f"{VARIABLE} is skip")
            built = compileModule(root, self._directory)
        except CannotBuild as error:
            if wish == "require":
                raise RuntimeError(f"{VARIABLE} is require, but {error}") from None
            self.app.display_warning(
                f"twisted_ws without its accelerator, in Python only: {error}"
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if isEditable:
            shutil.copy2(built, root / name)
        else:
            build_data["force_include"][str(built)] = name

    def finalize(
        self, version: str, build_data: dict[str, Any], artifact_path: str
    ) -> None:
        """Clean up.

        :param version: as before
        :param build_data: as before
        :param artifact_path: the wheel
        """
        if self.target_name == "wheel":
            shutil.rmtree(self._directory, ignore_errors=True)
