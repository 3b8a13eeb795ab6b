"""``python -m twisted_ws``: see :mod:`twisted_ws.cli`."""

from .cli import main

if __name__ == "__main__":
    main()
