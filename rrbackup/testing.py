"""For tests of programs that embed rrbackup: a store in memory, and faults that strike chosen requests of it.

    store = MemoryStore()
    dying = store.client(faults=[Fault(at=7, kind=FaultKind.AFTER)])
    with rrbackup.open_repository(config, store=dying) as repository, pytest.raises(SimulatedCrash):
        repository.backup()

What the faults mean is told in `rrbackup.effects.memory_faults`.
"""

from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.effects.memory_faults import Call, Fault, FaultKind, SimulatedCrash

__all__ = ["Call", "Fault", "FaultKind", "MemoryClient", "MemoryStore", "SimulatedCrash"]
