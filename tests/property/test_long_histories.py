"""Long random histories through the front of the library, as a program that embeds rrbackup uses it.

Three clients, each with a folder, local files, a mode and a password of its own, share one repository, which may have
been begun by rrbackup 1.0. They back up, plan, collect, change the password and restore; they crash, lose answers, get
in each other's way in the middle of a call, and lose or damage their local files. Every error has to be the one that
the model foretells (`long_history_forecast`), and after every step the store is judged from its raw bytes
(`long_history_judge`).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from rrbackup import Mode
from tests.format1_repositories import PASSWORD
from tests.property.long_history_forecast import Call
from tests.property.long_history_machine import EXPECTED, RARE, LongHistories, cheap_world


def _run(examples: int, steps: int) -> Counter[str]:
    happened: Counter[str] = Counter()

    class Counted(LongHistories):
        counts = happened

    with cheap_world():
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    return happened


def test_long_histories_of_several_clients_keep_every_promise() -> None:
    happened = _run(70, 50)
    assert [name for name in EXPECTED if name not in RARE and not happened[name]] == []


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_many_long_histories_of_several_clients_keep_every_promise() -> None:
    happened = _run(1_000, 100)
    assert [name for name in EXPECTED if happened[name] < 10] == []


# --- what such searches have found -------------------------------------------------------------------------------

CLIENT = (Mode.READ_WRITE, PASSWORD, "compress", "both")
EDIT = [("write", "a", "a", "nothing")]


@contextmanager
def history(beginning: str) -> Iterator[LongHistories]:
    with cheap_world():
        history = LongHistories()
        try:
            history.begin(beginning=beginning, conditional=True, settings=[CLIENT] * 3, sealed=False)
            yield history
        finally:
            history.teardown()


def test_another_client_makes_the_keys_while_one_is_about_to() -> None:
    with history("files encrypted") as play:
        play.edit("bob", EDIT)
        play.loses_a_race(["ann", "bob", "cid"], EDIT, at=4, other="backup", take_over=False, edits_again=[])


def test_a_password_is_changed_without_one_and_without_keys() -> None:
    with history("empty") as play:
        play.play.actors["cid"].configure(password=None)
        play.change_password("cid", "second", struck=False, at=1)


def test_a_password_is_changed_by_a_session_that_looked_before_another_client_made_keys() -> None:
    with history("plain") as play:
        play.keep_it_open("cid")
        play.read("cid", "download", "latest")
        play.edit("ann", EDIT)
        play.back_up("ann", Call("backup", upgrade=True))
        play.change_password("cid", "second", struck=False, at=1)
