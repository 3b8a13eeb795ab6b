"""The accelerator under the sanitizers for addresses and undefined behaviour::

    python -m tests.sanitize

Compiles it with them, into a directory that goes away, and in an interpreter that has
their library loaded runs its tests, many more drawn streams than those, and everything
with each allocation failing in turn. What it does wrong ends that interpreter with a
report. Everything drawn is the same each time; it takes a minute.

The exit status is 0 if all is well, and 77 if there is no compiler with sanitizers.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "twisted_ws" / "_speedups.c"
MODULE = "twisted_ws._speedups"
SKIPPED = 77
TIMEOUT = 600.0
STREAMS = 1500
CUT_STREAMS = 40
MOST_ALLOCATIONS = 400

_FLAGS = (
    *("-std=c11", "-O1", "-g", "-fno-omit-frame-pointer", "-fPIC", "-shared"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-UNDEBUG"),
    *("-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror"),
    # Each of Python's own functions has one argument more than some of ours use.
    "-Wno-cast-function-type",
)
_ENVIRONMENT = {
    # Python's own pools would hide where an object ends.
    "PYTHONMALLOC": "malloc",
    # Python itself leaves much behind; tests.test_speedups counts what ours does.
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    # The one that is built in the tree stays out.
    "TWISTED_WS_PURE_PYTHON": "1",
}
_TESTS = (
    "tests.test_speedups",
    "tests.test_frames.NativeFrameTests",
    "tests.test_frames.NativeEncodeTests",
)


# Outside


def compileModule(directory: Path) -> tuple[Path, Path]:
    """Compile the extension with sanitizers.

    :param directory: where to
    :returns: the extension, and the library to be loaded first
    :raises FileNotFoundError: there is no compiler for that
    :raises subprocess.CalledProcessError: it does not compile
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "")
    if not compiler or shutil.which(compiler[0]) is None:
        raise FileNotFoundError("there is no C compiler")
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").is_file():
        raise FileNotFoundError("Python's headers are not installed")
    asked = [compiler[0], "-print-file-name=libasan.so"]
    library = Path(subprocess.check_output(asked, text=True).strip())
    if not library.is_absolute():
        raise FileNotFoundError(f"{compiler[0]} has no library libasan.so")
    target = directory / f"_speedups{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        [compiler[0], *_FLAGS, "-isystem", include, str(SOURCE), "-o", str(target)],
        check=True,
    )
    return target, library


def main() -> int:
    """Compile it, and run all in another interpreter.

    :returns: the exit status
    """
    with tempfile.TemporaryDirectory(prefix="twisted_ws-sanitize-") as name:
        try:
            module, library = compileModule(Path(name))
        except FileNotFoundError as error:
            print(f"{error}: the accelerator is not tried with sanitizers")
            return SKIPPED
        environ = {**os.environ, **_ENVIRONMENT, "LD_PRELOAD": str(library)}
        command = [sys.executable, "-m", "tests.sanitize", "--inside", str(module)]
        done = subprocess.run(
            command, cwd=ROOT, env=environ, timeout=TIMEOUT, check=False
        )
    return 1 if done.returncode else 0


# Inside


def load(path: str) -> Any:
    """Load the extension from a file, so that whoever imports it gets that one."""
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[MODULE] = module
    vars(importlib.import_module("twisted_ws"))["_speedups"] = module
    return module


def checkStreams(native: Any) -> None:
    """Hold it against its twin: streams drawn from many seeds, and some cut at every
    place."""
    from tests.twins import Twins, checkRandomly, drawStream

    for seed in range(STREAMS):
        checkRandomly(native, seed)
    for seed in range(CUT_STREAMS):
        draw = random.Random(seed)
        masked = seed % 3 > 0
        stream = drawStream(draw, masked)[:600]
        for place in range(len(stream)):
            twins = Twins(native, masked)
            twins.feed(stream[:place])
            other = twins.fork()
            twins.feedMessages(stream[place:], 1000)
            other.feed(stream[place:])


def checkAllocations(native: Any) -> int:
    """Have each allocation fail in turn: what comes out is MemoryError, or what comes
    out otherwise.

    :returns: how many failed
    """
    try:
        _testcapi = importlib.import_module("_testcapi")
    except ImportError:
        return 0
    from tests.twins import KEY, drawFrame
    from twisted_ws.frames import encodeFrame

    draw = random.Random(0)
    # None with a bad first byte: Python code explains that, and some versions of Python
    # do not survive it when memory is short there.
    streams = [
        b"".join(drawFrame(draw, True) for _ in range(5))[:3000] for _ in range(30)
    ]
    streams += [
        b"\x81\x00",
        b"\x89\xfe",
        b"\x81\x85" + KEY + b"hello" + b"\x82\xfe\x00\x01",
        encodeFrame(0x81, b"a", KEY) * 1030,
        encodeFrame(0x81, b"\xff" * 10, KEY) + encodeFrame(0x82, bytes(5000), KEY),
    ]

    def useDecoder(stream: bytes) -> object:
        decoder = native.FrameDecoder(True)
        half = len(stream) // 2
        found = [decoder.feedMessages(stream[:half], 2000), decoder.partial]
        other = decoder.fork()
        found += [decoder.feed(stream[half:]), decoder.feed(b""), str(decoder.error)]
        found += [other.feedMessages(stream[half:], 2000), other.pending]
        return found

    def useFunctions(data: bytes) -> object:
        text = str(data, "latin-1")
        return (
            native.mask(data, KEY),
            native.encodeFrame(0x82, data, KEY),
            native.encodeFrame(0x81, text, KEY),
        )

    failed = 0
    uses: tuple[Callable[[bytes], object], ...] = (useDecoder, useFunctions)
    for use in uses:
        for stream in streams:
            expected = use(stream)
            for number in range(MOST_ALLOCATIONS):
                _testcapi.set_nomemory(number, number + 1)
                try:
                    found = use(stream)
                except MemoryError:
                    failed += 1
                    continue
                finally:
                    _testcapi.remove_mem_hooks()
                if found != expected:
                    raise AssertionError(f"allocation {number} failed unseen")
                # Behind the last one nothing fails any more.
                break
    return failed


def inside(path: str) -> int:
    """Run all of it.

    :param path: the extension
    :returns: the exit status
    """
    native = load(path)
    checkStreams(native)
    print(f"{STREAMS + CUT_STREAMS} streams")
    suite = unittest.TestLoader().loadTestsFromNames(_TESTS)
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    # None may be skipped but one that is not for every version of Python.
    if not result.wasSuccessful() or len(result.skipped) > 1 or not result.testsRun:
        return 1
    # Last, as it may leave Python itself the worse for it.
    print(f"{checkAllocations(native)} allocations that fail")
    print("nothing was found")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.sanitize",
        description="Run the accelerator under sanitizers.",
    )
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    chosen = parser.parse_args().inside
    sys.exit(main() if chosen is None else inside(chosen))
