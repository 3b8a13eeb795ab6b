"""The servers to compare with, each a program of its own.

``python -m tests.benchmark.servers.NAME --port PORT`` runs one; each does what the
documentation of its library recommends. Every file is one that a reader of that library
would write, with its defaults but for what the options below ask for.
"""
