"""Noticing that another repository lies among our file objects, before anything of it is deleted.

That is so where its prefix leads into our folder of file objects. All of it then looks like file objects that no commit
of ours knows. The rule decided here: what is about to be deleted is another's if it is named like a record, is
one by its header, and lacks the labels with which a backup would have stored a copy of one.
"""

from collections.abc import Iterable

from rrbackup.effects.store import Store
from rrbackup.errors import DamagedObject, ObjectMissing
from rrbackup.pure.header import is_record
from rrbackup.pure.labels import is_labelled
from rrbackup.pure.model import VersionRef

_USUAL = frozenset({"manifest_diffs", "gc_log", "garbage_objects", "manifest_checkpoint", "salt_file"})


def refuse_neighbours(store: Store, names: frozenset[str], refs: Iterable[VersionRef]) -> None:
    """Raise DamagedObject if one of `refs` is a record of another repository. `names` are those of our own records."""
    endings = tuple(f"/{name}" for name in names | _USUAL)
    for ref in refs:
        if ref.key.endswith(endings) and _is_record(store, ref):
            raise DamagedObject(
                f"among the files in {store.describe()} lies another repository: {ref.key} is a record of one",
                hint="nothing was deleted. A prefix (or folder) must not lead into the files of another repository: "
                "move one of the two. If nobody needs what lies there, delete it by hand",
            )


def _is_record(store: Store, ref: VersionRef) -> bool:
    try:
        found = store.get(ref.key, ref.version_id)
    except ObjectMissing:
        return False
    return is_record(found.body) and not is_labelled(found.info.metadata)
