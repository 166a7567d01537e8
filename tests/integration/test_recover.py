"""Everything that rrbackup has ever stored comes back with recover.py, which knows nothing of rrbackup."""

import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import zstandard
from attrs import evolve, frozen

import rrbackup
from rrbackup import CryptoSettings
from rrbackup.effects import transfer
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.s3 import S3Store
from rrbackup.pure.header import Header, encode_frame
from rrbackup.pure.salt_record import INTERACTIVE
from tests import golden_stores, recover_store
from tests.format1_writer import File, Format1Writer, Lock, derive_key
from tests.golden_stores import ExpectedFile, Golden
from tests.integration.conftest import Bench
from tests.integration.trees import Seen, look, write, write_odd
from tests.recover_store import SCRIPT, NoPackages, Recovery, fetch, put
from tests.servers import S3Server
from tests.worlds import DirectoryWorld

MakeBench = Callable[..., Bench]

PASSWORD = "correct hörse"
CHEAP = CryptoSettings(crypt_password=PASSWORD, kdf_passes=INTERACTIVE.passes, kdf_memory=INTERACTIVE.memory)
SECOND = 10**9

PLAIN: dict[str, Any] = {}
PACKED: dict[str, Any] = {"file_pipeline": [("*", ["compress"])], "meta_pipeline": ["compress"]}
SEALED: dict[str, Any] = {
    "file_pipeline": [
        ("/open*", ["compress"]),
        ("/sealed*", ["encrypt"]),
        ("/hidden*", ["hash_names"]),
        ("*", ["hash_names", "compress", "encrypt"]),
    ],
    "meta_pipeline": ["compress", "encrypt"],
    "crypto": CHEAP,
    "chunk_size": 65_536,
}
PIPELINES = [pytest.param(PLAIN, id="plain"), pytest.param(SEALED, id="sealed")]

HASHED = (rrbackup.Word.HASH_NAMES, rrbackup.Word.ENCRYPT)

BIG = random.Random(1).randbytes(150_000)
"""More than two encrypted chunks."""


@pytest.fixture(scope="session")
def python() -> Path:
    try:
        return recover_store.python_with(recover_store.NEEDED, Path(os.environ["RRBACKUP_TEST_SHARED"]))
    except NoPackages as missing:
        if os.environ.get("CI"):
            pytest.fail(f"the packages that recover.py needs cannot be installed: {missing}")
        pytest.skip(f"the packages that recover.py needs cannot be installed: {missing}")


@pytest.fixture
def recover(python: Path, tmp_path: Path) -> Recovery:
    return Recovery(python, tmp_path, PASSWORD)


# --- the script --------------------------------------------------------------------------------------------------

MAX_LINES, MAX_WIDTH = 80, 120


def test_the_script_is_short_and_needs_two_packages() -> None:
    text = SCRIPT.read_text()
    nodes = list(ast.walk(ast.parse(text)))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in modules} - sys.stdlib_module_names == {"nacl", "zstandard"}
    assert len(text.splitlines()) <= MAX_LINES
    assert max(map(len, text.splitlines())) <= MAX_WIDTH


def test_rrbackup_is_not_there_to_help(recover: Recovery) -> None:
    command = [str(recover.python), "-I", "-c", "import rrbackup"]
    assert "No module named 'rrbackup'" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_without_arguments_it_says_how_it_is_called(recover: Recovery) -> None:
    assert "recover.py tree OBJECTS TARGET [COMMIT]" in recover().stderr


# --- golden stores -----------------------------------------------------------------------------------------------


def recover_golden(golden: Golden, recover: Recovery) -> Recovery:
    names = {"RRBACKUP_MANIFEST_DIFFS": golden.names["manifest"], "RRBACKUP_SALT_FILE": golden.names["salt"]}
    return evolve(recover, password="correct horse", names=names)


@pytest.mark.parametrize("folder", golden_stores.folders())
def test_every_commit_of_a_golden_store_comes_back(folder: str, recover: Recovery, tmp_path: Path) -> None:
    golden = golden_stores.load(folder)
    objects = fetch(golden.store, tmp_path / "objects")
    for commit in golden.commits:
        target = tmp_path / commit.version_id
        done = recover_golden(golden, recover)("tree", objects, target, commit.version_id)
        assert (done.returncode, done.stderr) == (0, "")
        assert expected_files(target, golden.format) == {path_of(path): file for path, file in commit.tree.items()}


