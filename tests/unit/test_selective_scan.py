"""The keys that leave something out besides `ignore_files`, and `include_files` above them all."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.effects.filesystem import ScanOptions, scan
from rrbackup.effects.selective_scan import left_out, scan_selected
from rrbackup.pure.exclusions import CACHE_SIGNATURE, Exclusions, Ignoring
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import EntryType, PathText, Problem
from rrbackup.pure.names import path_order
from rrbackup.pure.reason import Reason
from rrbackup.pure.scan import LeftOut
from tests.unit.cli_bench import Bench

NOTHING: tuple[str, ...] = ()


def exclusions(
    include: tuple[str, ...] = NOTHING,
    caches: bool = False,
    if_present: tuple[str, ...] = NOTHING,
    larger: int | None = None,
) -> Exclusions:
    return Exclusions(Filters.of(include), caches, frozenset(if_present), larger)


def scanned(
    base: Path, ignore: tuple[str, ...], given: Exclusions, *, follow: bool = True
) -> tuple[list[PathText], dict[PathText, Reason]]:
    """The paths of the entries, and what was left out."""
    options = ScanOptions(Ignoring(Filters.of(ignore), given.include), follow_symlinks=follow)
    found = list(scan_selected(base, options, given))
    assert not [item for item in found if isinstance(item, Problem)]
    entries = [item.path for item in found if not isinstance(item, Problem | LeftOut)]
    assert entries == sorted(entries, key=path_order)
    return entries, {item.path: item.reason for item in found if isinstance(item, LeftOut)}


def make(base: Path, *paths: str, content: bytes = b"x") -> None:
    for path in paths:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(content)


def tag(base: Path, folder: str, content: bytes = CACHE_SIGNATURE + b"\n# made by a test") -> None:
    make(base, f"{folder}/CACHEDIR.TAG", content=content)


# --- marks -------------------------------------------------------------------------------------------------------


def test_of_a_tagged_folder_only_the_tag_is_kept(tmp_path: Path) -> None:
    make(tmp_path, "cache/a", "cache/deep/er/b", "data/c")
    tag(tmp_path, "cache")
    assert scanned(tmp_path, (), exclusions(caches=True)) == (
        ["/cache/CACHEDIR.TAG", "/data/c"],
        {"/cache": Reason.CACHE},
    )


@pytest.mark.parametrize("content", [b"", b"Signature: 8a477f597d28d172789f06886806bc5", b" " + CACHE_SIGNATURE])
def test_a_tag_without_the_signature_marks_nothing(tmp_path: Path, content: bytes) -> None:
    make(tmp_path, "cache/a")
    tag(tmp_path, "cache", content)
    assert scanned(tmp_path, (), exclusions(caches=True)) == (["/cache/CACHEDIR.TAG", "/cache/a"], {})


def test_a_tag_that_is_a_link_a_folder_or_a_pipe_marks_nothing(tmp_path: Path) -> None:
    tag(tmp_path, "real")
    make(tmp_path, "linked/a", "folder/CACHEDIR.TAG/a")
    (tmp_path / "linked/CACHEDIR.TAG").symlink_to(tmp_path / "real/CACHEDIR.TAG")
    found, out = scanned(tmp_path, (), exclusions(caches=True))
    assert {"/linked/a", "/folder/CACHEDIR.TAG/a"} <= set(found)
    assert out == {"/real": Reason.CACHE}
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped/CACHEDIR.TAG")
    assert left_out(tmp_path, PathText("/piped/x"), exclusions(caches=True), follow_symlinks=True) is None


def test_tags_mean_nothing_unless_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "cache/a")
    tag(tmp_path, "cache")
    assert scanned(tmp_path, (), exclusions(larger=1000))[0] == ["/cache/CACHEDIR.TAG", "/cache/a"]


def test_of_a_folder_with_a_file_of_that_name_only_that_file_is_kept(tmp_path: Path) -> None:
    make(tmp_path, "a/.nobackup", "a/b/c", "d/e/.skip", "d/e/f", "d/g", "h/.nobackup/i")
    found, out = scanned(tmp_path, (), exclusions(if_present=(".nobackup", ".skip")))
    assert found == ["/a/.nobackup", "/d/e/.skip", "/d/g", "/h/.nobackup/i"]
    assert out == {"/a": Reason.MARKED, "/d/e": Reason.MARKED}


def test_a_mark_in_the_base_path_itself_counts_for_nothing(tmp_path: Path) -> None:
    make(tmp_path, ".nobackup", "a", "CACHEDIR.TAG", content=CACHE_SIGNATURE)
    assert scanned(tmp_path, (), exclusions(caches=True, if_present=(".nobackup",))) == (
        ["/.nobackup", "/CACHEDIR.TAG", "/a"],
        {},
    )


def test_a_mark_that_is_ignored_still_marks_and_its_folder_is_recorded_as_empty(tmp_path: Path) -> None:
    make(tmp_path, "a/.nobackup", "a/b")
    options = ScanOptions(Filters.of(["*/.nobackup"]))
    found = list(scan_selected(tmp_path, options, exclusions(if_present=(".nobackup",))))
    assert [(i.path, i.type) for i in found if not isinstance(i, Problem | LeftOut)] == [("/a", EntryType.DIRECTORY)]


# --- sizes -------------------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_limit_is_left_out_and_its_folder_stays(tmp_path: Path) -> None:
    make(tmp_path, "just", content=b"1234")
    make(tmp_path, "folder/large", content=b"12345")
    (tmp_path / "link").symlink_to("folder/large")
    given = exclusions(larger=4)
    assert scanned(tmp_path, (), given) == (
        ["/folder", "/just"],
        {"/folder/large": Reason.LARGE, "/link": Reason.LARGE},
    )
    assert scanned(tmp_path, (), given, follow=False)[0] == ["/folder", "/just", "/link"]


# --- taken in again ----------------------------------------------------------------------------------------------


def test_what_is_included_is_backed_up_below_an_ignored_folder(tmp_path: Path) -> None:
    make(tmp_path, "local/share/mail/inbox", "local/share/junk", "local/other/x", "local.txt")
    (tmp_path / "local/share/mail/empty").mkdir()
    found, out = scanned(tmp_path, ("/local",), exclusions(include=("/local/share/mail",)))
    assert found == ["/local/share/mail/empty", "/local/share/mail/inbox", "/local.txt"]
    assert out == {}


def test_what_is_included_wins_over_marks_and_sizes(tmp_path: Path) -> None:
    tag(tmp_path, "cache")
    make(tmp_path, "cache/a/keep", "cache/b", "large", content=b"12345")
    found, _ = scanned(tmp_path, (), exclusions(("*/keep", "/large"), caches=True, larger=4))
    assert found == ["/cache/CACHEDIR.TAG", "/cache/a/keep", "/large"]


def test_an_included_folder_is_not_searched_for_marks(tmp_path: Path) -> None:
    tag(tmp_path, "cache")
    make(tmp_path, "cache/a")
    assert scanned(tmp_path, (), exclusions(("/cache",), caches=True)) == (["/cache/CACHEDIR.TAG", "/cache/a"], {})


def test_a_folder_that_holds_only_ignored_things_is_empty_though_they_are_searched(tmp_path: Path) -> None:
    make(tmp_path, "a/tmp/b/c")
    assert scanned(tmp_path, ("*/tmp",), exclusions(("*.keep",)))[0] == ["/a"]


def test_an_ignored_folder_is_opened_only_where_something_in_it_may_be_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/b/c", "x/y")
    opened: list[int] = []
    real = os.scandir

    def counted(fd: int) -> object:
        opened.append(fd)
        return real(fd)

    monkeypatch.setattr(os, "scandir", counted)
    scanned(tmp_path, ("/a", "/x"), exclusions(("/a/b/*.keep",)))
    assert len(opened) == 3  # the base, /a and /a/b


NAMES = st.sampled_from(["a", "b", "k", ".no"])
TREES = st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12)
PATTERNS = st.lists(st.sampled_from(["/a", "*/b", "/a/*", "*k", "/b/a", "*/a/k", "*"]), max_size=2).map(tuple)


def expected(path: str, marked: set[str], ignore: tuple[str, ...], given: Exclusions) -> bool:
    """The documented order, for one path, without the code's filters."""
    parts = path.split("/")[1:]
    above = ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
    if any(fnmatchcase(folder, pattern) for folder in above for pattern in given.include.patterns):
        return True
    if any(fnmatchcase(folder, pattern) for folder in above for pattern in ignore):
        return False
    return not any(folder in marked and path != f"{folder}/.no" for folder in above[:-1])


