"""SIGTERM and SIGHUP: who listens to them, and what the second one does."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from rrbackup.cli import main
from rrbackup.cli.signals import SIGNALS, HungUp, Terminated, listen_to_signals


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("sent", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGHUP, HungUp)])
def test_the_first_signal_interrupts_and_what_follows_cannot_cut_the_ending_short(
    sent: signal.Signals, kind: type[BaseException]
) -> None:
    listen_to_signals()
    with pytest.raises(kind, match=sent.name):
        signal.raise_signal(sent)
    for number in SIGNALS:
        signal.raise_signal(number)


def test_a_signal_that_was_ignored_before_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listen_to_signals()
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def test_a_program_that_calls_main_keeps_its_own_handlers() -> None:
    main(["--version"])
    assert [signal.getsignal(number) for number in SIGNALS] == [signal.SIG_DFL] * 2


def test_the_library_listens_to_no_signal() -> None:
    code = (
        "import signal, rrbackup, rrbackup.api\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
