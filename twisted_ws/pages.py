"""What the server answers to browsers that ask for a page: the demo page, or files.

Served by twisted.web, behind the strict head parser of :mod:`twisted_ws.server`.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html import escape
from importlib.resources import files

from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from twisted.web.static import File

__all__ = ["DemoPage", "StaticFiles", "demoSite", "fileSite"]

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def _sourceHash(pattern: re.Pattern[str], page: str) -> str:
    """Give the hash by which a policy allows an inline element (CSP level 3)."""
    found = pattern.findall(page)
    digest = hashlib.sha256(found[0].encode("utf-8")).digest()
    return f"'sha256-{b64encode(digest).decode('ascii')}'"


class DemoPage(Resource):
    """The demo page, at ``/`` only.

    :param path: where the server's WebSocket is
    """

    def __init__(self, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        page = files("twisted_ws").joinpath("demo.html").read_text("utf-8")
        self._script = _sourceHash(_SCRIPT, page)
        self._style = _sourceHash(_STYLE, page)
        self._page = page.replace("{{path}}", escape(path)).encode("utf-8")
        self.putChild(b"", self)

    def render_GET(self, request: Request) -> bytes:
        """Give the page.

        :param request: of twisted.web
        """
        # Some browsers still do not take ws: and wss: for 'self'. The host is safe to
        # repeat: the head parser lets through nothing but a host name and a port.
        host = (request.getHeader("host") or "localhost").strip()
        policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {self._script}",
                f"style-src {self._style}",
                f"connect-src 'self' ws://{host} wss://{host}",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
        ):
            request.setHeader(name, value)
        return self._page


class StaticFiles(File):
    """Files of a directory, without listings and without hidden files."""

    childNotFound: IResource = notFound()  # type: ignore[assignment]

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Find a file.

        :param path: one segment of the path
        :param request: of twisted.web
        """
        if path.startswith(b"."):
            return self.childNotFound
        child: IResource = super().getChild(path, request)  # type: ignore[no-untyped-call]
        return child

    def directoryListing(self) -> IResource:
        """Show no listing: which files there are is not for everyone."""
        return self.childNotFound

    def render_GET(self, request: Request) -> bytes | int:
        """Give a file.

        :param request: of twisted.web
        """
        request.setHeader("X-Content-Type-Options", "nosniff")
        answer: bytes | int = super().render_GET(request)  # type: ignore[no-untyped-call]
        return answer


def demoSite(path: str) -> Site:
    """Make a site of the demo page.

    :param path: where the server's WebSocket is
    """
    return Site(DemoPage(path))


def fileSite(directory: str) -> Site:
    """Make a site of a directory's files.

    :param directory: its path
    """
    return Site(StaticFiles(directory))
