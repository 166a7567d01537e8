"""SIGTERM and SIGHUP end a run as Ctrl-C does: the work is left in order, and the next run takes up the claim.

The rules: only the process that is the command line listens to signals; the library never does. A signal that was
ignored when the process began, as after `nohup`, stays ignored. The first signal counts: what follows it, such as the
second SIGHUP of a terminal that closes, cannot cut the ending short, but Ctrl-C still can.
"""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """One of `SIGNALS` came. To everything that runs it is an interruption like Ctrl-C."""


class Terminated(Signalled):
    """SIGTERM."""


class HungUp(Signalled):
    """SIGHUP."""


_KINDS: dict[int, type[Signalled]] = {signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}


def listen_to_signals() -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise _KINDS[number](signal.Signals(number).name)
