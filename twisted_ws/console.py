"""A terminal where a line can be typed while messages come in, or pipes in its place.

What there is for that does not do. readline cannot be asked for one key at a time, so
it would take a thread, and nothing may be written while a line is typed; the editor of
``twisted.conch`` takes each byte of UTF-8 for a character, and clears the screen. So
keys are read by :mod:`twisted.conch.insults`, the line is a
:class:`twisted_ws.lineedit.LineEditor`, and after whatever happens its row is drawn
anew.
"""

from __future__ import annotations

import codecs
import os
import termios
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.conch.insults.insults import ServerProtocol, TerminalProtocol
from twisted.internet.defer import Deferred

from .interfaces import HookResult, asDeferred
from .lineedit import LineEditor
from .stdio import Input, LineSplitter, Output, Streams, writeNow

__all__ = ["Console", "RawMode"]

_PROMPT = "> "
_COLOURS = {"in": "\x1b[36m", "out": "\x1b[32m", "notice": "\x1b[33m"}

# Its keys are set behind the class.
_keys: Any = ServerProtocol


class RawMode:
    """A terminal's mode in which each key is read as it is pressed and nothing is
    echoed. Ctrl-C and the like make signals as ever.

    :param descriptor: the terminal
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def enter(self) -> None:
        """Switch to it."""
        found: list[Any] = termios.tcgetattr(self._descriptor)
        if self._before is None:
            self._before = found
        changed = [*found[:6], list(found[6])]
        changed[0] &= ~termios.IXON
        changed[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
        self._set(changed)

    def leave(self) -> None:
        """Switch back to the mode that it had."""
        if self._before is not None:
            self._set(self._before)

    def _set(self, attributes: list[Any]) -> None:
        try:
            # Not TCSADRAIN, which waits for output that perhaps nobody takes.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
        except termios.error:
            # It is gone.
            return


class _Keyboard(TerminalProtocol):
    """Has the line edited as keys are pressed.

    :param line: the line
    :param entered: called with each line
    :param ended: called for Ctrl-D on an empty line
    :param cleared: called when the screen is to be cleared
    """

    _KEYS: ClassVar[Mapping[bytes, str]] = {
        b"\x01": "home",
        b"\x02": "left",
        b"\x05": "end",
        b"\x06": "right",
        b"\x08": "backspace",
        b"\x0b": "killToEnd",
        b"\x0e": "next",
        b"\x10": "previous",
        b"\x14": "transpose",
        b"\x15": "killToStart",
        b"\x17": "killWord",
        b"\x19": "yank",
        b"\x7f": "backspace",
        _keys.DELETE: "delete",
        _keys.DOWN_ARROW: "next",
        _keys.END: "end",
        _keys.HOME: "home",
        _keys.LEFT_ARROW: "left",
        _keys.RIGHT_ARROW: "right",
        _keys.UP_ARROW: "previous",
    }
    _ALT: ClassVar[Mapping[bytes, str]] = {
        b"b": "wordLeft",
        b"f": "wordRight",
        b"\x7f": "killWord",
    }
    # What insults does not know: keys in application mode, keys with Ctrl or Alt, the
    # ends of a line on other terminals.
    _SEQUENCES: ClassVar[Mapping[bytes, str]] = {
        b"\x1b[OA": "previous",
        b"\x1b[OB": "next",
        b"\x1b[OC": "right",
        b"\x1b[OD": "left",
        b"\x1b[OF": "end",
        b"\x1b[OH": "home",
        b"\x1b[1;3C": "wordRight",
        b"\x1b[1;3D": "wordLeft",
        b"\x1b[1;5C": "wordRight",
        b"\x1b[1;5D": "wordLeft",
        b"\x1b[7~": "home",
        b"\x1b[8~": "end",
    }

    def __init__(
        self,
        line: LineEditor,
        entered: Callable[[str], object],
        ended: Callable[[], object],
        cleared: Callable[[], object],
    ) -> None:
        self._line = line
        self._entered = entered
        self._ended = ended
        self._cleared = cleared
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def keystrokeReceived(self, keyID: bytes, modifier: bytes | None) -> None:
        """A key was pressed.

        :param keyID: a byte, or the name of a key
        :param modifier: whether Alt was pressed too
        """
        if modifier is not None:
            self._do(self._ALT.get(keyID))
        elif keyID in self._KEYS:
            self._do(self._KEYS[keyID])
        elif keyID in (b"\r", b"\n"):
            self._entered(self._line.take())
        elif keyID == b"\x04":
            if self._line.text:
                self._line.delete()
            else:
                self._ended()
        elif keyID == b"\x0c":
            self._cleared()
        elif len(keyID) == 1 and (keyID >= b" " or keyID == b"\t"):
            self._line.insert(self._decoder.decode(keyID))

    def unhandledControlSequence(self, seq: bytes) -> None:
        """A key was pressed that insults does not know.

        :param seq: what the terminal sent
        """
        self._do(self._SEQUENCES.get(seq))

    def _do(self, name: str | None) -> None:
        if name is not None:
            getattr(self._line, name)()


class Console:
    """The standard streams of a program that has a conversation.

    Where standard input and output are one terminal, a line is edited at its bottom and
    what is said stands above. Otherwise lines are read as they come.

    :param reactor: the reactor
    :param streams: which they are
    :param entered: called with each line, and waited for
    :param ended: called at the end of the input
    :param broken: as for :class:`Output`
    :param whole: whether the input is one message
    :param environment: the variables ``TERM`` and ``NO_COLOR``
    """

    def __init__(
        self,
        reactor: Any,
        streams: Streams,
        entered: Callable[[bytes], HookResult],
        ended: Callable[[], object],
        broken: Callable[[OSError | None], object],
        whole: bool,
        environment: Mapping[str, str],
    ) -> None:
        self._streams = streams
        self._entered = entered
        self._ended = ended
        self.isTooLong = False
        """Whether the input ended with a line that is too long to be taken."""
        self.isTyped = os.isatty(streams.stdin)
        """Whether somebody types the lines."""
        self.isSeen = os.isatty(streams.stdout)
        """Whether somebody reads what comes, on a terminal."""
        obeys = environment.get("TERM", "dumb") != "dumb"
        self.isEdited = self.isTyped and self.isSeen and obeys
        """Whether there is a line that is edited."""
        self._coloured = self.isSeen and obeys and not environment.get("NO_COLOR")
        self._output = Output(reactor, streams.stdout, broken)
        self._splitter = LineSplitter(whole)
        self._lines: deque[bytes] = deque()
        self._waiting = False
        self._atEnd = False
        self._stopped = False
        self._line = LineEditor()
        self._mode: RawMode | None = None
        self._begun = False
        if self.isEdited:
            self._mode = RawMode(streams.stdin)
            self._keys = ServerProtocol(
                _Keyboard, self._line, self._enter, self._end, self._clear
            )
            self._keys.makeConnection(self._output)
        received = self._pressed if self.isEdited else self._received
        self._input = Input(reactor, streams.stdin, received, self._end)

    # What comes in

    def begin(self) -> None:
        """Begin to read."""
        self._begun = True
        if self._mode is not None:
            self._mode.enter()
            self._draw()
        self._input.startReading()  # type: ignore[no-untyped-call]

    def _pressed(self, data: bytes) -> None:
        self._keys.dataReceived(data)
        self._draw()

    def _enter(self, line: str) -> None:
        self._take([line.encode()])

    def _received(self, data: bytes) -> None:
        self._take(self._splitter.feed(data))
        if self._splitter.isTooLong:
            self._splitter.clear()
            self.isTooLong = True
            self._input.stop()
            self._end()

    def _end(self) -> None:
        if not self._atEnd:
            self._atEnd = True
            self._take(self._splitter.end())

    def _take(self, lines: list[bytes]) -> None:
        self._lines += lines
        self._goOn()

    def _goOn(self, _: object = None) -> None:
        """Hand over lines, until one has to be waited for."""
        while self._lines and not self._waiting and not self._stopped:
            result = self._entered(self._lines.popleft())
            if result is not None:
                self._waiting = True
                self._input.pauseProducing()  # type: ignore[no-untyped-call]
                asDeferred(result).addBoth(self._done)
        if self._atEnd and not self._lines and not self._waiting and not self._stopped:
            self._stopped = True
            self._ended()

    def _done(self, _: object) -> None:
        self._waiting = False
        if not self._stopped:
            self._input.resumeProducing()  # type: ignore[no-untyped-call]
        self._goOn()

    def stopReading(self) -> None:
        """Take no more lines."""
        self._stopped = True
        self._input.stop()

    # What goes out

    def say(self, lines: list[str], kind: str) -> Deferred[None] | None:
        """Write lines where somebody reads them.

        :param lines: text that a terminal may get
        :param kind: ``in``, ``out`` or ``notice``
        :returns: what to wait for before more is said, None if there is room
        """
        isAbove = self._begun and self.isEdited
        isElsewhere = kind == "notice" and not isAbove
        text = "\n".join(lines)
        if self._coloured and not (isElsewhere and not os.isatty(self._streams.stderr)):
            text = f"{_COLOURS[kind]}{text}\x1b[m"
        text += "\n"
        if isElsewhere:
            writeNow(self._streams.stderr, text.encode())
            return None
        if isAbove:
            text = f"\r\x1b[J{text}{self._row()}"
        return self.put(text.encode())

    def put(self, data: bytes) -> Deferred[None] | None:
        """Write bytes for a program to read.

        :param data: any
        :returns: as :meth:`say`
        """
        self._output.write(data)
        return self._output.whenRoom()

    def size(self) -> tuple[int, int]:
        """Give columns and rows of the terminal."""
        try:
            columns, rows = os.get_terminal_size(self._streams.stdout)
        except OSError:
            columns = rows = 0
        return columns or 80, rows or 24

    def _row(self) -> str:
        """Write the row of the line that is edited, and put the cursor where it is."""
        # The last column stays free: written to, terminals differ in where they are.
        columns = max(self.size()[0] - len(_PROMPT) - 1, 1)
        shown, column = self._line.view(columns)
        return f"{_PROMPT}{shown}\r\x1b[{len(_PROMPT) + column}C"

    def _draw(self) -> None:
        if not self._stopped:
            self._output.write(f"\r\x1b[J{self._row()}".encode())

    def _clear(self) -> None:
        self._output.write(b"\x1b[H\x1b[2J")

    # Signals

    def suspend(self) -> None:
        """Give the terminal back for a while."""
        if self._mode is not None and self._begun:
            self._mode.leave()

    def resume(self) -> None:
        """Take the terminal again."""
        if self._mode is not None and self._begun:
            self._mode.enter()
            self._draw()

    def redraw(self) -> None:
        """The terminal has another size."""
        if self._mode is not None and self._begun:
            self._draw()

    # The end

    def finish(self, last: list[str]) -> Deferred[None]:
        """Read no more, give the terminal back, and write what is left.

        :param last: lines to say at the very end
        :returns: fires when that is done
        """
        self.stopReading()
        if self._begun and self.isEdited:
            self.say(last, "notice")
            self._output.write(b"\r\x1b[J")
            self.giveBack()
            last = []

        def finished(_: None) -> None:
            # Not before what goes another way to what may be the same terminal.
            if last:
                self.say(last, "notice")

        return self._output.finish().addCallback(finished)

    def giveBack(self) -> None:
        """Give the terminal back, if it was taken."""
        self.suspend()
        self._begun = False

    def abort(self) -> None:
        """Do without what is left to be written."""
        self._output.abort()
