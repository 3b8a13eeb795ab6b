"""Runs the Autobahn Testsuite against twisted_ws: ``python -m tests.autobahn``.

The Testsuite's ``wstest`` needs Python 2.7, so it lives in a virtualenv of its own and
is a child process here. Nothing in this package imports it.

``cases`` knows the numbering, ``wstest`` finds and installs the program, ``progress``
reads what it prints, ``processes`` starts and stops children, ``report`` reads and
counts results, ``running`` has what every mode needs. The modes, ``server`` and
``client``, put them together; ``echoclient`` is the program that the second tests.
``table`` makes the documentation's table of the results of both.
"""
