"""Noticing that another repository lies among our file objects, before anything of it is deleted.

That is so where its prefix leads into our folder of file objects. All of it then looks like file objects that no commit
of ours knows. The rule decided here: what is about to be deleted is another's if it is named like a record, is
one by its header, and lacks the labels with which a backup would have stored a copy of one.
"""

from collections.abc import Iterable

from rrbackup.effects.store import Store
from rrbackup.errors import DamagedObject, ObjectMissing
from rrbackup.pure.header import FRONT_BYTES, is_record
from rrbackup.pure.labels import is_labelled
from rrbackup.pure.model import VersionRef

_SALT = "salt_file"
"""The usual name of the salt object, which is in no `ObjectNames`."""


def refuse_neighbours(store: Store, names: frozenset[str], refs: Iterable[VersionRef]) -> None:
    """Raise DamagedObject if one of `refs` is a record of another repository. `names` are those of records."""
    endings = tuple(f"/{name}" for name in (*names, _SALT))
    for ref in refs:
        if ref.key.endswith(endings) and _is_record(store, ref):
            raise DamagedObject(
                f"among the files in {store.describe()} lies another repository: {ref.key} is a record of one",
                hint="nothing was deleted. A prefix (or folder) must not lead into the files of another repository: "
                "move one of the two. If nobody needs what lies there, delete it by hand",
            )


def _is_record(store: Store, ref: VersionRef) -> bool:
    """A file may be named like a record and be of any size, so only its beginning is read at first."""
    try:
        with store.read(ref.key, ref.version_id, 0, FRONT_BYTES) as chunks:
            front = b"".join(chunks)
        return is_record(front) and not is_labelled(store.get(ref.key, ref.version_id).info.metadata)
    except ObjectMissing:
        return False
