"""Reading from a checkpoint gives exactly what the fold of all diffs gives, whatever became of the checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.effects import ahead, checkpoints, history
from rrbackup.effects.checkpoints import Asked, read_commit, read_to_head
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure import chain
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.keys import Keyring
from rrbackup.pure.manifest import fold_links, referred_by
from rrbackup.pure.model import Entry, Link, LocalManifest, Word
from tests.checkpointed import CHECKPOINT, REPOSITORY, Writer, control_of

KEYS = Keyring(REPOSITORY, bytes(range(32)))
ENCRYPTED = Framing((Word.COMPRESS, Word.ENCRYPT), unlock=lambda: KEYS, nonce=lambda: bytes(24))

paths = st.sampled_from(["/a", "/a/b", "/a.b", "/c", "/d"])


@frozen
class Step:
    """A commit (or, if `writes` is None, a fence); `due` lets it name a checkpoint."""

    writes: frozenset[str] | None
    deletes: bool
    due: bool


steps = st.builds(Step, st.none() | st.frozensets(paths, max_size=3), st.booleans(), st.booleans())
histories = st.lists(steps, min_size=1, max_size=14)
fates = st.lists(st.sampled_from(["whole", "lost", "garbled", "exchanged"]), min_size=14, max_size=14)


@contextmanager
def small_steps() -> Iterator[None]:
    """Batches and limits so small that short histories come to all of them."""
    with mock.patch.object(ahead, "FIRST_BATCH", 2), mock.patch.object(history, "PREFETCH_FROM", 3):
        yield


def written(history_: list[Step], framing: Framing) -> tuple[MemoryStore, Writer]:
    store = MemoryStore()
    writer = Writer(store, framing)
    for step in history_:
        with mock.patch.object(
            checkpoints, "due", lambda since, head, *_, due=step.due, **__: due and head is not None
        ):
            _take(writer, step)
    return store, writer


def _take(writer: Writer, step: Step) -> None:
    present = [item.entry.path for item in writer.manifest.entries]
    if step.writes is None:
        writer.fences()
    elif step.deletes and present:
        writer.deletes(present[0])
    else:
        writer.writes(*step.writes)


def strike(store: MemoryStore, fates_: list[str]) -> None:
    """Let something happen to each checkpoint, the newest first."""
    listed = list(store.list_versions(CHECKPOINT))
    for version, fate in zip(listed, fates_, strict=False):
        held = store._world._held[version.key]
        place = next(number for number, h in enumerate(held) if h.version_id == version.version_id)
        body = held[place].body
        assert body is not None
        if fate == "lost":
            store.delete_versions([version.ref])
        elif fate == "garbled":
            store._world._held[version.key][place] = type(held[place])(held[place].number, body[:-1], {}, 0)
        elif fate == "exchanged":
            store._world._held[version.key][place] = type(held[place])(held[place].number, held[0].body, {}, 0)


def entries_of(manifest: LocalManifest) -> tuple[Entry, ...]:
    return tuple(item.entry for item in manifest.entries)


def folded(links: tuple[Link, ...], upto: Link) -> tuple[Entry, ...]:
    below = [link for link in links if link.diff.sequence <= upto.diff.sequence]
    return entries_of(fold_links(LocalManifest(None), below))


@settings(max_examples=60)
@given(histories, fates, st.sampled_from([PLAIN, ENCRYPTED]))
def test_every_commit_reads_as_the_fold_of_all_diffs(history_: list[Step], fates_: list[str], how: Framing) -> None:
    check(history_, fates_, how)


@pytest.mark.deep
@settings(max_examples=3_000)
@given(histories, fates, st.sampled_from([PLAIN, ENCRYPTED]))
def test_every_commit_of_many_more_histories_reads_as_the_fold(
    history_: list[Step], fates_: list[str], how: Framing
) -> None:
    check(history_, fates_, how)


def check(history_: list[Step], fates_: list[str], how: Framing) -> None:
    store, writer = written(history_, how)
    strike(store, fates_)
    with small_steps():
        control = control_of(store.client(), how)
        assert entries_of(read_to_head(control, lambda _: None).manifest()) == entries_of(writer.manifest)
        for number, commit in enumerate(chain.commits(writer.links)):
            for version in (commit.version_id, f"latest~{number}"):
                found, stretch = read_commit(control, Asked(version, None, "m"), lambda _: None)
                assert found == commit
                assert entries_of(stretch.manifest()) == folded(writer.links, commit)


@settings(max_examples=60)
@given(histories)
def test_a_checkpoint_knows_every_reference_that_was_ever_made(history_: list[Step]) -> None:
    store, writer = written([*history_, Step(frozenset({"/z"}), deletes=False, due=True)], PLAIN)
    stretch = read_to_head(control_of(store), lambda _: None)
    base, before = stretch.base, writer.links[1:]
    made = {ref for link in before for ref in referred_by(link.diff.changes)}
    assert base is not None
    assert stretch.links == writer.links[:1]
    assert base.all_references == made
    assert base.references.isdisjoint(entry.object.ref for entry in base.entries if entry.object)
    assert (base.sequence, base.head) == (before[0].diff.sequence, before[0].as_parent)
    assert stretch.references() == made.union(referred_by(writer.links[0].diff.changes))
