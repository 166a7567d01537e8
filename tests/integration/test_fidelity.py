"""A tree with every kind of entry, backed up and restored as root and as an ordinary user.

What is on disk is compared here with `os` alone, never with rrbackup's own scanner. Making the tree takes root.
"""

import json
import os
import stat
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypedDict

import pytest
from attrs import evolve, frozen

import rrbackup
from rrbackup import Overwrite, RestoreAct, Status
from tests.recover_store import Recovery

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners, capabilities and trusted attributes take root")

NOBODY = 65534
NS = 1_700_000_000_123_456_789
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ACCESS_LIST = bytes.fromhex("0200000001000600ffffffff020004000100000004000400ffffffff10000400ffffffff20000000ffffffff")
"""Read and write for the owner, read for user 1 and the group, as the kernel keeps it."""


def make(base: Path) -> None:
    (base / "deep/er").mkdir(parents=True)
    for name, content in {
        "plain": b"plain",
        "deep/set-id": b"program",
        "deep/er/first": b"three names",
        "secret": b"for its owner",
        "attributes": b"with attributes",
        "listed": b"with an access list",
        "capable": b"with a capability",
        "empty": b"",
        "named": b"of a user with a name",
        "z\n\xff": b"odd name",
    }.items():
        (base / os.fsdecode(name.encode("latin-1"))).write_bytes(content)
    os.link(base / "deep/er/first", base / "second")
    os.link(base / "deep/er/first", base / "a-third")
    (base / "folder").mkdir()
    (base / "shared").mkdir()
    os.symlink("../nowhere", base / "link")
    with (base / "holes").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1_500_000)
        file.write(b"in the middle")
    with (base / "all-hole").open("wb") as file:
        file.truncate(1 << 20)
    os.setxattr(base / "attributes", "user.text", b"text")
    os.setxattr(base / "attributes", "user.\xfc%\n".encode(), bytes(range(256)))
    os.setxattr(base / "attributes", "user.empty", b"")
    os.setxattr(base / "attributes", "trusted.note", b"system")
    os.setxattr(base / "folder", "user.of a folder", b"yes")
    os.setxattr(base / "listed", "system.posix_acl_access", ACCESS_LIST)
    os.setxattr(base / "second", "user.shared", b"by all its names")
    os.chown(base / "plain", 12345, 23456)
    os.chown(base / "deep/set-id", 12345, 23456)
    os.chown(base / "folder", 12345, 23456)
    os.chown(base / "link", 12345, 23456, follow_symlinks=False)
    os.chown(base / "named", 1, 1)
    os.setxattr(base / "capable", "security.capability", CAPABILITY)
    for name, mode in {
        "deep/set-id": 0o6755,
        "secret": 0o600,
        "shared": 0o3777,
        "folder": 0o750,
        "empty": 0o444,
    }.items():
        (base / name).chmod(mode)
    for number, path in enumerate(sorted(base.rglob("*"))):
        os.utime(path, ns=(NS, NS + number), follow_symlinks=False)


# --- looking, independently --------------------------------------------------------------------------------------


@frozen
class Seen:
    kind: int
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int
    content: bytes
    xattrs: dict[str, bytes]
    names: tuple[str, ...]
    sparse: bool


def look(base: Path) -> dict[str, Seen]:
    """Everything but folders that hold something: of those nothing is kept."""
    paths = [path for path in base.rglob("*") if path.is_symlink() or not path.is_dir() or not os.listdir(path)]
    inodes: dict[int, list[str]] = {}
    for path in paths:
        inodes.setdefault(path.lstat().st_ino, []).append(str(path.relative_to(base)))
    return {str(path.relative_to(base)): see(path, inodes) for path in paths}


def see(path: Path, inodes: dict[int, list[str]]) -> Seen:
    found = path.lstat()
    link = stat.S_ISLNK(found.st_mode)
    xattrs = {name: os.getxattr(path, name) for name in ([] if link else os.listxattr(path))}
    content = os.readlink(path).encode() if link else path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return Seen(
        stat.S_IFMT(found.st_mode),
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
        found.st_mtime_ns,
        found.st_size if stat.S_ISREG(found.st_mode) else 0,
        content,
        xattrs,
        tuple(sorted(inodes[found.st_ino])),
        found.st_blocks * 512 < found.st_size and stat.S_ISREG(found.st_mode),
    )


