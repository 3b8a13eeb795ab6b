"""The clients to compare, each a program of its own.

``python -m tests.benchmark.clients.NAME --port PORT`` runs one: it connects, sends some
messages, and sends back whatever comes, as the load does to servers.
"""
