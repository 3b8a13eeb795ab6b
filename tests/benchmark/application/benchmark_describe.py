"""Tells what matters about a checkout of twisted_ws, as the programs of the other
servers do with ``--describe``."""

from __future__ import annotations

import argparse
import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["describe", "main"]


def describe(options: list[str]) -> dict[str, Any]:
    """Tell its versions, and which reactor there is.

    :param options: those that it will be started with
    :raises SystemExit: it does not have one of them
    """
    from twisted.internet import reactor
    from twisted.python.usage import UsageError

    import twisted_ws
    from twisted_ws import connection, tap

    parser: Any = tap.Options()
    try:
        parser.parseOptions(options)
    except UsageError as error:
        raise SystemExit(str(error)) from None
    root = Path(twisted_ws.__file__).parent.parent
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    core: Any = connection
    return {
        "versions": {
            "twisted_ws": twisted_ws.__version__,
            **{
                each: version(each) for each in ("twisted", "pyopenssl", "cryptography")
            },
        },
        "commit": found.stdout.strip() or "unknown",
        # That of the accelerator, if it is there and used.
        "decoder": core.FrameDecoder.__module__,
        "reactor": type(reactor).__name__,
    }


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[])
    print(json.dumps(describe(parser.parse_args().options)))


if __name__ == "__main__":
    main()