def path_of(text: str) -> bytes:
    return unquote_to_bytes(text)[1:]


def expected_files(target: Path, format_: int) -> dict[bytes, ExpectedFile]:
    """What lies there, in the words of the golden stores; format 1 records no modes."""
    return {path: expected_file(seen, format_) for path, seen in look(target, follow=False).items()}


def expected_file(seen: Seen, format_: int) -> ExpectedFile:
    mode = seen.mode if format_ > 1 else None
    match seen.kind:
        case "link":
            return ExpectedFile("symlink", 0, None, seen.mtime_ns, 0o777, os.fsdecode(seen.content))
        case "folder":
            return ExpectedFile("directory", 0, None, seen.mtime_ns, mode)
        case _:
            digest = hashlib.sha256(seen.content).hexdigest()
            return ExpectedFile("file", len(seen.content), digest, seen.mtime_ns, mode)


@pytest.mark.parametrize("folder", golden_stores.mostly_deep())
def test_a_golden_store_without_its_manifest(folder: str, recover: Recovery, tmp_path: Path) -> None:
    """What was sent last of each path comes back: also what a run sent that was then interrupted."""
    golden = golden_stores.load(folder)
    objects = fetch(golden.store, tmp_path / "objects")
    shutil.rmtree(objects / golden.names["manifest"])
    done = recover_golden(golden, recover)("scan", objects, tmp_path / "found")
    assert (done.returncode, done.stderr) == (0, "")
    found = {path: seen.content for path, seen in look(tmp_path / "found").items()}
    assert found == {**SENT_LAST, **(SENT_LAST_1 if golden.format == 1 else SENT_LAST_2), **SENT_TOO.get(folder, {})}


SENT_LAST = {
    b"empty": b"no longer empty\n",
    "folder/100% \\ grün ☂.txt".encode(): b"umbrella\n",
    b"folder/big.bin": bytes(range(256)) * 260,
    b"gone.txt": b"back again\n",
    b"orphan.txt": b"never committed\n",
}
SENT_LAST_1 = {b"a.txt": b"three\n"}
SENT_LAST_2 = {
    b"a.txt": b"two\n",
    b"folder/not UTF-8 \xff": b"not UTF-8\n",
    b"line\nbreak": b"a line break\n",
    b"n" * 250: b"a long name\n",
}
SENT_TOO = {"format2-encrypted": {b"copy of a.txt": b"one\n"}}
"""A duplicate that another rule asks more of."""


# --- what the current code writes --------------------------------------------------------------------------------


def first_edit(base: Path) -> None:
    write_odd(base)
    big = {"big": BIG, "open/big": BIG + b"o", "sealed/big": BIG + b"s", "hidden/big": BIG + b"h"}
    text = {f"{folder}/text": folder.encode() * 500 for folder in ("open", "sealed", "hidden", "other")}
    write(
        base, {**big, **text, "a": b"one", "copy of a": b"one", "empty file": b"", "goes": b"goes away", "run": b"#!"}
    )
    (base / "run").chmod(0o755)
    (base / "goes").chmod(0o600)
    (base / "link").symlink_to("sealed/big")
    (base / "broken \udcff").symlink_to("nowhere/\udcfe")
    os.utime(base / "a", ns=(0, -1_250_000_000))
    os.utime(base / "link", ns=(0, 7), follow_symlinks=False)


def second_edit(base: Path) -> None:
    (base / "goes").unlink()
    (base / "copy of a").unlink()
    write(base, {"a": b"two", "copy of a/now a folder": b"one", "empty file": b"no longer", "open/text": b"2" * 999})
    (base / "run").chmod(0o500)
    (base / "link").unlink()
    (base / "link").symlink_to("a")


def third_edit(base: Path) -> None:
    shutil.rmtree(base / "copy of a")
    shutil.rmtree(base / "hidden")
    write(base, {"copy of a": b"a file again", "goes": b"is back", "sealed/big": BIG[::-1]})


EDITS = (first_edit, second_edit, third_edit)
Commit = tuple[str, dict[bytes, Seen]]


def back_up(bench: Bench, *edits: Callable[[Path], None]) -> list[Commit]:
    """A backup after each edit, with what then lies in the tree."""
    bench = evolve(bench, config=evolve(bench.config, follow_symlinks=False))
    return [backed_up(bench, edit) for edit in edits]


