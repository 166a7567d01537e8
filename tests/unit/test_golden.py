"""Every store that some version of rrbackup has written can be read by this one (golden/README.md)."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import evolve

import rrbackup
from rrbackup.pure import format1, format1_object, format2
from rrbackup.pure.format1_object import read_metadata
from rrbackup.pure.manifest import fold_links
from rrbackup.pure.model import NOT_RECORDED, Entry, Link, ListedVersion, LocalManifest
from rrbackup.pure.names import path_bytes
from tests import golden_stores
from tests.format1_shell import read_chain, read_content, unlocker
from tests.golden_stores import ExpectedFile, Golden

PURE = Path(rrbackup.__file__).parent / "pure"
PASSWORD = b"correct horse"

FORMAT1 = [folder for folder in golden_stores.folders() if golden_stores.format_of(folder) == 1]
FORMAT2 = [folder for folder in golden_stores.folders() if golden_stores.format_of(folder) == 2]


def test_every_format_version_has_a_golden_store() -> None:
    modules = {int(found[1]) for path in PURE.glob("*.py") if (found := re.fullmatch(r"format(\d+)", path.stem))}
    assert modules >= {format1.FORMAT, format2.FORMAT}
    assert modules == {golden_stores.format_of(folder) for folder in golden_stores.folders()}


# --- format 1 ------------------------------------------------------------------------------------------------------

unlock = unlocker(PASSWORD)


def chain_of(golden: Golden) -> tuple[Link, ...]:
    return read_chain(golden.store, golden.names["manifest"], golden.names["files"], unlock)


@pytest.mark.parametrize("folder", FORMAT1)
def test_every_commit_of_format_1_gives_back_its_tree(folder: str) -> None:
    golden = golden_stores.load(folder)
    links = chain_of(golden)
    assert [link.version_id for link in reversed(links)] == [commit.version_id for commit in golden.commits]
    for number, commit in enumerate(golden.commits, start=1):
        manifest = fold_links(LocalManifest(None), links[-number:])
        found = {item.entry.path: found1(golden, item.entry) for item in manifest.entries}
        assert found == commit.tree


def found1(golden: Golden, entry: Entry) -> ExpectedFile:
    assert entry.mode == NOT_RECORDED
    content = read_content(golden.store, entry, unlock)
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert size_from_listing(golden, entry) == len(content)
    return ExpectedFile(entry.type.value, len(content), entry.sha256, entry.mtime_ns)


def size_from_listing(golden: Golden, entry: Entry) -> int:
    if entry.object is None:
        return entry.size
    body = golden.store.get(entry.object.key, entry.object.version_id).body
    return format1_object.described(entry, format1_object.split(body, "x")[0], len(body)).size


@pytest.mark.parametrize("folder", FORMAT1)
def test_what_a_crashed_run_of_format_1_left_is_found(folder: str) -> None:
    golden = golden_stores.load(folder)
    referred = {c.entry.object.ref for link in chain_of(golden) for c in link.diff.changes if c.entry.object}
    keys = left_over_keys(golden)
    stored = {version.ref for version in golden.store.list_versions("files/") if version.key in keys}
    assert stored - referred == set(golden.orphans)


def left_over_keys(golden: Golden) -> set[str]:
    """From the claim where there is one, else from the garbage list."""
    claim, garbage = golden.names["claim"], golden.names["garbage"]
    newest = next(version for version in golden.store.list_versions(claim) if version.key == claim)
    if not newest.marker:
        payload = read_metadata(golden.store.get(claim, newest.version_id).body, unlock, claim)
        return set(format1.decode_gc_log(payload, "files", claim))
    payload = read_metadata(golden.store.get(garbage).body, unlock, garbage)
    assert format1.decode_garbage(payload, garbage) == golden.orphans
    return {ref.key for ref in golden.orphans}


def test_a_wrong_password_opens_nothing() -> None:
    golden = golden_stores.load("format1-encrypted")
    with pytest.raises(rrbackup.DamagedObject):
        read_chain(golden.store, "manifest_diffs", "files", unlocker(b"wrong horse"))


# --- format 2 ------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> rrbackup.Config:
    return rrbackup.Config(
        base_path=str(tmp_path / "base"),
        local_manifest_file=str(tmp_path / "manifest"),
        local_lock_file=str(tmp_path / "lock"),
        directory=rrbackup.DirectorySettings(path=str(tmp_path / "unused")),
        follow_symlinks=False,
        crypto=rrbackup.CryptoSettings(crypt_password=PASSWORD.decode()),
    )


@pytest.mark.parametrize("folder", FORMAT2)
def test_every_commit_of_format_2_gives_back_its_tree(folder: str, config: rrbackup.Config, tmp_path: Path) -> None:
    golden = golden_stores.load(folder)
    with rrbackup.open_repository(config, store=golden.store) as repository:
        assert [version.version_id for version in repository.list_versions()] == [c.version_id for c in golden.commits]
        for commit in golden.commits:
            assert {entry.path: found2(entry) for entry in repository.list_files(commit.version_id)} == commit.tree
            target = tmp_path / commit.version_id
            assert repository.download(commit.version_id, target).problems == ()
            check_tree(target, commit.tree)


def found2(entry: Entry) -> ExpectedFile:
    return ExpectedFile(entry.type.value, entry.size, entry.sha256, entry.mtime_ns, entry.mode, entry.target)


def check_tree(target: Path, expected: Mapping[str, ExpectedFile]) -> None:
    for path, wanted in expected.items():
        restored = target / path_bytes(rrbackup.PathText(path)).decode("utf-8", "surrogateescape")
        seen = restored.lstat()
        assert seen.st_mtime_ns == wanted.mtime_ns
        if wanted.type == "symlink":
            assert str(restored.readlink()) == wanted.target
        else:
            assert stat.S_IMODE(seen.st_mode) == wanted.mode
        if wanted.type == "file":
            assert hashlib.sha256(restored.read_bytes()).hexdigest() == wanted.sha256


@pytest.mark.parametrize("folder", FORMAT2)
def test_a_backup_onto_a_golden_store_ends_the_interrupted_run(folder: str, config: rrbackup.Config) -> None:
    golden = golden_stores.load(folder)
    config = evolve(config, meta_pipeline=[rrbackup.Word.ENCRYPT] if "encrypted" in folder else [])
    base = Path(config.base_path)
    base.mkdir()
    (base / "new").write_bytes(b"new\n")
    with rrbackup.open_repository(config, store=golden.store) as repository:
        result = repository.backup(take_over=True)
        assert [entry.path for entry in repository.list_files()] == ["/new"]
        assert repository.list_versions()[-1].version_id == result.version_id
    left = {version.ref for version in golden.store.list_versions("files/")}
    assert left.isdisjoint(golden.orphans)


# --- format 1 through the library ----------------------------------------------------------------------------------


def crypto(password: str | None) -> rrbackup.CryptoSettings:
    """With the cheapest derivation of keys that there is."""
    return rrbackup.CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20)


def config_for(golden: Golden, config: rrbackup.Config, password: str | None = PASSWORD.decode()) -> rrbackup.Config:
    encrypted = "encrypted" in golden.folder
    return evolve(
        config,
        crypto=crypto(password) if encrypted else None,
        meta_pipeline=[rrbackup.Word.ENCRYPT] if encrypted else [],
        remote_manifest_diff_file=golden.names["manifest"],
        remote_gc_log_file=golden.names["claim"],
        remote_garbage_object_log_file=golden.names["garbage"],
        remote_base_path=golden.names["files"],
        remote_password_salt_file=golden.names["salt"],
    )


def listed(golden: Golden) -> list[ListedVersion]:
    return list(golden.store.list_versions(""))


@pytest.mark.parametrize("folder", FORMAT1)
def test_a_repository_of_format_1_is_listed_and_restored(folder: str, config: rrbackup.Config, tmp_path: Path) -> None:
    golden = golden_stores.load(folder)
    before = listed(golden)
    with rrbackup.open_repository(config_for(golden, config), store=golden.store) as repository:
        assert [version.version_id for version in repository.list_versions()] == [c.version_id for c in golden.commits]
        for commit in golden.commits:
            for entry in repository.list_files(commit.version_id):
                wanted = commit.tree[entry.path]
                assert (entry.type, entry.sha256, entry.mtime_ns) == (wanted.type, wanted.sha256, wanted.mtime_ns)
            assert len(repository.list_files(commit.version_id)) == len(commit.tree)
            target = tmp_path / commit.version_id
            assert repository.download(commit.version_id, target).problems == ()
            check_tree(target, with_new_modes(commit.tree))
    assert listed(golden) == before


def with_new_modes(tree: Mapping[str, ExpectedFile]) -> dict[str, ExpectedFile]:
    """Permissions were not recorded, so they are those of any new file."""
    umask = os.umask(0)
    os.umask(umask)
    return {path: evolve(file, mode=0o666 & ~umask) for path, file in tree.items()}


@pytest.mark.parametrize("folder", FORMAT1)
def test_the_changes_of_format_1_are_those_between_the_trees(folder: str, config: rrbackup.Config) -> None:
    golden = golden_stores.load(folder)
    before: Mapping[str, ExpectedFile] = {}
    with rrbackup.open_repository(config_for(golden, config), store=golden.store) as repository:
        for commit in golden.commits:
            found = {change.entry.path: change.status for change in repository.list_changes(commit.version_id)}
            assert found == dict(changes_between(before, commit.tree))
            before = commit.tree


def changes_between(
    before: Mapping[str, ExpectedFile], after: Mapping[str, ExpectedFile]
) -> Iterator[tuple[str, rrbackup.Status]]:
    for path in before.keys() | after.keys():
        if path not in after:
            yield path, rrbackup.Status.DELETED
        elif before.get(path) != after[path]:
            yield path, rrbackup.Status.CHANGED if path in before else rrbackup.Status.NEW


@pytest.mark.parametrize(
    ("password", "error"), [("wrong horse", rrbackup.WrongPassword), (None, rrbackup.PasswordMissing)]
)
def test_a_repository_of_format_1_opens_with_its_password_only(
    password: str | None, error: type[rrbackup.RRBackupError], config: rrbackup.Config, tmp_path: Path
) -> None:
    golden = golden_stores.load("format1-encrypted")
    before = listed(golden)
    with rrbackup.open_repository(config_for(golden, config, password), store=golden.store) as repository:
        for read in (repository.list_versions, repository.list_files, repository.list_changes):
            with pytest.raises(error):
                read()
        with pytest.raises(error):
            repository.download("latest", tmp_path / "out")
        with pytest.raises(error):
            repository.garbage_collect(upgrade=True)
    assert not (tmp_path / "out").exists()
    assert listed(golden) == before


@pytest.mark.parametrize("folder", FORMAT1)
def test_a_repository_of_format_1_goes_on_and_loses_its_orphans(
    folder: str, config: rrbackup.Config, tmp_path: Path
) -> None:
    golden = golden_stores.load(folder)
    before = {version.ref for version in listed(golden)}
    config = config_for(golden, config)
    Path(config.base_path).mkdir()
    (Path(config.base_path) / "new").write_bytes(b"new\n")
    with rrbackup.open_repository(config, store=golden.store) as repository:
        with pytest.raises(rrbackup.UpgradeNeeded):
            repository.backup()
        assert {version.ref for version in listed(golden)} == before
        repository.backup(upgrade=True)
        repository.clean_gc_log()
        assert [entry.path for entry in repository.list_files()] == ["/new"]
        for commit in golden.commits:
            assert repository.download(commit.version_id, tmp_path / commit.version_id).problems == ()
            check_tree(tmp_path / commit.version_id, with_new_modes(commit.tree))
    assert before - {version.ref for version in listed(golden)} == set(golden.orphans)
