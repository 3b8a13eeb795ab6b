"""The command line: ``python -m tests.benchmark``."""

import sys

from .arguments import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