def backed_up(bench: Bench, edit: Callable[[Path], None]) -> Commit:
    edit(bench.base)
    result = bench.backup()
    assert result.complete
    return str(result.version_id), look(bench.base, follow=False)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        pytest.param(PLAIN, "plain", id="plain"),
        pytest.param(PACKED, "hashed", id="packed, names of folders hashed"),
        pytest.param(SEALED, "hashed", id="sealed, names of folders hashed"),
    ],
)
def test_every_commit_in_a_directory_store(
    make_bench: MakeBench, settings: dict[str, Any], names: str, recover: Recovery, tmp_path: Path
) -> None:
    """As it is, without copying anything: also one on a volume that does not tell all names apart."""
    store = directory_store(tmp_path / "store", names)
    commits = back_up(make_bench(store, **settings), *EDITS)
    check_commits(commits, recover, tmp_path / "store")


def directory_store(root: Path, names: str) -> DirectoryStore:
    if names == "hashed":
        DirectoryWorld.hashed(root)
    store = DirectoryStore(root)
    store.prepare()
    return store


@pytest.mark.parametrize("settings", PIPELINES)
def test_every_commit_of_a_fetched_store(
    make_bench: MakeBench, settings: dict[str, Any], recover: Recovery, tmp_path: Path
) -> None:
    store = MemoryStore()
    commits = back_up(make_bench(store, **settings), *EDITS)
    check_commits(commits, recover, fetch(store, tmp_path / "objects"))


def check_commits(commits: list[Commit], recover: Recovery, objects: Path) -> None:
    for version_id, tree in commits:
        target, newest = recover.folder / f"restored {version_id}", version_id == commits[-1][0]
        done = recover("tree", objects, target, *([] if newest else [version_id]))
        assert (done.returncode, done.stderr) == (0, "")
        assert look(target, follow=False) == tree


def test_a_store_with_a_prefix(make_bench: MakeBench, recover: Recovery, tmp_path: Path) -> None:
    store = directory_store(tmp_path / "store", "plain")
    inner = DirectoryStore(tmp_path / "store", prefix="some/machine")
    commits = back_up(make_bench(inner, **SEALED), third_edit_alone)
    assert list(store.list_versions("some/machine/files"))
    check_commits(commits, recover, tmp_path / "store" / "some" / "machine")


def third_edit_alone(base: Path) -> None:
    write(base, {"a": b"one", "folder/big": BIG})


