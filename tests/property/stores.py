"""Memory stores for searches: copies, to go back to an earlier moment, and a key to recognise equal ones.

Version ids are counted per key here, so that two writes to different keys give the same store in either order and
a search meets fewer different situations. Needs the insides of the memory store: no store promises copies.
"""

from collections.abc import Mapping

from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.memory_world import Held, World


class CountingWorld(World):
    def __init__(self) -> None:
        super().__init__(conditional=True)
        self.counts: dict[str, int] = {}

    def _add(self, key: str, body: bytes | None, metadata: Mapping[str, str]) -> Held:
        number = self.counts[key] = self.counts.get(key, 0) + 1
        held = Held(number, body, dict(metadata), self.clock_ns)
        self._held.setdefault(key, []).append(held)
        return held

    def copy(self) -> "CountingWorld":
        twin = CountingWorld()
        twin.counts = dict(self.counts)
        twin._count = self._count
        twin._held = {key: list(versions) for key, versions in self._held.items()}
        twin._uploads = dict(self._uploads)
        return twin

    @property
    def key(self) -> object:
        versions = ((key, tuple((h.number, h.body) for h in self._held[key])) for key in sorted(self._held))
        return tuple(versions), tuple(sorted(self.counts.items())), tuple(sorted(self._uploads.items()))


class SearchStore(MemoryStore):
    def __init__(self, *, multipart_threshold: int = 1 << 20, world: CountingWorld | None = None) -> None:
        super().__init__(multipart_threshold=multipart_threshold)
        self.counting = self._world = world or CountingWorld()

    def copy(self) -> "SearchStore":
        return SearchStore(multipart_threshold=self._threshold, world=self.counting.copy())

    @property
    def key(self) -> object:
        """Equal for stores that hold the same versions, ids and bytes, and will give the same ids next."""
        return self.counting.key
