"""What is told of a long operation while it runs.

The rule: notices always, every single file with `-v`, a moving display only on a terminal, and with `-q` nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen

from rrbackup.cli.output import Output
from rrbackup.cli.texts import human_bytes
from rrbackup.events import CommitCopied, Event, FileDone, Notice, OnEvent, ignore_event


@frozen
class Teller:
    """Turns events into lines."""

    note: Callable[[str], None]
    verbose: bool = False

    def __call__(self, event: Event) -> None:
        match event:
            case Notice(text=text):
                self.note(text)
            case FileDone(path=path, size=size, uploaded=uploaded) if self.verbose:
                self.note(f"{path}: {human_bytes(size)}{', uploaded' if uploaded else ''}")
            case CommitCopied(original=original, version_id=version_id, sequence=sequence) if self.verbose:
                self.note(f"commit {original} is copied: {version_id} (#{sequence})")
            case _:
                pass


@contextmanager
def listening(output: Output, *, quiet: bool, verbose: bool, display: bool) -> Iterator[OnEvent]:
    """The callback for one operation. `display` allows a moving display."""
    if quiet:
        yield ignore_event
    elif display and output.err is not None and output.err_is_terminal:
        # rich takes a tenth of a second to import, and only a terminal needs it
        from rrbackup.cli.terminal import ProgressDisplay

        with ProgressDisplay(output.err, verbose=verbose) as shown:
            yield shown
    else:
        yield Teller(output.note, verbose)
