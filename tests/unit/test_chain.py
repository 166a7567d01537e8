"""The chain of diffs, versions as users name them, and what a remembered manifest is worth."""

from collections.abc import Callable

import pytest
from attrs import evolve

from rrbackup.errors import DamagedChain, NoSuchVersion, StoreWentBack
from rrbackup.pure import chain, format2
from rrbackup.pure.manifest import Standing, check_follows, fold, fold_links, standing
from rrbackup.pure.model import (
    Change,
    Diff,
    DiffKind,
    Entry,
    HeadRef,
    Link,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
)


def entry(path: str, size: int = 1) -> Entry:
    return Entry(PathText(path), size=size)


def make_chain(*changes: tuple[Change, ...], fences: frozenset[int] = frozenset()) -> list[Link]:
    """Links newest first; version ids are v1, v2, ..."""
    links: list[Link] = []
    for index, step in enumerate(changes, start=1):
        parent = links[0].as_parent if links else None
        kind = DiffKind.FENCE if index in fences else DiffKind.COMMIT
        diff = Diff(RepositoryId("r"), index, parent, TransactionId(f"t{index}"), kind, 0, "host", step)
        sha = format2.sha256_hex(format2.encode_diff(diff))
        links.insert(0, Link(VersionId(f"v{index}"), f'"{index}"', sha, diff))
    return links


def fetch_from(links: list[Link]) -> tuple[chain.Fetch, list[str]]:
    asked: list[str] = []

    def fetch(version_id: VersionId) -> Link:
        asked.append(version_id)
        return next(link for link in links if link.version_id == version_id)

    return fetch, asked


def encrypted(links: list[Link], *numbers: int) -> list[Link]:
    return [evolve(link, encrypted=link.diff.sequence in numbers) for link in links]


@pytest.mark.parametrize(
    ("numbers", "sound"), [((), True), ((3,), True), ((2, 3), True), ((2,), False), ((1, 3), False)]
)
def test_nothing_unencrypted_lies_on_top_of_something_encrypted(numbers: tuple[int, ...], sound: bool) -> None:
    links = encrypted(make_chain((), (), ()), *numbers)
    fetch, _ = fetch_from(links)
    if sound:
        assert chain.walk(links[0].version_id, 0, fetch) == tuple(links)
    else:
        with pytest.raises(DamagedChain, match="is not encrypted"):
            chain.walk(links[0].version_id, 0, fetch)


def test_an_encrypted_head_that_is_remembered_has_no_unencrypted_successor() -> None:
    newest, known, _ = encrypted(make_chain((), (), ()), 1, 2)
    with pytest.raises(DamagedChain, match="v3 is not encrypted, but v2 before it is"):
        check_follows(known.head, newest, "manifest")
    check_follows(known.head, evolve(newest, encrypted=True), "manifest")


@pytest.mark.parametrize(
    ("after", "expected"), [(0, ["v3", "v2", "v1"]), (1, ["v3", "v2"]), (2, ["v3"]), (3, []), (9, [])]
)
def test_walking_back_fetches_no_more_than_was_asked_for(after: int, expected: list[str]) -> None:
    links = make_chain((), (), ())
    fetch, asked = fetch_from(links)
    assert [link.version_id for link in chain.walk(VersionId("v3"), after, fetch)] == expected
    assert asked == (expected or ["v3"])


def tampered(change: Callable[[Diff], Diff]) -> list[Link]:
    links = make_chain((), (), ())
    return [links[0], evolve(links[1], diff=change(links[1].diff)), links[2]]


@pytest.mark.parametrize(
    ("links", "what"),
    [
        (tampered(lambda d: evolve(d, sequence=5)), "sequence number"),
        (tampered(lambda d: evolve(d, repository=RepositoryId("x"))), "another repository"),
        ([make_chain((), ())[0], evolve(make_chain((), ())[1], sha256="00")], "is not the diff"),
        (tampered(lambda d: evolve(d, parent=None)), "no parent"),
    ],
)
def test_a_link_that_does_not_fit_is_named(links: list[Link], what: str) -> None:
    fetch, _ = fetch_from(links)
    with pytest.raises(DamagedChain, match=what):
        chain.walk(links[0].version_id, 0, fetch)


def test_the_first_diff_has_no_parent_and_only_it() -> None:
    first = make_chain(())[0]
    with pytest.raises(DamagedChain):
        chain.check_first(evolve(first, diff=evolve(first.diff, parent=first.as_parent)))


