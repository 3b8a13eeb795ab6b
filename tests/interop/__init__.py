"""Conversations between twisted_ws and other implementations, on loopback.

Each implementation is driven by a program of its own, a child process, so that its
event loop and its warnings stay there: ``peers`` has them. All understand the same
commands and tell the same events, one a line (``lines``, ``side``); ``programs`` starts
them, and ``conversation`` has two of them talk and compares what they tell. The table
of all pairs is printed by ``python -m tests.interop``.
"""