def as_user(seen: Seen) -> Seen:
    """What an ordinary user can give back of it."""
    mode = seen.mode & ~0o6000 if stat.S_ISREG(seen.kind) else seen.mode
    xattrs = {name: value for name, value in seen.xattrs.items() if not name.startswith(("security.", "trusted."))}
    return evolve(seen, owner=(NOBODY, NOBODY), mode=mode, xattrs=xattrs)


# --- the tree, backed up -----------------------------------------------------------------------------------------


@frozen
class World:
    base: Path
    target: Path
    config: rrbackup.Config

    def open(self, **changes: Any) -> rrbackup.Repository:
        return rrbackup.open_repository(evolve(self.config, **changes), threads=2)


@pytest.fixture
def world(tmp_path: Path) -> World:
    base = tmp_path / "base"
    make(base)
    config = rrbackup.Config(
        base_path=str(base),
        local_manifest_file=str(tmp_path / "manifest"),
        local_lock_file=str(tmp_path / "lock"),
        directory=rrbackup.DirectorySettings(path=str(tmp_path / "store")),
        follow_symlinks=False,
        store_owner=True,
        store_xattrs=True,
    )
    world = World(base, tmp_path / "target", config)
    assert world.open().backup().complete
    return world


def test_root_gets_everything_back(world: World) -> None:
    assert world.open().download("latest", world.target).complete
    assert look(world.target) == look(world.base)
    again = world.open().plan_download("latest", world.target, overwrite=Overwrite.IF_CHANGED, delete=True)
    assert set(again.counts()) == {RestoreAct.LEAVE}


def test_the_tree_holds_what_it_is_said_to_hold(world: World) -> None:
    seen = look(world.base)
    assert {stat.S_ISREG(s.kind) for s in seen.values()} == {True, False}
    assert seen["second"].names == ("a-third", "deep/er/first", "second")
    assert {name for name, found in seen.items() if found.sparse} == {"holes", "all-hole"}
    assert seen["listed"].xattrs == {"system.posix_acl_access": ACCESS_LIST}
    assert seen["capable"].xattrs == {"security.capability": CAPABILITY}


class Told(TypedDict):
    problems: list[str]
    files: int
    bytes: int


