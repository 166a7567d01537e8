"""Going back to a sound commit on every kind of store, and on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import rrbackup
from rrbackup.cli import main
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store import list_exact
from rrbackup.pure import checkpoint, format2
from rrbackup.pure.model import Diff, DiffKind, ParentRef, RepositoryId, TransactionId, VersionId
from rrbackup.pure.soundness import amiss
from tests.format1_repositories import PLAIN as OLD_PLAIN
from tests.format1_repositories import client_to_go_on, old_repository
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.raw_objects import framed, split
from tests.worlds import World

MANIFEST = "manifest_diffs"
HOSTILE_IDS = ("null", "", "no-such-version", "../../salt_file", "x" * 2000, "a\nb", "ü", "0")


def on(parent: ParentRef, repository: str) -> bytes:
    diff = Diff(RepositoryId(repository), 2, parent, TransactionId("x"), DiffKind.COMMIT, 0, "thief")
    return format2.encode_diff(diff)


@pytest.mark.parametrize("kind", ["memory", "directory", "seaweedfs"])
def test_every_kind_of_store_is_gone_back_on(
    kind: str, new_world: Callable[[str], World], make_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    world = new_world(kind)
    store = world.store()
    bench = make_bench(store)
    write(bench.base, {"a": b"1"})
    head = bench.backup().version_id
    assert head is not None
    repository = format2.decode_diff(store.get(MANIFEST).body, "x").repository
    for hostile in HOSTILE_IDS:
        store.put(MANIFEST, on(ParentRef(VersionId(hostile), "0" * 64), repository))
        with pytest.raises(rrbackup.RRBackupError) as caught:
            bench.open().list_versions()
        assert amiss(caught.value)
        assert "repair" in caught.value.hint
        assert len(bench.open().list_files(head)) == 1
    world.mark_deleted(MANIFEST)
    state = bench.open().manifest_state()
    assert (state.head, len(state.unsound), state.marker is not None) == (head, len(HOSTILE_IDS), True)
    before = [version.ref for version in store.list_versions("")]
    assert bench.open().repair_head(head).version_id is not None
    assert bench.open().manifest_state().sound
    assert {*before} <= {version.ref for version in store.list_versions("")}
    write(bench.base, {"b": b"2"})
    assert bench.backup().counts.new == 1
    bench.open().garbage_collect()
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(bench.base)


# --- mixed repositories --------------------------------------------------------------------------------------------

FORGED_OLD = b'\0\0\0\x09{"V":"1"}['


def test_a_continued_repository_of_rrbackup_1_is_gone_back_on(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    """Down to its first diffs, which name no parent, with forgeries of either format on top."""
    old = old_repository(OLD_PLAIN)
    bench = client_to_go_on(make_bench, old)
    head = bench.backup(upgrade=True).version_id
    assert head is not None
    for forgery in (FORGED_OLD, b"noise", FORGED_OLD):
        old.store.put(MANIFEST, forgery)
    assert bench.open().manifest_state().head == head
    bench.open().repair_head(head)
    newcomer = bench.other_client(tmp_path / "new")
    assert len(newcomer.open().list_versions()) == len(old.commits) + 1
    assert newcomer.open().list_files()[0] == bench.open().list_files(head)[0]
    write(bench.base, {"more": b"more"})
    assert bench.backup().counts.new == 1
    bench.open().garbage_collect()


def test_nothing_of_this_version_is_written_into_a_repository_of_rrbackup_1(make_bench: Callable[..., Bench]) -> None:
    old = old_repository(OLD_PLAIN)
    bench = client_to_go_on(make_bench, old)
    head = bench.open().list_versions()[-1].version_id
    old.store.put(MANIFEST, FORGED_OLD)
    before = [version.ref for version in old.store.list_versions("")]
    assert bench.open().manifest_state().head == head
    assert len(bench.open().list_files(head)) > 0
    with pytest.raises(rrbackup.UpgradeNeeded) as caught:
        bench.open().repair_head(head)
    assert "by hand" in caught.value.hint
    assert [version.ref for version in old.store.list_versions("")] == before


def test_what_only_claims_to_be_encrypted_is_no_sign_of_an_earlier_encrypted_history(
    make_bench: Callable[..., Bench],
) -> None:
    """Diffs lie open, files are encrypted: this client has keys, so it looks for encrypted diffs beside the chain."""
    crypto = rrbackup.CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
    store = MemoryStore()
    bench = make_bench(store, crypto=crypto, file_pipeline=[("*", ["encrypt"])])
    write(bench.base, {"a": b"1"})
    head = bench.backup().version_id
    assert head is not None
    (file,) = store.list_versions("files/")
    header = {**split(store.get(file.key).body)[0], "kind": "diff", "key": MANIFEST}
    store.put(MANIFEST, framed(header, bytes(80)))
    bench.open().repair_head(head)
    assert [version.version_id for version in bench.open().list_versions()] == [head]
    write(bench.base, {"b": b"2"})
    assert bench.backup().counts.new == 1
    bench.open().garbage_collect()


# --- on the command line -------------------------------------------------------------------------------------------


@frozen
class Shell:
    """The command, run on a repository in a folder that has two commits."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> tuple[int, str, str]:
        """The exit code, and what was printed to either stream."""
        self.capsys.readouterr()
        code = main(["--c", str(self.folder / "c.json"), *words])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def json(self, *words: str) -> tuple[int, Any]:
        code, out, _ = self.run(*words, "--json")
        return code, json.loads(out)

    @property
    def ids(self) -> list[str]:
        """Newest first."""
        store = rrbackup.open_repository(rrbackup.load_config(self.folder / "c.json"))._client.store
        return [row.version_id for row in list_exact(store, MANIFEST) if not row.marker]

    def put(self, body: bytes) -> str:
        number = int(self.ids[0].partition("-")[0]) + 1
        version_id = f"{number}-{number:08x}"
        (self.folder / "store" / MANIFEST / f"%v{version_id}").write_bytes(body)
        return version_id


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    settings = {
        "base_path": str(tmp_path / "base"),
        "local_manifest_file": str(tmp_path / "manifest"),
        "local_lock_file": str(tmp_path / "lock"),
        "directory": {"path": str(tmp_path / "store")},
    }
    (tmp_path / "c.json").write_text(json.dumps(settings))
    shell = Shell(tmp_path, capsys)
    for turn in (b"1", b"22"):
        write(tmp_path / "base", {"a": turn})
        assert shell.run("-q", "backup")[0] == 0
    return shell