@settings(deadline=None)
@given(tree=TREES, ignore=PATTERNS, include=PATTERNS)
def test_exactly_what_the_documented_order_says_is_found(
    tmp_path_factory: pytest.TempPathFactory, tree: set[str], ignore: tuple[str, ...], include: tuple[str, ...]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    files = {path for path in tree if not any(other.startswith(f"{path}/") for other in tree)}
    make(base, *files)
    marked = {f"/{path}".removesuffix("/.no") for path in files if path.endswith("/.no")}
    given_exclusions = exclusions(include, if_present=(".no",))
    options = ScanOptions(Ignoring(Filters.of(ignore), given_exclusions.include))
    items = list(scan_selected(base, options, given_exclusions))
    found = [item.path for item in items if not isinstance(item, Problem | LeftOut) and item.type is EntryType.FILE]
    assert found == sorted(found, key=path_order)
    assert set(found) == {f"/{path}" for path in files if expected(f"/{path}", marked, ignore, given_exclusions)}
    if not include and not marked:
        assert [item for item in items if not isinstance(item, LeftOut)] == list(scan(base, options))


# --- the commit, and what is said ----------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


KEYS: dict[str, object] = {
    "exclude_caches": True,
    "exclude_if_present": [".nobackup"],
    "exclude_larger_than": 9,
    "ignore_files": ["/local"],
    "include_files": ["/local/mail"],
}


def test_what_is_left_out_now_is_deleted_from_the_next_commit_with_the_reason(bench: Bench) -> None:
    make(bench.source, "cache/x", "marked/deep/y", "local/z", "local/mail/m")
    assert bench.run("--json").document["new"] == 6
    tag(bench.source, "cache")
    make(bench.source, "marked/.nobackup")
    bench.configure(**KEYS)
    changes = bench.run("--dry-run", "--json").document
    told = {row["path"]: row["reason"] for row in changes["changes"] if row["status"] == "deleted"}
    assert told == {
        "/cache/x": Reason.CACHE,
        "/marked/deep/y": Reason.MARKED,
        "/folder/b": Reason.LARGE,
        "/local/z": Reason.IGNORED,
    }
    assert bench.run("--json").document["deleted"] == 4
    paths = [row["path"] for row in bench.run("list_files", "latest", "--json").document["files"]]
    assert paths == ["/a", "/cache/CACHEDIR.TAG", "/folder", "/local/mail/m", "/marked/.nobackup"]
    assert bench.run("--json").document["version_id"] is None


def test_skip_delete_keeps_what_is_left_out(bench: Bench) -> None:
    bench.run()
    bench.configure(exclude_larger_than=9, skip_delete=["/folder"])
    assert bench.run("--json").document["deleted"] == 0


def test_explain_says_which_key_leaves_a_path_out(bench: Bench) -> None:
    make(bench.source, "cache/deep/x", "marked/y", "marked/.nobackup", "local/mail/m")
    tag(bench.source, "cache")
    bench.configure(**KEYS)
    bench.run("init")

    def told(path: str) -> str:
        lines = bench.run("explain", path).out.splitlines()
        return " / ".join(line.strip() for line in lines if line.startswith(("  included", "  excluded")))

    assert told("/cache/deep/x") == "excluded:     yes, by exclude_caches, because /cache holds CACHEDIR.TAG"
    assert told("/marked/y") == "excluded:     yes, by exclude_if_present, because /marked holds .nobackup"
    assert told("/folder/b") == "excluded:     yes, by exclude_larger_than"
    assert told("/a") == told("/cache/CACHEDIR.TAG") == told("/nowhere/at/all") == ""
    assert told("/local/mail/m").startswith('included:     yes, by include_files number 1, "/local/mail"')
    document = bench.run("explain", "/marked/y", "--json").document
    assert document["excluded"] == {"key": "exclude_if_present", "matched": "/marked", "marker": ".nobackup"}


# --- the configuration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("exclude_caches", "yes", "expected true or false"),
        ("exclude_if_present", ".nobackup", "expected a list of file names"),
        ("exclude_if_present", ["a/b"], "[0]: is no name of a file"),
        ("exclude_if_present", [".."], "[0]: is no name of a file"),
        ("exclude_if_present", [""], "[0]: is empty"),
        ("exclude_larger_than", 0, "too small; write at least 1"),
        ("exclude_larger_than", "1 GiB", "expected a whole number"),
        ("include_files", ["x"], "begins with neither / nor *"),
    ],
)
def test_a_value_that_cannot_be_is_named(bench: Bench, key: str, value: object, said: str) -> None:
    bench.configure(**{key: value})
    ran = bench.run()
    assert (ran.code, ran.out) == (2, "")
    assert f"  {key}" in ran.err
    assert said in ran.err


def test_what_rrbackup_keeps_in_the_base_path_cannot_be_included(bench: Bench) -> None:
    inside = str(bench.source / "manifest")
    bench.configure(local_manifest_file=inside, ignore_files=["/manifest*"])
    assert bench.run("init").code == 0
    bench.configure(local_manifest_file=inside, ignore_files=["/manifest*"], include_files=["*fest"])
    assert "local_manifest_file: the manifest or its journal lies inside base_path" in bench.run().err


def test_a_store_in_the_base_path_cannot_be_searched_for_what_is_included(bench: Bench) -> None:
    store = {"path": str(bench.source / "store")}
    bench.configure(directory=store, ignore_files=["/store"], include_files=["/a"])
    assert bench.run("init").code == 0
    bench.configure(directory=store, ignore_files=["/store"], include_files=["*.txt"])
    assert "include_files: a filter might match something in the store" in bench.run().err