def test_large_files_that_were_sent_as_streams(
    make_bench: MakeBench, recover: Recovery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SMALL_BYTES", 1 << 16)
    bench = make_bench(directory_store(tmp_path / "store", "plain"), **SEALED)

    def edit(base: Path) -> None:
        write(
            base, {"zeros": bytes(30 << 20), "noise": BIG * 9, "open zeros": bytes(9 << 20), "sealed": bytes(3 << 16)}
        )

    check_commits(back_up(bench, edit), recover, tmp_path / "store")


# --- without the manifest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", PIPELINES)
def test_the_newest_tree_without_the_manifest(
    make_bench: MakeBench, settings: dict[str, Any], recover: Recovery, tmp_path: Path
) -> None:
    """Contents, times and modes come from the objects alone; what was deleted comes back, as docs/recover.md says."""
    store = directory_store(tmp_path / "store", "plain")
    commits = back_up(make_bench(store, **settings), unlike_files, unlike_files_changed)
    shutil.rmtree(tmp_path / "store" / "manifest_diffs")
    done = recover("scan", tmp_path / "store", tmp_path / "found")
    assert (done.returncode, done.stderr) == (0, "")
    assert look(tmp_path / "found") == {**commits[0][1], **commits[1][1]}


def unlike_files(base: Path) -> None:
    write(base, {f"{folder}/file": folder.encode() * 99 for folder in ("open", "sealed", "hidden", "other \\ %41 ü")})
    write(base, {"hidden/\udcff": b"not UTF-8", "goes": b"away", "n" * 255: b"long", "big": BIG})
    write(base, {"sealed.zst": zstandard.compress(b"a frame in a file"), "open.zst": zstandard.compress(BIG)})
    (base / "goes").chmod(0o600)
    os.utime(base / "big", ns=(0, 1_000_000_007))


def unlike_files_changed(base: Path) -> None:
    (base / "goes").unlink()
    write(base, {"open/file": b"newer", "other \\ %41 ü/file": b"newer too"})
    (base / "open/file").chmod(0o444)


def test_hashed_names_without_a_password_keep_their_hashes(
    make_bench: MakeBench, recover: Recovery, tmp_path: Path
) -> None:
    store = directory_store(tmp_path / "store", "plain")
    back_up(make_bench(store, file_pipeline=[("*", ["hash_names"])]), lambda base: write(base, {"name": b"content"}))
    assert recover("scan", tmp_path / "store", tmp_path / "found").returncode == 0
    name = hashlib.sha256(b"/name").hexdigest()
    assert (tmp_path / "found" / "%h" / name).read_bytes() == b"content"


def test_of_two_keys_for_one_path_the_one_stored_last_counts(
    make_bench: MakeBench, recover: Recovery, tmp_path: Path
) -> None:
    store = directory_store(tmp_path / "store", "plain")
    bench = make_bench(store, **{**SEALED, "file_pipeline": [("*", ["encrypt"])]})
    back_up(bench, lambda base: write(base, {"a": b"older"}), lambda base: write(base, {"a": b"old"}))
    bench = evolve(bench, config=evolve(bench.config, file_pipeline=[("*", HASHED)]))
    back_up(bench, lambda base: write(base, {"a": b"new"}))
    (newest,) = (tmp_path / "store" / "files" / "%h").rglob("%v1-*")
    os.utime(newest, (2**31, 2**31))
    assert recover("scan", tmp_path / "store", tmp_path / "found").returncode == 0
    assert (tmp_path / "found" / "a").read_bytes() == b"new"


def test_a_file_that_looks_like_an_encrypted_object(make_bench: MakeBench, recover: Recovery, tmp_path: Path) -> None:
    """For instance that of somebody who backs up a store."""
    body = encode_frame(Header("diff"), b"{}")
    store = directory_store(tmp_path / "store", "plain")
    commits = back_up(make_bench(store), lambda base: write(base, {"%41": body}))
    check_commits(commits, recover, tmp_path / "store")
    assert recover("scan", tmp_path / "store", tmp_path / "found").returncode == 0
    assert (tmp_path / "found" / "%41").read_bytes() == body


# --- one object --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", PIPELINES)
def test_a_single_object_opens(
    make_bench: MakeBench, settings: dict[str, Any], recover: Recovery, tmp_path: Path
) -> None:
    store = MemoryStore()
    bench = make_bench(store, **settings)
    back_up(bench, first_edit)
    if "crypto" in settings:
        (tmp_path / "salt_file").write_bytes(store.get("salt_file").body)
    for path, content in (("/open/big", BIG + b"o"), ("/other/text", b"other" * 500)):
        (ref,) = (entry.object for entry in bench.open().list_files() if entry.path == path and entry.object)
        (tmp_path / "object").write_bytes(store.get(ref.key).body)
        done = recover("open", "object", f"%41 ü{len(content)}")
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / f"%41 ü{len(content)}").read_bytes() == content


def test_a_single_object_of_format_1_opens(recover: Recovery, tmp_path: Path) -> None:
    golden = golden_stores.load("format1-encrypted")
    for key in ("files/folder/big.bin", "files/gone.txt"):
        (tmp_path / "object").write_bytes(golden.store.get(key).body)
        assert evolve(recover, password="correct horse")("open", "object", f"%41 ü {Path(key).name}").returncode == 0
    assert (tmp_path / "%41 ü big.bin").read_bytes() == bytes(range(256)) * 260
    assert (tmp_path / "%41 ü gone.txt").read_bytes() == b"back again\n"


def test_a_name_of_format_1_is_taken_as_it_is(recover: Recovery, tmp_path: Path) -> None:
    put(
        tmp_path / "objects",
        "files/%41 100%",
        "1=x",
        golden_stores.load("format1-plain").store.get("files/gone.txt").body,
    )
    assert recover("scan", "objects", "found").returncode == 0
    assert (tmp_path / "found" / "%41 100%").read_bytes() == b"back again\n"