def test_listings_name_what_is_forged_and_go_on_below(shell: Shell) -> None:
    head, first = shell.ids
    bad = shell.put(b"noise")
    code, out, err = shell.run("list_versions")
    assert code == ExitCode.FAILED
    assert [first in line or head in line for line in out.splitlines()] == [True, True]
    assert bad in err
    assert f"repair --head {head}" in err
    code, document = shell.json("list_versions")
    assert code == ExitCode.FAILED
    assert [version["version_id"] for version in document["versions"]] == [first, head]
    assert [unsound["version_id"] for unsound in document["unsound"]] == [bad]
    assert document["delete_marker"] is None
    for command in ("list_files", "list_changes"):
        code, out, err = shell.run(command, head)
        assert (code, "/a" in out) == (0, True)
        assert bad in err
        code, out, err = shell.run(command, "latest")
        assert (code, out) == (ExitCode.FAILED, "")
        assert bad in err
        assert f"repair --head {head}" in err
    assert shell.run("list_files", "9-nothing")[0] == ExitCode.MISSING
    assert shell.run("download", head, str(shell.folder / "out"))[0] == 0
    assert (shell.folder / "out" / "a").read_bytes() == b"22"
    assert shell.run("download", "latest", str(shell.folder / "none"))[0] == ExitCode.FAILED
    assert not (shell.folder / "none").exists()


