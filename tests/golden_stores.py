"""Golden stores: what some version of rrbackup left in a store, kept as JSON and put into a store in memory.

`store.json` lists the versions, oldest first; `expected.json` says what each commit must give back. What is in which
folder: golden/README.md.
"""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from attrs import frozen

from rrbackup.effects.memory import MemoryStore
from rrbackup.pure.model import VersionId, VersionRef

GOLDEN = Path(__file__).parent / "golden"


@frozen
class ExpectedFile:
    """`sha256` is None for folders and links, `mode` where it was not recorded."""

    type: str
    size: int
    sha256: str | None
    mtime_ns: int
    mode: int | None = None
    target: str | None = None


@frozen
class ExpectedCommit:
    version_id: str
    tree: dict[str, ExpectedFile]


@frozen
class Golden:
    """`names` are those of the metadata objects, `orphans` pairs of key and version id that no commit refers to."""

    folder: str
    format: int
    names: dict[str, str]
    store: MemoryStore
    commits: tuple[ExpectedCommit, ...]
    orphans: tuple[VersionRef, ...]


def folders() -> list[str]:
    return sorted(path.parent.name for path in GOLDEN.glob("*/store.json"))


def mostly_deep() -> list[ParameterSet]:
    """All of them as parameters of a test; in `make test` only one of each format."""
    quick = ("format1-encrypted", "format2-plain")
    return [pytest.param(name, marks=() if name in quick else pytest.mark.deep) for name in folders()]


def format_of(folder: str) -> int:
    """Folders are called `format1-…`."""
    return int(folder.removeprefix("format").partition("-")[0])


def load(folder: str) -> Golden:
    document = json.loads((GOLDEN / folder / "store.json").read_text())
    expected = json.loads((GOLDEN / folder / "expected.json").read_text())
    store = MemoryStore()
    for row in document["versions"]:
        _add(store, row)
    return Golden(
        folder,
        format_of(folder),
        document["names"],
        store,
        tuple(_commit(fields) for fields in expected["commits"]),
        tuple(VersionRef(key, VersionId(version_id)) for key, version_id in expected["orphans"]),
    )


def _add(store: MemoryStore, row: dict[str, object]) -> None:
    """The memory store gives out ids itself, counting, so what was deleted before is stood in for."""
    wanted, body = str(row["version_id"]), row["body_base64"]
    while (version_id := _write(store, row, body)) != wanted:
        assert version_id < wanted, f"the store in memory no longer gives out ids such as {wanted}"
        store.delete_versions([VersionRef(str(row["key"]), version_id)])


def _write(store: MemoryStore, row: dict[str, object], body: object) -> VersionId:
    store.clock_ns = int(str(row["last_modified_ns"]))
    if body is None:
        return store.mark_deleted(str(row["key"]))
    metadata = row["metadata"]
    assert isinstance(metadata, dict)
    return store.put(str(row["key"]), b64decode(str(body)), metadata=metadata).version_id


def _commit(fields: dict[str, object]) -> ExpectedCommit:
    tree = fields["tree"]
    assert isinstance(tree, dict)
    return ExpectedCommit(str(fields["version_id"]), {path: ExpectedFile(**item) for path, item in tree.items()})


def dump(store: MemoryStore) -> list[dict[str, object]]:
    """All versions of a store in memory, oldest first."""
    rows = []
    for listed in sorted(store.list_versions(""), key=lambda version: version.version_id):
        fetched = None if listed.marker else store.get(listed.key, listed.version_id)
        rows.append(
            {
                "key": listed.key,
                "version_id": listed.version_id,
                "last_modified_ns": fetched.info.last_modified_ns if fetched else store.clock_ns,
                "metadata": dict(fetched.info.metadata) if fetched else {},
                "body_base64": b64encode(fetched.body).decode() if fetched else None,
            }
        )
    return rows
