"""The benchmark: twisted_ws beside other WebSocket servers, ``python -m
tests.benchmark``.

Each server is a process on one core, and the load comes from another. All servers are
visited in turn in each round. What is compared is the processor time that a server
takes for a message.
"""