def test_a_compressed_object_that_is_cut_off_leaves_no_file(recover: Recovery, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(zstandard.compress(BIG)[:-1])
    assert recover("open", "object", "file").stderr == "b'/file': ValueError('cut off')\n"
    assert not (tmp_path / "file").exists()


def test_opening_replaces_no_file(recover: Recovery, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"new")
    (tmp_path / "file").write_bytes(b"kept")
    assert recover("open", "object", "file").returncode == 1
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.deep
def test_a_huge_file_of_zeros_needs_no_huge_memory(recover: Recovery, tmp_path: Path) -> None:
    zeros = zstandard.ZstdCompressor().compressobj(size=1 << 30)
    body = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(1 << 10)) + zeros.flush()
    (tmp_path / "object").write_bytes(body)
    assert evolve(recover, memory=1 << 29)("open", "object", "file").stderr == ""
    assert (tmp_path / "file").stat().st_size == 1 << 30


# --- a repository of rrbackup 1.0 that was continued -------------------------------------------------------------


def test_both_formats_and_a_changed_password(make_bench: MakeBench, recover: Recovery, tmp_path: Path) -> None:
    """The key of the old objects comes out of the salt object: no password gives it any more."""
    store = MemoryStore()
    salt = bytes(range(16))

    def put_version(key: str, body: bytes | None) -> str:
        store.clock_ns += SECOND
        return store.mark_deleted(key) if body is None else store.put(key, body).version_id

    old = Format1Writer(put_version, compress=True, lock=Lock(derive_key(PASSWORD.encode(), salt), salt), chunk=65_536)
    old.prepare()
    old_tree = {"/stays": File(BIG), "/goes": File(b"away"), "/changes": File(b"before")}
    old_ids = [old.commit({"/stays": File(BIG)}), old.commit(old_tree)]
    bench = make_bench(store, **SEALED)
    write(bench.base, {"stays": BIG, "changes": b"after", "new": b"new"})
    bench.open(follow_symlinks=False).backup(upgrade=True)
    bench.open(follow_symlinks=False).change_password("another")
    objects = fetch(store, tmp_path / "objects")
    changed = evolve(recover, password="another")
    assert changed("tree", objects, tmp_path / "new").stderr == ""
    assert look(tmp_path / "new").keys() == {b"stays", b"changes", b"new"}
    assert contents(tmp_path / "new") == contents(bench.base)
    for version_id, tree in zip(old_ids, ({"/stays": File(BIG)}, old_tree), strict=True):
        assert changed("tree", objects, tmp_path / version_id, version_id).stderr == ""
        assert contents(tmp_path / version_id) == {path[1:].encode(): file.content for path, file in tree.items()}
    assert recover("tree", objects, tmp_path / "wrong").returncode == 1


def contents(folder: Path) -> dict[bytes, bytes]:
    return {path: seen.content for path, seen in look(folder).items()}


# --- what goes wrong ---------------------------------------------------------------------------------------------


@frozen
class Sealed:
    """A fetched repository of one commit in which everything is encrypted."""

    store: MemoryStore
    objects: Path
    refs: dict[str, rrbackup.VersionRef]

    def file(self, path: str) -> Path:
        ref = self.refs[path]
        (found,) = (self.objects / ref.key).glob(f"%v*={ref.version_id}")
        return found


@pytest.fixture
def sealed(make_bench: MakeBench, tmp_path: Path) -> Sealed:
    store = MemoryStore()
    bench = make_bench(store, **{**SEALED, "file_pipeline": [("*", ["encrypt"])]})
    back_up(bench, lambda base: write(base, {"a": b"one", "big": BIG, "c": b"three"}))
    refs = {str(entry.path): entry.object.ref for entry in bench.open().list_files() if entry.object}
    return Sealed(store, fetch(store, tmp_path / "objects"), refs)


