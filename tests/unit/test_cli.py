"""Every command, for people and with `--json`, on a directory store."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rrbackup.effects.store import Always
from rrbackup.pure import format2
from rrbackup.pure.model import VersionRef
from tests.unit.cli_bench import Bench


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


@pytest.fixture
def two_versions(bench: Bench) -> Bench:
    """A first commit, then one with a new, a changed and a deleted file."""
    assert bench.run("-q").code == 0
    (bench.source / "a").write_bytes(b"first, changed")
    (bench.source / "c").write_bytes(b"third")
    (bench.source / "folder" / "b").unlink()
    (bench.source / "folder").rmdir()
    assert bench.run("-q").code == 0
    return bench


# --- backup ------------------------------------------------------------------------------------------------


def test_no_command_is_a_backup(bench: Bench) -> None:
    ran = bench.run("--json")
    assert ran.code == 0
    assert ran.document["version_id"]


def test_a_backup_says_what_it_did(bench: Bench) -> None:
    document = bench.run("backup", "--json").document
    assert document == {
        "version_id": document["version_id"],
        "sequence": 1,
        "new": 2,
        "changed": 0,
        "deleted": 0,
        "bytes": 15,
        "unchanged": 0,
        "uploaded_files": 2,
        "uploaded_bytes": 15,
        "problems": [],
    }


def test_a_backup_without_changes_has_no_version(bench: Bench) -> None:
    bench.run("backup")
    document = bench.run("backup", "--json").document
    assert (document["version_id"], document["sequence"], document["unchanged"]) == (None, None, 2)


def test_the_summary_names_the_whole_version_id(bench: Bench) -> None:
    ran = bench.run("backup")
    (version,) = bench.run("list_versions", "--json").document["versions"]
    assert ran.out.splitlines() == [
        "backed up: 2 new, 0 changed, 0 deleted; 0 unchanged",
        "uploaded:  2 files, 15 B",
        f"version:   {version['version_id']} (#1)",
    ]


def test_quiet_says_nothing_when_all_is_well(bench: Bench) -> None:
    ran = bench.run("-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_verbose_names_each_file(bench: Bench) -> None:
    assert "/folder/b: 10 B, uploaded" in bench.run("-v").err


def test_a_dry_run_shows_the_plan_and_writes_nothing(bench: Bench) -> None:
    bench.run("init")
    (bench.source / "empty").mkdir()
    ran = bench.run("backup", "--dry-run", "--json")
    assert (ran.code, ran.document) == (
        0,
        {
            "head": None,
            "candidates": [
                {"path": "/a", "size": 5, "reason": "new"},
                {"path": "/folder/b", "size": 10, "reason": "new"},
            ],
            "changes": [{"path": "/empty", "status": "new", "reason": "new"}],
            "unchanged": 0,
            "requests": 16,
            "problems": [],
        },
    )
    assert bench.run("list_versions", "--json").document == {"versions": []}


def test_a_dry_run_gives_the_reason_for_each_path(two_versions: Bench) -> None:
    (two_versions.source / "a").write_bytes(b"longer than before")
    (two_versions.source / "c").unlink()
    lines = two_versions.run("--dry-run").out.splitlines()
    assert lines[0].split() == ["upload", "18", "B", "/a", "(size", "changed)"]
    assert lines[1].split() == ["delete", "/c", "(gone)"]
    assert lines[2] == "a backup would read 1 file (18 B) and record 1 other change; 0 unchanged"


def test_the_head_of_a_dry_run_is_the_newest_version(two_versions: Bench) -> None:
    newest = two_versions.run("list_versions", "--json").document["versions"][-1]
    assert two_versions.run("--dry-run", "--json").document["head"] == newest["version_id"]


# --- listings ----------------------------------------------------------------------------------------------


def test_versions_are_listed_newest_last(two_versions: Bench) -> None:
    first, second = two_versions.run("list_versions", "--json").document["versions"]
    assert (first["sequence"], first["new"], first["bytes"]) == (1, 2, 15)
    assert (second["sequence"], second["new"], second["changed"], second["deleted"]) == (2, 1, 1, 1)
    assert set(second) == {"version_id", "sequence", "created", "host", "new", "changed", "deleted", "bytes"}


def test_the_time_of_a_version_is_utc(two_versions: Bench) -> None:
    created = two_versions.run("list_versions", "--json").document["versions"][0]["created"]
    assert created.endswith("Z")
    assert datetime.fromisoformat(created).tzinfo == UTC


def test_versions_for_people_stand_in_columns(two_versions: Bench) -> None:
    rows = two_versions.run("list_versions").out.splitlines()
    ids = [v["version_id"] for v in two_versions.run("list_versions", "--json").document["versions"]]
    assert [row.split()[2] for row in rows] == ids
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S+ +#2  \+1  ~1  -1  19 B  \S+", rows[1])


def test_no_versions_are_no_error(bench: Bench) -> None:
    assert bench.run("init").code == 0
    ran = bench.run("list_versions")
    assert (ran.code, ran.out, ran.err) == (0, "", "rrbackup: there are no versions yet\n")


@pytest.mark.parametrize(("version", "paths"), [("latest", ["/a", "/c"]), ("latest~1", ["/a", "/folder/b"])])
def test_the_files_of_a_version(two_versions: Bench, version: str, paths: list[str]) -> None:
    lines = two_versions.run("list_files", version).out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == paths
    document = two_versions.run("list_files", version, "--json").document
    assert [row["path"] for row in document["files"]] == paths


def test_a_file_is_listed_with_all_that_is_known_of_it(two_versions: Bench) -> None:
    stat = (two_versions.source / "c").stat()
    row = two_versions.run("list_files", "latest", "--json").document["files"][1]
    assert row == {
        "path": "/c",
        "type": "file",
        "size": 5,
        "mtime_ns": stat.st_mtime_ns,
        "mode": stat.st_mode & 0o7777,
        "sha256": row["sha256"],
        "key": "files/c",
        "object_version_id": row["object_version_id"],
        "stored_size": 5,
        "format": 2,
        "pipeline": [],
    }


def test_a_folder_and_a_link_have_only_what_they_have(bench: Bench) -> None:
    bench.configure(follow_symlinks=False)
    (bench.source / "empty").mkdir()
    (bench.source / "link").symlink_to("a")
    bench.run()
    rows = {row["path"]: row for row in bench.run("list_files", "latest", "--json").document["files"]}
    assert set(rows["/empty"]) == {"path", "type", "size", "mtime_ns", "mode"}
    assert (rows["/link"]["type"], rows["/link"]["target"]) == ("symlink", "a")
    assert "/link -> a" in bench.run("list_files", "latest").out


def test_verbose_listings_say_where_content_is_stored(two_versions: Bench) -> None:
    row = two_versions.run("list_files", "latest", "--json").document["files"][1]
    line = f"    files/c  version {row['object_version_id']}  5 bytes, stored as it is"
    assert line in two_versions.run("list_files", "-v", "latest").out.splitlines()
    assert line in two_versions.run("list_changes", "-v", "latest").out.splitlines()


def test_the_changes_of_a_version(two_versions: Bench) -> None:
    document = two_versions.run("list_changes", "latest", "--json").document
    rows = [(row["status"], row["path"]) for row in document["changes"]]
    assert rows == [("changed", "/a"), ("new", "/c"), ("deleted", "/folder/b")]
    lines = two_versions.run("list_changes", "latest").out.splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines] == rows


@pytest.mark.parametrize("command", ["list_files", "list_changes"])
@pytest.mark.parametrize(
    "shorten",
    [lambda whole: whole, lambda whole: whole[:-1], lambda _: "latest~1"],
    ids=["id", "prefix", "latest~1"],
)
def test_a_listing_says_which_version_it_shows(
    two_versions: Bench, command: str, shorten: Callable[[str], str]
) -> None:
    first = two_versions.run("list_versions", "--json").document["versions"][0]["version_id"]
    assert two_versions.run(command, shorten(first), "--json").document["version_id"] == first


# --- download ----------------------------------------------------------------------------------------------


def test_download_brings_back_an_older_version(two_versions: Bench) -> None:
    ran = two_versions.run("download", "latest~1", str(two_versions.target), "--json")
    first = two_versions.run("list_versions", "--json").document["versions"][0]["version_id"]
    assert ran.document == {
        "version_id": first,
        "files": 2,
        "bytes": 15,
        "left": 0,
        "removed": 0,
        "problems": [],
    }
    assert (two_versions.target / "folder" / "b").read_bytes() == b"second one"


def test_download_leaves_out_what_the_filter_file_names(two_versions: Bench, tmp_path: Path) -> None:
    filters = tmp_path / "filters"
    filters.write_text("# not these\n/fold*\n")
    two_versions.run("download", "latest~1", str(two_versions.target), str(filters))
    assert [path.name for path in two_versions.target.iterdir()] == ["a"]


def test_download_tells_what_it_did(two_versions: Bench) -> None:
    ran = two_versions.run("download", "latest~1", str(two_versions.target))
    assert ran.out.splitlines()[0] == f"downloaded 2 entries, 15 B, into {two_versions.target}"


# --- garbage -----------------------------------------------------------------------------------------------


def _orphan(bench: Bench) -> VersionRef:
    stored = bench.directory_store().put("files/orphan", b"nobody's")
    return VersionRef("files/orphan", stored.version_id)


def test_garbage_collect_deletes_what_no_commit_refers_to(two_versions: Bench) -> None:
    orphan = _orphan(two_versions)
    ran = two_versions.run("garbage-collect", "--json")
    assert (ran.code, ran.document) == (0, {"deleted": [[orphan.key, orphan.version_id]]})
    assert two_versions.run("garbage_collect").out.startswith("nothing to delete")
    assert two_versions.run("download", "latest~1", str(two_versions.target)).code == 0


def test_garbage_collect_tells_what_it_did(two_versions: Bench) -> None:
    orphan = _orphan(two_versions)
    assert two_versions.run("garbage_collect", "-v").out.splitlines() == [
        f"files/orphan  {orphan.version_id}",
        "deleted 1 version that no commit refers to",
    ]


def test_clean_gc_log_deletes_what_the_garbage_list_names(two_versions: Bench) -> None:
    listed, other = _orphan(two_versions), _orphan(two_versions)
    store = two_versions.directory_store()
    store.put("garbage_objects", format2.encode_garbage([listed]), condition=Always())
    ran = two_versions.run("clean-gc-log", "--json")
    assert ran.document == {"deleted": [[listed.key, listed.version_id]]}
    assert [row.version_id for row in store.list_versions("files/orphan")] == [other.version_id]
