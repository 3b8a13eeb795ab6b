"""What the server answers to browsers that ask for a page: the demo page, or files.

Served by twisted.web, behind the strict head parser of :mod:`twisted_ws.server`.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from base64 import b64encode
from html import escape
from importlib.resources import files

from .origins import parseAuthority
from .redaction import withoutQuery

with warnings.catch_warnings():
    # Importing these calls what Twisted, or Python, has deprecated; where warnings are
    # errors that would be the end of it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.pages import notFound
    from twisted.web.resource import IResource, Resource
    from twisted.web.server import Request, Site
    from twisted.web.static import File

__all__ = ["DemoPage", "StaticFiles", "demoSite", "fileSite"]

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_ONE_RANGE = re.compile(rb"bytes=[0-9]{1,18}-[0-9]{0,18}")


class PageRequest(Request):
    """A request for a page; twisted.web's own, but for what it says of itself."""

    def __repr__(self) -> str:
        # It ends up in logs, and a query may hold a token.
        method = self.method.decode("latin-1")
        return f"<{method} {withoutQuery(self.uri.decode('latin-1'))}>"


def _sourceHash(pattern: re.Pattern[str], page: str) -> str:
    """Give the hash by which a policy allows an inline element (CSP level 3)."""
    found = pattern.findall(page)
    digest = hashlib.sha256(found[0].encode("utf-8")).digest()
    return f"'sha256-{b64encode(digest).decode('ascii')}'"


def _safeHost(value: bytes) -> str:
    """Give a Host header if it is one, and so cannot add to a policy. The server looks
    at it before, but HTTP/1.0 may say anything there."""
    text = value.decode("latin-1")
    try:
        parseAuthority(text)
    except ValueError:
        return "localhost"
    return text


def _notFound() -> IResource:
    page: IResource = notFound()
    return page


class DemoPage(Resource):
    """The demo page, at ``/`` only.

    :param path: where the server's WebSocket is
    :param echoes: whether it is known to echo: only then does the page send probes for
        round-trip times without being asked to
    """

    def __init__(self, path: str, echoes: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        page = files("twisted_ws").joinpath("demo.html").read_text("utf-8")
        self._script = _sourceHash(_SCRIPT, page)
        self._style = _sourceHash(_STYLE, page)
        page = page.replace("{{echoes}}", "yes" if echoes else "no")
        page = page.replace("{{path}}", escape(path))
        self._page = page.encode("utf-8")
        self.putChild(b"", self)

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Find nothing: there is this one page.

        :param path: one segment of the path
        :param request: of twisted.web
        """
        return _notFound()

    def render_HEAD(self, request: Request) -> bytes:
        """Give the page's headers; twisted.web logs a warning when a body comes along.

        :param request: of twisted.web
        """
        request.setHeader("Content-Length", str(len(self.render_GET(request))))
        return b""

    def render_GET(self, request: Request) -> bytes:
        """Give the page.

        :param request: of twisted.web
        """
        # Some browsers still do not take ws: and wss: for 'self'.
        host = _safeHost(request.getHeader(b"host") or b"")
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

    childNotFound: IResource = _notFound()  # type: ignore[assignment]

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Find a file.

        :param path: one segment of the path
        :param request: of twisted.web
        """
        # twisted.web logs an error for what is not UTF-8, and raises one for NUL.
        if path.startswith(b".") or b"\0" in path or not _isUTF8(path):
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
        # One range is for a download that goes on where it broke off. Hundreds in one
        # request would have a file sent hundreds of times; a server may ignore them
        # (RFC 9110 section 14.2).
        if _ONE_RANGE.fullmatch(request.getHeader(b"range") or b"") is None:
            request.requestHeaders.removeHeader("range")
        answer: bytes | int = super().render_GET(request)  # type: ignore[no-untyped-call]
        return answer


def _isUTF8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _makeSite(root: IResource) -> Site:
    return Site(root, requestFactory=PageRequest)


def demoSite(path: str, echoes: bool = True) -> Site:
    """Make a site of the demo page.

    :param path: where the server's WebSocket is
    :param echoes: as for :class:`DemoPage`
    """
    return _makeSite(DemoPage(path, echoes))


def fileSite(directory: str) -> Site:
    """Make a site of a directory's files.

    :param directory: its path
    """
    return _makeSite(StaticFiles(directory))