def restored_as_user(world: World, owner: bool | None = None) -> Told:
    """What came of a restore by nobody, who may read the store. A new program may lie where nobody can read it, so
    this one is forked; what it needs is imported before."""
    folder = world.target.parent
    for path in (folder, *folder.rglob("*")):
        if world.base not in (path, *path.parents):
            os.chown(path, NOBODY, NOBODY)
    for above in folder.parents:
        if above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    world.open().download("latest", folder / "warm-up")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads that a fork leaves behind are not needed here
        child = os.fork()
    if child == 0:
        _restore_and_exit(world, owner, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told: Told = json.loads(pipe.read())
    assert os.waitpid(child, 0)[1] == 0
    return told


def _restore_and_exit(world: World, owner: bool | None, writing: int) -> NoReturn:
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        result = world.open(read_only=True).download("latest", world.target, owner=owner)
        told = Told(problems=[one.detail for one in result.problems], files=result.files, bytes=result.bytes)
    except Exception as error:  # noqa: BLE001 (the parent shows it)
        told = Told(problems=[repr(error)], files=0, bytes=0)
    os.write(writing, json.dumps(told).encode())
    os._exit(0)


def test_a_user_gets_everything_back_but_owners_and_what_is_the_systems(world: World) -> None:
    told = restored_as_user(world)
    assert told["problems"] == []
    expected = {path: as_user(seen) for path, seen in look(world.base).items()}
    assert look(world.target) == expected


def test_a_user_who_asks_for_owners_is_told_of_each_that_could_not_be_given(world: World) -> None:
    told, entries = restored_as_user(world, owner=True), list(world.open().list_files())
    problems = told["problems"]
    assert all("is restored, but without its owner" in problem for problem in problems)
    assert len(problems) == len(entries) - 2, "the two other names of a file are linked to the first"
    assert told["files"] == len(entries), "what lacks only its owner is there"
    assert told["bytes"] == world.open().download("latest", world.target.parent / "by root").bytes
    assert (world.target / "deep/set-id").stat().st_mode & 0o7777 == 0o755


def test_root_may_do_without_owners_and_then_gives_no_set_id_bits(world: World) -> None:
    assert world.open().download("latest", world.target, owner=False).complete
    seen = look(world.target)
    assert {found.owner for found in seen.values()} == {(0, 0)}
    assert seen["deep/set-id"].mode == 0o755
    assert seen["capable"].xattrs == {"security.capability": CAPABILITY}


def test_an_owner_is_found_by_name_before_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the user has another number, and the group is not known."""
    import grp
    import pwd

    numbers = pwd.getpwnam("daemon")

    def moved(name: str) -> Any:
        assert name == "daemon"
        return type("Moved", (), {"pw_uid": 777})

    def nobody_has_it(name: str) -> Any:
        raise KeyError(name)

    plan_before = world.open().list_files("latest")
    owner = next(entry.extra.owner for entry in plan_before if entry.path == "/named" and entry.extra is not None)
    assert owner is not None
    assert (owner.uid, owner.user) == (1, numbers.pw_name)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: moved(name) if name == "daemon" else nobody_has_it(name))
    monkeypatch.setattr(grp, "getgrnam", nobody_has_it)
    world.open().download("latest", world.target, paths=["/named"])
    found = (world.target / "named").stat()
    assert (found.st_uid, found.st_gid) == (777, 1)


# --- what is recorded, and when ----------------------------------------------------------------------------------


def test_by_default_neither_owners_nor_attributes_are_recorded(world: World) -> None:
    changes = world.open(store_owner=False, store_xattrs=False).backup()
    assert (changes.uploaded_files, changes.counts.new, changes.counts.deleted) == (0, 0, 0)
    extras = {entry.path: entry.extra for entry in world.open().list_files() if entry.extra is not None}
    assert extras.keys() == {"/deep/er/first", "/second", "/holes", "/all-hole"}
    assert all(extra.owner is None and not extra.xattrs for extra in extras.values())


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda base: os.chown(base / "plain", 4, 5), "/plain"),
        (lambda base: os.setxattr(base / "plain", "user.new", b"x"), "/plain"),
        (lambda base: os.removexattr(base / "attributes", "user.text"), "/attributes"),
        (lambda base: os.chown(base / "folder", 4, 5), "/folder"),
        (lambda base: os.chown(base / "link", 4, 5, follow_symlinks=False), "/link"),
    ],
)
def test_a_change_of_owner_or_attributes_alone_is_committed_without_an_upload(
    world: World, change: Callable[[Path], None], path: str
) -> None:
    change(world.base)
    plan = world.open().plan_backup()
    result = world.open().backup()
    assert (result.counts.changed, result.uploaded_files, result.complete) == (1, 0, True)
    (changed,) = world.open().list_changes()
    assert (changed.status, changed.entry.path) == (Status.CHANGED, path)
    assert plan.candidates or plan.planned[0].reason is rrbackup.Reason.EXTRA
    assert world.open().backup().version_id is None
    world.open().download("latest", world.target)
    assert look(world.target) == look(world.base)


def test_names_that_come_and_go_change_the_other_names_without_an_upload(world: World) -> None:
    os.unlink(world.base / "a-third")
    result = world.open().backup()
    assert (result.counts.deleted, result.uploaded_files, result.complete) == (1, 0, True)
    world.open().download("latest", world.target)
    assert look(world.target) == look(world.base)


def test_names_stay_together_when_the_folder_of_the_first_one_is_renamed(world: World) -> None:
    os.unlink(world.base / "a-third")
    assert world.open().backup().complete
    os.rename(world.base / "deep", world.base / "earlier")
    assert world.open().backup().uploaded_files == 0
    world.open().download("latest", world.target)
    assert look(world.target) == look(world.base)
    assert look(world.target)["second"].names == ("earlier/er/first", "second")


def test_what_is_healed_keeps_what_else_was_recorded(world: World) -> None:
    (stored,) = (world.target.parent / "store/files/plain").glob("%v*")
    stored.unlink()
    before = next(entry for entry in world.open().list_files() if entry.path == "/plain")
    assert world.open().heal().healed == ("/plain",)
    (healed,) = world.open().list_changes()
    assert healed.entry == evolve(before, object=healed.entry.object)
    assert healed.entry.extra is not None


# --- hard links in the target ------------------------------------------------------------------------------------


def acts(plan: rrbackup.RestorePlan) -> dict[str, str]:
    return {step.path: f"{step.act}: {step.why}" for step in plan.steps}


THREE = ["/a-third", "/deep/er/first", "/second"]


def test_names_of_one_file_are_fetched_once_and_joined_again(world: World) -> None:
    plan = world.open().plan_download("latest", world.target, paths=THREE)
    assert plan.traffic().gets == 1
    assert [step.link_to for step in plan.steps] == [None, "/a-third", "/a-third"]
    world.open().download("latest", world.target)
    (world.target / "second").unlink()
    (world.target / "second").write_bytes(b"three names")
    os.utime(world.target / "second", ns=(NS, (world.base / "second").stat().st_mtime_ns))
    (world.target / "second").chmod((world.base / "second").stat().st_mode & 0o7777)
    os.setxattr(world.target / "second", "user.shared", b"by all its names")
    plan = world.open().plan_download("latest", world.target, paths=THREE, overwrite=Overwrite.IF_CHANGED)
    assert acts(plan)["/second"] == "replace: not the same file as its other name"
    assert plan.traffic().gets == 0
    world.open().download("latest", world.target, overwrite=Overwrite.IF_CHANGED)
    assert look(world.target) == look(world.base)


def test_a_part_of_the_names_is_joined_among_themselves(world: World) -> None:
    world.open().download("latest", world.target, paths=["/second", "/deep"])
    assert look(world.target)["second"].names == ("deep/er/first", "second")


def test_existing_names_that_are_to_stay_are_not_joined(world: World) -> None:
    world.target.mkdir()
    (world.target / "a-third").write_bytes(b"somebody else's")
    result = world.open().download("latest", world.target, paths=THREE, overwrite=Overwrite.NEVER)
    assert (result.files, result.left) == (2, 1)
    assert (world.target / "a-third").read_bytes() == b"somebody else's"
    assert (world.target / "second").read_bytes() == b"three names"


def test_names_are_not_joined_to_what_stands_in_the_place_of_one_that_is_damaged(world: World) -> None:
    world.target.mkdir()
    (world.target / "a-third").write_bytes(b"something old")
    (stored,) = (world.target.parent / "store/files/a-third").glob("%v*")
    stored.chmod(0o600)
    stored.write_bytes(b"three nomes")
    result = world.open().download("latest", world.target, paths=THREE)
    assert {problem.path for problem in result.problems} == set(THREE)
    assert (world.target / "a-third").read_bytes() == b"something old"
    assert not (world.target / "second").exists()


def test_where_there_are_no_hard_links_names_become_files_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert world.open().download("latest", world.target, paths=THREE).complete
    assert {(world.target / name[1:]).read_bytes() for name in THREE} == {b"three names"}
    assert {(world.target / name[1:]).stat().st_nlink for name in THREE} == {1}


def test_recovery_without_rrbackup_passes_over_what_it_does_not_know(world: World) -> None:
    recover = Recovery(Path(sys.executable), world.target.parent)
    done = recover("tree", world.target.parent / "store", world.target)
    assert (done.returncode, done.stderr) == (0, "")
    recovered = look(world.target)
    assert {path: (seen.kind, seen.content) for path, seen in recovered.items()} == {
        path: (seen.kind, seen.content) for path, seen in look(world.base).items()
    }
