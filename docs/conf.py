"""Sphinx's configuration. Nothing here needs the network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import twisted_ws  # noqa: E402
from docs.tables import TABLES, testsOf  # noqa: E402

project = "twisted_ws"
author = "the twisted_ws authors"
version = release = twisted_ws.__version__
needs_sphinx = "8.0"

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples"]
default_role = "code"
# They would make one dash of the two before an option.
smartquotes = False
nitpicky = True
# What is not ours has no page to point to, as other projects' are not fetched.
# What is private has none either.
nitpick_ignore_regex = [
    (r"py:.*", r"twisted_ws\.\w+\._\w+"),
    (r"py:.*", r"(?!twisted_ws\b).*"),
    (r"py:.*", r"twisted_ws\.(connection|events|deciding|server|timers|protocol)\..*"),
    # Documented as parts of twisted_ws.testing, where they are imported from.
    (r"py:.*", r"twisted_ws\.(memory|recorder|peerbytes|adversary|attacks)\..*"),
]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"twisted_ws {release}"
html_show_sourcelink = False
html_copy_source = False
templates_path: list[str] = []


class Generated(SphinxDirective):
    """A piece of documentation that ``tables.py`` takes from the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Give its nodes."""
        text = "\n".join(TABLES[self.arguments[0]]())
        return self.parse_text_to_nodes(text)


def tests(
    name: str,
    rawText: str,
    text: str,
    line: int,
    inliner: Any,
    options: Any = None,
    content: Sequence[str] = (),
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Give the names of the tests for a row of the threat model."""
    found: list[nodes.Node] = []
    for each in testsOf(text):
        found += [nodes.literal(each, each), nodes.Text(", ")]
    return found[:-1], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Add to Sphinx what these pages use."""
    app.add_directive("generated", Generated)
    app.add_role("tests", tests)
    return {"parallel_read_safe": True}
