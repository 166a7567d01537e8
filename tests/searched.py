"""What a test went through, for the sums at the end of a run (`make test` prints them)."""

from collections.abc import Callable

HISTORIES = "histories with faults"
SITUATIONS = "situations of several clients"
ROUNDS = "rounds on real stores"
KINDS = (HISTORIES, SITUATIONS, ROUNDS)

Record = Callable[[str, object], None]
"""pytest's fixture `record_property`."""