# --- versions --------------------------------------------------------------------------------------------------

LINKS = [
    evolve(link, version_id=VersionId(v)) for link, v in zip(make_chain((), (), ()), ["abd", "abc", "ab"], strict=True)
]


@pytest.mark.parametrize(
    ("version", "found"),
    [("latest", "abd"), ("latest~0", "abd"), ("latest~2", "ab"), ("abd", "abd"), ("ab", "ab"), ("abc", "abc")],
)
def test_versions_that_resolve(version: str, found: str) -> None:
    assert chain.resolve(version, LINKS).version_id == found


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("a", "3 commits begin with"),
        ("x", "no commit 'x'"),
        ("", "no commit ''"),
        ("latest~3", "has 3 of them"),
        ("latest~x", "is not a version"),
        ("latest~-1", "is not a version"),
        ("latest~²", "is not a version"),
        ("latest-1", "no commit"),
    ],
)
def test_versions_that_do_not(version: str, why: str) -> None:
    with pytest.raises(NoSuchVersion, match=why):
        chain.resolve(version, LINKS)


def test_fences_are_no_commits() -> None:
    links = make_chain((), (), (), fences=frozenset({2}))
    assert [link.version_id for link in chain.commits(links)] == ["v3", "v1"]


# --- folding ---------------------------------------------------------------------------------------------------


def test_folding_drops_what_was_known_of_a_changed_path() -> None:
    old = LocalEntry(entry("/a"), LocalStamp(1, 2))
    kept = LocalEntry(entry("/b"), LocalStamp(3, 4))
    new = fold(
        {PathText("/a"): old, PathText("/b"): kept},
        [Change(Status.CHANGED, entry("/a", 2)), Change(Status.NEW, entry("/c"))],
    )
    assert new == {"/a": LocalEntry(entry("/a", 2)), "/b": kept, "/c": LocalEntry(entry("/c"))}


@pytest.mark.parametrize(
    "change",
    [Change(Status.NEW, entry("/a")), Change(Status.CHANGED, entry("/x")), Change(Status.DELETED, entry("/x"))],
)
def test_a_change_that_does_not_fit_is_damage(change: Change) -> None:
    with pytest.raises(DamagedChain, match="the commit before it"):
        fold({PathText("/a"): LocalEntry(entry("/a"))}, [change])


def test_folding_links_gives_path_order() -> None:
    links = make_chain(
        (Change(Status.NEW, entry("/a.b")), Change(Status.NEW, entry("/a/b"))),
        (Change(Status.NEW, entry("/a")), Change(Status.DELETED, entry("/a/b"))),
    )
    manifest = fold_links(LocalManifest(None), links)
    assert [item.entry.path for item in manifest.entries] == ["/a", "/a.b"]
    assert manifest.head == links[0].head


# --- standing --------------------------------------------------------------------------------------------------


def head(sequence: int, version: str | None = None, repository: str = "r") -> HeadRef:
    version_id = VersionId(version or f"v{sequence}")
    return HeadRef(version_id, "e", f"sha of {version_id}", sequence, RepositoryId(repository))


@pytest.mark.parametrize(
    ("local", "store", "expected"),
    [
        (None, None, Standing.UNKNOWN),
        (None, head(3), Standing.UNKNOWN),
        (head(3), head(3), Standing.CURRENT),
        (head(3), head(4), Standing.BEHIND),
    ],
)
def test_standing(local: HeadRef | None, store: HeadRef | None, expected: Standing) -> None:
    assert standing(local, store, "manifest") is expected


@pytest.mark.parametrize(
    ("store", "found"),
    [
        (None, "no commits at all"),
        (head(2), r"commit 2 \(v2\)"),
        (head(3, "other"), r"commit 3 \(other\)"),
        (head(9, repository="q"), r"another repository \(q\)"),
    ],
)
def test_a_store_that_went_back_is_refused_with_the_way_out(store: HeadRef | None, found: str) -> None:
    with pytest.raises(StoreWentBack, match=found) as caught:
        standing(head(3), store, "/x/manifest")
    assert "remove the local manifest /x/manifest" in caught.value.hint


def test_a_fork_is_noticed() -> None:
    links = make_chain((), (), ())
    check_follows(links[1].head, links[0], "m")
    with pytest.raises(StoreWentBack):
        check_follows(evolve(links[1].head, sha256="other"), links[0], "m")