def test_repair_shows_what_is_wrong_goes_back_and_then_has_nothing_to_do(shell: Shell) -> None:
    head, first = shell.ids
    assert shell.run("repair")[0] == 0
    assert shell.json("repair") == (
        0,
        {
            "salt_versions": [],
            "manifest": {"head": head, "unsound": [], "delete_marker": None, "strays": [], "lost": None},
        },
    )
    bad = shell.put(b"noise")
    code, out, _ = shell.run("repair")
    assert code == ExitCode.FAILED
    assert bad in out
    assert f"repair --head {head}" in out
    code, document = shell.json("repair")
    assert code == ExitCode.FAILED
    assert [unsound["version_id"] for unsound in document["manifest"]["unsound"]] == [bad]
    assert shell.run("backup")[0] == ExitCode.FAILED
    assert shell.run("repair", "--head", bad)[0] == ExitCode.FAILED
    assert shell.run("repair", "--head", "9")[0] == ExitCode.MISSING
    assert shell.run("repair", "--head", head, "--salt", head)[0] == ExitCode.USAGE
    code, document = shell.json("repair", "--head", head[:3])
    assert (code, document["continues"], document["left_out"], document["set_aside"]) == (0, head, [], [bad])
    assert document["version_id"] == shell.ids[0]
    code, out, _ = shell.run("repair", "--head", head)
    assert (code, "nothing to repair" in out) == (0, True)
    assert shell.run("list_versions")[0] == 0
    code, out, _ = shell.run("repair", "--head", first)
    assert (code, f"left out:  {head}" in out) == (0, True)
    assert shell.json("list_versions")[1]["versions"][-1]["version_id"] == first
    write(shell.folder / "base", {"a": b"333"})
    assert shell.run("-q", "backup")[0] == 0
    assert shell.run("-q", "garbage_collect")[0] == 0


def test_what_claims_a_newer_format_is_listed_and_both_ways_out_are_named(shell: Shell) -> None:
    head = shell.ids[0]
    bad = shell.put(framed({"V": "9", "kind": "diff", "pipeline": []}, b"{}"))
    for command in (["list_versions"], ["repair"]):
        code, out, err = shell.run(*command)
        assert (code, bad in out + err) == (ExitCode.FAILED, True)
        assert "newer rrbackup" in out + err
        assert f"repair --head {head}" in out + err
    assert shell.run("list_files", head)[0] == 0
    assert shell.run("backup")[0] == ExitCode.FAILED
    assert shell.run("repair", "--head", head)[0] == 0
    assert shell.run("backup")[0] == 0


def test_what_is_lost_is_named_and_what_is_whole_is_listed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)
    for number in range(4):
        write(shell.folder / "base", {"a": b"3" * (3 + number)})
        assert shell.run("-q", "backup")[0] == 0
    *whole, below, lost, _ = shell.ids
    (shell.folder / "store" / MANIFEST / f"%v{lost}").unlink()
    code, out, err = shell.run("list_versions")
    assert (code, len(out.splitlines())) == (ExitCode.FAILED, len(whole))
    assert all(version_id in out for version_id in whole)
    assert lost in err
    assert f"{whole[-1]}  and all commits after it are whole" in err
    assert "repair --head" not in err
    document = shell.json("list_versions")[1]
    assert [version["version_id"] for version in document["versions"]] == whole[::-1]
    assert (document["lost"]["before_sequence"], document["lost"]["first_whole"]) == (4, whole[-1])
    code, out, err = shell.run("repair")
    assert (code, f"repair --head {whole[0]}" in out, lost in out) == (ExitCode.FAILED, True, True)
    code, document = shell.json("repair", "--head", whole[0])
    assert (code, below in document["set_aside"]) == (0, True)
    code, out, err = shell.run("repair")
    assert (code, "repair --head" in out, lost in out) == (ExitCode.FAILED, False, True)


def test_a_delete_marker_is_shown_and_gone_back_from(shell: Shell) -> None:
    head = shell.ids[0]
    (shell.folder / "store" / MANIFEST / "%d9-00000009").touch()
    code, out, err = shell.run("list_versions")
    assert (code, len(out.splitlines())) == (ExitCode.FAILED, 2)
    assert "9-00000009" in err
    assert shell.json("repair")[1]["manifest"]["delete_marker"] == "9-00000009"
    assert shell.run("repair", "--head", head)[0] == 0
    assert shell.run("list_versions")[0] == 0
