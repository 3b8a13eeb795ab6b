"""``python -m twisted_ws``: runs the client for the terminal."""

from .cli import main

if __name__ == "__main__":
    main()
