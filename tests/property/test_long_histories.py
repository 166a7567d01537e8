"""Long random histories through the front of the library, as a program that embeds rrbackup uses it.

Three clients, each with a folder, local files, a mode and a password of its own, share one repository, which may have
been begun by rrbackup 1.0. They back up, plan, collect, change the password and restore; they crash, lose answers, get
in each other's way in the middle of a call, and lose or damage their local files. Every error has to be the one that
the model foretells (`long_history_forecast`), and after every step the store is judged from its raw bytes
(`long_history_judge`).
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

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