@pytest.mark.parametrize("command", ["tree", "scan"])
def test_a_wrong_password_is_told_in_one_line(command: str, sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    done = evolve(recover, password="wrong")(command, sealed.objects, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("wrong password")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_wrong_password_for_format_1(recover: Recovery, tmp_path: Path) -> None:
    objects = fetch(golden_stores.load("format1-encrypted").store, tmp_path / "objects")
    done = evolve(recover, password="wrong")("tree", objects, tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("wrong password")


def test_without_the_salt_object_it_says_what_is_missing(sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    shutil.rmtree(sealed.objects / "salt_file")
    done = recover("tree", sealed.objects, tmp_path / "out")
    assert done.returncode == 1
    assert "KeyError('salt_file')" in done.stderr


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda body: body[:-1] + bytes([body[-1] ^ 1]), id="changed at its end"),
        pytest.param(lambda body: body[:500] + bytes([body[500] ^ 1]) + body[501:], id="changed in the middle"),
        pytest.param(lambda body: body[:-1], id="cut off"),
        pytest.param(lambda body: body[: -(len(BIG) % 65_536 + 17)], id="cut off between two chunks"),
        pytest.param(lambda body: body + b"x", id="longer"),
        pytest.param(lambda body: body[:10], id="cut off in its header"),
    ],
)
@pytest.mark.parametrize("command", ["tree", pytest.param("scan", marks=pytest.mark.deep), "open"])
def test_a_damaged_object_is_named_and_leaves_no_file(
    command: str, damage: Callable[[bytes], bytes], sealed: Sealed, recover: Recovery, tmp_path: Path
) -> None:
    file = sealed.file("/big")
    file.write_bytes(damage(file.read_bytes()))
    (tmp_path / "salt_file").write_bytes(sealed.store.get("salt_file").body)
    source, target = (file, "out/big") if command == "open" else (sealed.objects, "out")
    done = recover(command, source, target)
    assert done.returncode == 1
    assert "big" in done.stderr
    assert look(tmp_path / "out").keys() == ({b"a", b"c"} if command != "open" else set())


@pytest.mark.parametrize("command", ["tree", "scan"])
def test_an_object_that_was_emptied_is_named(command: str, sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    sealed.file("/big").write_bytes(b"")
    done = recover(command, sealed.objects, "out")
    assert done.returncode == 1
    assert done.stderr.startswith("b'/big': ")
    assert look(tmp_path / "out").keys() == {b"a", b"c"}


def test_damaged_user_metadata_costs_a_name_and_no_content(sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    file = sealed.file("/big")
    file.with_name("%m" + file.name[2:]).write_text('{"rrbackup-sealed": "AAAA"}')
    done = recover("scan", sealed.objects, "out")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"%m{file.name[2:]}, which is passed over" in done.stderr
    assert contents(tmp_path / "out") == {b"a": b"one", b"big": BIG, b"c": b"three"}


def test_a_plain_file_with_another_content_is_not_written(
    make_bench: MakeBench, recover: Recovery, tmp_path: Path
) -> None:
    store = MemoryStore()
    back_up(make_bench(store), lambda base: write(base, {"a": b"right", "b": b"b"}))
    objects = fetch(store, tmp_path / "objects")
    (file,) = (objects / "files" / "a").glob("%v*")
    file.write_bytes(b"wrong")
    for command in ("tree", "scan"):
        done = recover(command, objects, command)
        assert (done.returncode, done.stderr) == (1, "b'/a': ValueError('digest differs')\n")
        assert look(tmp_path / command).keys() == {b"b"}


def test_a_version_that_is_missing_is_named(sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    sealed.file("/big").unlink()
    done = recover("tree", sealed.objects, "out")
    ref = sealed.refs["/big"]
    assert (done.returncode, done.stderr) == (1, f"b'/big': KeyError(('{ref.key}', '{ref.version_id}'))\n")
    assert look(tmp_path / "out").keys() == {b"a", b"c"}


def test_a_commit_that_is_not_there_is_named(sealed: Sealed, recover: Recovery) -> None:
    done = recover("tree", sealed.objects, "out", "no-such-commit")
    assert (done.returncode, done.stderr) == (1, "KeyError(('manifest_diffs', 'no-such-commit'))\n")


@pytest.mark.parametrize("settings", PIPELINES)
def test_a_diff_that_was_changed_stops_it(
    make_bench: MakeBench, settings: dict[str, Any], recover: Recovery, tmp_path: Path
) -> None:
    store = MemoryStore()
    commits = back_up(make_bench(store, **settings), *EDITS)
    objects = fetch(store, tmp_path / "objects")
    (diff,) = (objects / "manifest_diffs").glob(f"%v*={commits[1][0]}")
    diff.write_bytes(diff.read_bytes() + b" ")
    done = recover("tree", objects, "out")
    assert (done.returncode, done.stderr) == (1, f"the diff {commits[1][0]} was changed\n")
    assert not (tmp_path / "out").exists()
    check_commits(commits[:1], recover, only_first(objects))


def only_first(objects: Path) -> Path:
    for diff in sorted((objects / "manifest_diffs").glob("%v*"), key=lambda file: int(file.name[2:].split("=")[0]))[1:]:
        diff.unlink()
    return objects


# --- what nobody should have written -----------------------------------------------------------------------------


def diff_of(changes: list[dict[str, object]], **fields: object) -> bytes:
    payload = json.dumps({"format": 2, "sequence": 1, "parent": None, "changes": changes, **fields})
    return encode_frame(Header("diff"), payload.encode())


def empty_file(path: str, **fields: object) -> dict[str, object]:
    return {"status": "new", "path": path, "sha256": hashlib.sha256().hexdigest(), **fields}


def test_nothing_is_written_outside_the_target(recover: Recovery, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    hostile = ["/../up", "/%2E%2E/above", "/a/../../up", "/", "", "//", "/link/inside", "/link/deep/er"]
    hostile.append(f"/{outside}/x/..")
    changes: list[dict[str, object]] = [
        {"status": "new", "path": "/link", "type": "symlink", "target": str(outside)},
        *(empty_file(path) for path in hostile),
        {"status": "new", "path": "/link/folder", "type": "directory", "mode": 0o777},
        {"status": "new", "path": "/link/link", "type": "symlink", "target": "x"},
        {"status": "new", "path": "/a", "type": "directory", "mode": 0o6777},
        empty_file("/fine", mode=0o4755),
        empty_file("/fine/not"),
    ]
    put(tmp_path / "objects", "manifest_diffs", "1=x", diff_of(changes))
    done = recover("tree", tmp_path / "objects", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (1, len(hostile) + 3)
    assert list(outside.iterdir()) == []
    modes = {path: seen.mode for path, seen in look(tmp_path / "out", follow=False).items()}
    assert modes == {b"link": 0, b"a": 0o777, b"fine": 0o755}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["objects", "out", "outside"]


def test_a_diff_that_anybody_could_have_put_on_top_is_refused(
    sealed: Sealed, recover: Recovery, tmp_path: Path
) -> None:
    (head,) = (sealed.objects / "manifest_diffs").glob("%v*")
    parent = {"version_id": head.name.partition("=")[2], "sha256": hashlib.sha256(head.read_bytes()).hexdigest()}
    forged = diff_of([{"status": "deleted", "path": "/big"}], parent=parent, sequence=2)
    put(sealed.objects, "manifest_diffs", "999=forged", forged)
    done = recover("tree", sealed.objects, "out")
    assert done.returncode == 1
    assert "forged is not encrypted" in done.stderr
    assert recover("tree", sealed.objects, "out", parent["version_id"]).returncode == 0
    assert look(tmp_path / "out").keys() == {b"a", b"big", b"c"}


def test_a_target_that_exists_is_left_alone(sealed: Sealed, recover: Recovery, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = recover("tree", sealed.objects, "out")
    assert done.returncode == 1
    assert done.stderr.startswith("FileExistsError")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_later_version_wrote_is_refused(recover: Recovery, tmp_path: Path) -> None:
    put(tmp_path / "needs", "manifest_diffs", "1=x", diff_of([], requires=["wings"]))
    put(tmp_path / "later", "manifest_diffs", "1=x", diff_of([]).replace(b'"V":"2"', b'"V":"3"'))
    assert "requires ['wings']" in recover("tree", "needs", "out").stderr
    assert "a later format" in recover("tree", "later", "out").stderr
    assert not (tmp_path / "out").exists()


# --- docs/recover.md ---------------------------------------------------------------------------------------------

DOCUMENT = Path(rrbackup.__file__).parents[1] / "docs" / "recover.md"


def test_the_document_installs_what_the_script_needs() -> None:
    assert f"pip install {' '.join(recover_store.NEEDED)}\n" in DOCUMENT.read_text()


def test_every_command_line_in_the_document_is_one_that_the_script_takes() -> None:
    shown = re.findall(r"bin/python recover\.py (\w+) ", DOCUMENT.read_text())
    assert set(shown) == {"open", "tree", "scan"}


def access_to(server: S3Server) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_what_the_document_fetches_from_a_bucket(
    make_bench: MakeBench, moto_server: S3Server, recover: Recovery, tmp_path: Path
) -> None:
    bucket = moto_server.new_bucket()
    bench = make_bench(S3Store(moto_server.options(bucket, "machine")), **SEALED)
    commits = back_up(bench, *EDITS)
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        cwd=tmp_path,
        env={**os.environ, **access_to(moto_server), "BUCKET": bucket, "PREFIX": "machine/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    check_commits(commits, recover, tmp_path / "objects" / "machine")
    recover("scan", tmp_path / "objects" / "machine", "found")
    assert (tmp_path / "found" / "a").read_bytes() == b"two"
