"""Where the command line prints: results to standard output, all else to standard error.

The rule: what cannot be written to standard output is an error, because somebody waits for it; what cannot be
written to standard error is nobody's to be told. A reader that went away is not worth a word (`BrokenPipeError`).
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

from rrbackup.cli.json_stream import json_chunks
from rrbackup.cli.texts import shown
from rrbackup.errors import RRBackupError

_RED, _YELLOW, _PLAIN = "\x1b[1;31m", "\x1b[33m", "\x1b[0m"


class Output:
    """The two streams. None stands for one that was closed before the program began."""

    def __init__(self, out: TextIO | None, err: TextIO | None, environ: Mapping[str, str] = os.environ) -> None:
        self._out = _forgiving(out)
        self._err = _forgiving(err)
        self._environ = environ

    @classmethod
    def of_process(cls) -> "Output":
        return cls(sys.stdout, sys.stderr)

    @property
    def out_is_terminal(self) -> bool:
        return _is_terminal(self._out, self._environ)

    @property
    def err_is_terminal(self) -> bool:
        return _is_terminal(self._err, self._environ)

    @property
    def out(self) -> TextIO | None:
        return self._out

    @property
    def err(self) -> TextIO | None:
        return self._err

    # --- standard output ---------------------------------------------------------------------------------------

    def lines(self, lines: Iterable[str]) -> None:
        """Texts of one line each; control characters in them are replaced."""
        self._write(f"{shown(line)}\n" for line in lines)

    def document(self, document: Mapping[str, object]) -> None:
        """One JSON document, written piece by piece."""
        self._write(json_chunks(document))

    def content(self, pieces: Iterable[bytes]) -> None:
        """Bytes as they are, written piece by piece."""
        if self._out is None:
            return
        self.flush()
        for piece in pieces:
            with _translated():
                self._out.buffer.write(piece)
        with _translated():
            self._out.buffer.flush()

    def _write(self, chunks: Iterable[str]) -> None:
        if self._out is None:
            return
        for chunk in chunks:
            with _translated():
                self._out.write(chunk)

    def flush(self) -> None:
        if self._out is not None:
            with _translated():
                self._out.flush()

    def abandon(self) -> None:
        """Nobody reads standard output any more: what is still buffered goes nowhere, without a complaint."""
        if self._out is None:
            return
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)

    # --- standard error ----------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self._say("", "", text)

    def warning(self, text: str) -> None:
        self._say(_YELLOW, "warning: ", text)

    def problem(self, text: str) -> None:
        self._say(_YELLOW, "problem: ", text)

    def error(self, text: str) -> None:
        """May be several lines; those after the first are indented by the text itself."""
        self._say(_RED, "error: ", text)

    def hint(self, text: str) -> None:
        self._say("", "hint: ", text)

    def raw(self, text: str) -> None:
        """Text for a developer, such as a traceback."""
        self._tell(text)

    def _say(self, colour: str, label: str, text: str) -> None:
        if colour and self.err_is_terminal and not self._environ.get("NO_COLOR"):
            label = f"{colour}{label.rstrip()}{_PLAIN} "
        self._tell(f"rrbackup: {label}" + "\n".join(map(shown, text.split("\n"))) + "\n")

    def _tell(self, text: str) -> None:
        if self._err is not None:
            with suppress(OSError):
                self._err.write(text)
                self._err.flush()


def _forgiving(stream: TextIO | None) -> TextIO | None:
    """A character that the locale lacks is escaped instead of ending the run."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _is_terminal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    return stream is not None and stream.isatty() and environ.get("TERM") != "dumb"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RRBackupError(f"cannot write to standard output: {error.strerror}") from error
