"""The promise about pipelines (design invariant 8), held against an oracle that shares no code with rrbackup.

Random histories edit a tree and change the rules between backups, with and without `--reprocess`. After every backup
the stored objects are taken apart with libsodium, zstd and the standard library, and compared with a model that knows
only the rules, the contents, and with which words each path was last stored. In the end every commit is downloaded.
"""

import base64
import hashlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest
import zstandard
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.api import Repository, open_repository
from rrbackup.cli import main
from rrbackup.cli.human import entry_lines
from rrbackup.config import Config, CryptoSettings, DirectorySettings
from rrbackup.effects import reading, transfer
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import ConfigError, PasswordMissing
from rrbackup.pure.model import Entry, EntryType, ObjectRef, VersionRef, Word
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.reason import Reason
from rrbackup.pure.report import BackupResult
from tests.format1_writer import File, Format1Writer, Lock, derive_key
from tests.raw_objects import Keys, hashed_key, hkdf, open_file, open_labels, split, unpacked, unsealed

PASSWORD = "a pässword"
CHEAP = CryptoSettings(crypt_password=PASSWORD, kdf_passes=4, kdf_memory=32 << 20)
CHUNK = 1 << 16
STREAMED_FROM = 1 << 12
"""Contents over this size are streamed here, in place of 8 MiB."""

HASH, COMPRESS, ENCRYPT = Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT
GUARDED = frozenset({HASH, ENCRYPT})
"""The words that may never be left out."""

Words = frozenset[Word]
Tree = dict[str, bytes]
Command = Callable[..., tuple[int, str]]

PATHS = ("/a.x", "/b.x", "/d/a.x", "/d/c", "/e")
CONTENTS = {
    "nothing": b"",
    "short": b"short",
    "text": b"text that shrinks " * 40,
    "noise": random.Random(1).randbytes(500),
    "long text": b"text that is streamed and shrinks, over two chunks " * 3_000,
    "long noise": random.Random(2).randbytes(CHUNK + 100),
}
PATTERNS: dict[str, Callable[[str], bool]] = {
    "*.x": lambda path: path.endswith(".x"),
    "/d/*": lambda path: path.startswith("/d/"),
    "/?.x": lambda path: len(path) == 4 and path.endswith(".x"),
    "/e": lambda path: path == "/e",
    "*": lambda path: True,
}
"""Each with a matcher of our own."""


# --- taking stored objects apart -----------------------------------------------------------------------------------


def shrinks(content: bytes) -> bool:
    return len(zstandard.compress(content)) < len(content)


def keys_in(store: MemoryStore) -> Keys | None:
    """The repository's keys, if it has some by now."""
    held = list(store.list_versions("salt_file"))
    body = store.get("salt_file").body if held else b""
    return unlocked(body) if body.startswith(b"\0") else None


@cache
def unlocked(salt_object: bytes) -> Keys:
    """The keys in a salt object, also in one that keeps a key of rrbackup 1.0."""
    header, text, payload = split(salt_object)
    kdf, wrapped = header["kdf"], base64.b64decode(json.loads(payload)["master"])
    kek = derive_key(PASSWORD.encode(), base64.b64decode(kdf["salt"]), kdf["opslimit"], kdf["memlimit"])
    return Keys(header["repository"], unsealed(wrapped, hkdf(kek, "wrap master"), text))


@cache
def old_lock() -> Lock:
    """What rrbackup 1.0 encrypts with."""
    salt = bytes(range(16))
    return Lock(derive_key(PASSWORD.encode(), salt), salt)


@frozen
class Origin:
    """How an object came to be: for one of these paths, with this content and these words, and whether with keys."""

    owners: frozenset[str]
    content: bytes
    words: Words
    keys: Keys | None

    @property
    def applied(self) -> tuple[Word, ...]:
        """In the order in which words are applied; only compression may be missing, and only where it gives nothing."""
        left_out = frozenset() if shrinks(self.content) else {COMPRESS}
        return tuple(word for word in (HASH, COMPRESS, ENCRYPT) if word in self.words - left_out)

    def check(self, store: MemoryStore, ref: ObjectRef) -> None:
        """The stored bytes, key and labels are what the words ask for."""
        owners = {self._key(path): path for path in self.owners}
        assert ref.key in owners, f"{ref.key} was written for none of {self.owners}"
        fetched = store.get(ref.key, ref.version_id)
        assert len(fetched.body) == ref.stored_size
        assert self._opened(fetched.body, ref.key) == self.content
        assert self._label(fetched.info.metadata, ref.key) in (None, owners[ref.key])

    def _key(self, path: str) -> str:
        if HASH not in self.words:
            return f"files{path}"
        return hashed_key(self.keys, path) if self.keys else f"files/%h/{hashlib.sha256(path.encode()).hexdigest()}"

    def _opened(self, body: bytes, key: str) -> bytes:
        if self.keys is not None:
            return open_file(body, key, self.applied, self.keys)
        assert ENCRYPT not in self.words
        return unpacked(body) if COMPRESS in self.applied else body

    def _label(self, metadata: Mapping[str, str], key: str) -> object:
        """The path that the object says it has; None for one that has to keep silent."""
        if self.words.isdisjoint(GUARDED):
            return metadata["rrbackup-path"]
        if self.keys is None:
            assert metadata == {}
            return None
        return open_labels(metadata, key, self.keys)["rrbackup-path"]


# --- the histories -------------------------------------------------------------------------------------------------

words = st.sampled_from([list(some) for count in range(len(Word) + 1) for some in permutations(Word, count)])
paths = st.sampled_from(PATHS)
contents = st.sampled_from(list(CONTENTS))
trees = st.dictionaries(paths, contents, min_size=2, max_size=4)


@frozen
class Rules:
    """What `file_pipeline` says: some rules, and the words of a last one for all other paths, or None without it."""

    listed: tuple[tuple[str, list[Word]], ...] = ()
    others: list[Word] | None = field(factory=list)

    @property
    def pairs(self) -> tuple[tuple[str, list[Word]], ...]:
        return self.listed if self.others is None else (*self.listed, ("*", self.others))

    def words(self, path: str) -> Words | None:
        return next((frozenset(asked) for pattern, asked in self.pairs if PATTERNS[pattern](path)), None)

    def ask_for(self, word: Word) -> bool:
        return any(word in asked for _, asked in self.pairs)


@frozen
class Round:
    """What happens before a backup, and how that is run. None: rules or `meta_pipeline` stay as they are.

    An edit is what is done, a path, another path, and the name of a content.
    """

    edits: list[tuple[str, str, str, str]]
    rules: Rules | None
    meta: list[Word] | None
    reprocess: bool


rounds = st.builds(
    Round,
    st.lists(
        st.tuples(st.sampled_from(["write", "touch", "move", "copy", "copy", "remove"]), paths, paths, contents),
        max_size=3,
    ),
    st.one_of(
        st.none(),
        st.builds(
            Rules,
            st.lists(st.tuples(st.sampled_from(list(PATTERNS)), words), max_size=2).map(tuple),
            st.one_of(words, words, words, words, words, st.none()),
        ),
    ),
    st.sampled_from([None, None, None, None, None, [], [COMPRESS], [ENCRYPT], [ENCRYPT, COMPRESS]]),
    st.booleans(),
)


@frozen
class Plot:
    """A history. `past`: what rrbackup 1.0 left of the first tree; `early_password`: given before it is needed.

    `recent`: every file counts as just written, so that every backup reads it; else files count as unchanged by their
    times and inodes.
    """

    recent: bool
    early_password: bool
    past: str
    first: dict[str, str]
    rounds: list[Round]


plots = st.builds(
    Plot,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "none", "none", "none", "plain", "encrypted"]),
    trees,
    st.lists(rounds, min_size=2, max_size=8),
)


@frozen
class Kept:
    """What the model knows of a path in the last commit: its content, the words asked for, and where it lies."""

    content: bytes
    words: Words = frozenset()
    ref: ObjectRef | None = None

    def has_less_than(self, wanted: Words | None) -> bool:
        return self.ref is not None and wanted is not None and not wanted <= self.words

    @property
    def shareable(self) -> bool:
        return self.ref is not None and self.ref.format == 2


class Disk:
    """The tree, on disk and as a dictionary, and what was done to it since the last backup."""

    def __init__(self, base: Path) -> None:
        base.mkdir()
        self.base = base
        self.tree: Tree = {}
        self.edited: set[str] = set()
        self.moved: set[str] = set()
        self._clock = 1_600_000_000

    def edit(self, what: str, path: str, other: str, content: str) -> None:
        """Only what can be done is: a file that is not there is not moved."""
        if what == "write":
            self.write(path, CONTENTS[content])
        elif path not in self.tree:
            return
        elif what == "touch":
            self.write(path, self.tree[path])
        elif what == "remove":
            self._place(path).unlink()
            del self.tree[path]
        elif path != other:
            self._take(path, other, away=what == "move")

    def write(self, path: str, content: bytes) -> None:
        """Every edit has a time of its own, so that no time stands for two contents."""
        self._place(path).write_bytes(content)
        self._clock += 1
        os.utime(self._place(path), (self._clock, self._clock))
        self.tree[path] = content
        self.edited.add(path)

    def _take(self, path: str, other: str, *, away: bool) -> None:
        (shutil.move if away else shutil.copy2)(self._place(path), self._place(other))
        self.tree[other] = self.tree.pop(path) if away else self.tree[path]
        self.moved.add(other)

    def seen(self) -> None:
        self.edited.clear()
        self.moved.clear()

    def _place(self, path: str) -> Path:
        place = self.base / path[1:]
        place.parent.mkdir(exist_ok=True)
        return place


class History:
    """One client and one store, and the model of what must lie there."""

    def __init__(self, folder: Path, plot: Plot) -> None:
        self.folder = folder
        self.plot = plot
        self.disk = Disk(folder / "base")
        self.store = MemoryStore()
        self.rules = Rules()
        self.meta = [ENCRYPT] if plot.past == "encrypted" else []
        self.upgrade = self.sealed = False
        self.manifest: dict[str, Kept] = {}
        self.commits: dict[str, Tree] = {}
        self.origins: dict[VersionRef, Origin] = {}
        for path, content in plot.first.items():
            self.disk.write(path, CONTENTS[content])
        if plot.past != "none":
            self._written_by_1_0(encrypted=plot.past == "encrypted")

    def go(self) -> None:
        for one in self.plot.rounds:
            for edit in one.edits:
                self.disk.edit(*edit)
            before = self.rules, self.meta
            self.rules = self.rules if one.rules is None else one.rules
            self.meta = self.meta if one.meta is None else one.meta
            if self._asks_for_keys():
                self._backup_without_the_password()
            if not self._backup(one.reprocess):
                self.rules, self.meta = before
        self._download_every_commit()

    def _backup(self, reprocess: bool) -> bool:
        """Whether it was run; a configuration that cannot be is refused before anything is uploaded."""
        before = self._stored()
        must_fail, may_fail = self._faults()
        try:
            with self.open() as repository:
                result = repository.backup(allow_empty=True, reprocess=reprocess, upgrade=self.upgrade)
        except ConfigError:
            assert must_fail or may_fail
            assert {ref.key for ref in self._stored() - before} <= {"salt_file"}
            return False
        assert not must_fail
        self._check(result, reprocess, self._stored() - before)
        return True

    def _backup_without_the_password(self) -> None:
        before = self._stored()
        with self.open(password=False) as repository:
            with pytest.raises(PasswordMissing):
                repository.plan_backup(allow_empty=True)
            with pytest.raises(PasswordMissing):
                repository.backup(allow_empty=True, upgrade=self.upgrade)
        assert self._stored() == before

    # --- the world ---------------------------------------------------------------------------------------------

    def _written_by_1_0(self, *, encrypted: bool) -> None:
        """The tree so far was backed up by rrbackup 1.0, which knew nothing of pipelines for names."""
        writer = Format1Writer(self._put_old, lock=old_lock() if encrypted else None)
        writer.prepare()
        tree = dict(self.disk.tree)
        version = writer.commit({path: File(content) for path, content in tree.items()})
        self.upgrade, self.sealed, self.commits[version] = True, encrypted, tree
        self.manifest = {path: Kept(tree[path], ref=entry.object) for path, entry in self.entries().items()}

    def _put_old(self, key: str, body: bytes | None) -> str:
        return self.store.mark_deleted(key) if body is None else self.store.put(key, body).version_id

    def open(self, *, password: bool | None = None) -> Repository:
        given = self._gives_password() if password is None else password
        config = Config(
            base_path=str(self.disk.base),
            local_manifest_file=str(self.folder / "manifest"),
            local_lock_file=str(self.folder / "lock"),
            directory=DirectorySettings(path=str(self.folder / "unused")),
            crypto=CHEAP if given else None,
            file_pipeline=[PipelineRule(pattern, asked) for pattern, asked in self.rules.pairs],
            meta_pipeline=self.meta,
            chunk_size=CHUNK,
        )
        return open_repository(config, store=self.store, threads=2)

    def _gives_password(self) -> bool:
        return self.plot.early_password or self._needs_password()

    def _needs_password(self) -> bool:
        return self.sealed or self._asks_for_keys()

    def _asks_for_keys(self) -> bool:
        """Names may be hashed without a key, but not in a repository that has keys."""
        names = self.rules.ask_for(HASH) and keys_in(self.store) is not None
        return self.rules.ask_for(ENCRYPT) or ENCRYPT in self.meta or names

    def _stored(self) -> set[VersionRef]:
        return {row.ref for row in self.store.list_versions("")}

    def entries(self) -> dict[str, Entry]:
        """The files of the newest commit."""
        with self.open() as repository:
            return {entry.path: entry for entry in repository.list_files() if entry.type is EntryType.FILE}

    # --- the oracle --------------------------------------------------------------------------------------------

    def _faults(self) -> tuple[bool, bool]:
        """Whether a backup must be refused, and whether it may be.

        A file that has to be looked at and has no rule is a reason; so is unencrypted metadata above encrypted.
        """
        without = {path for path in self.disk.tree if self.rules.words(path) is None}
        new = {path for path, content in self.disk.tree.items() if self._kept(path, content) is None}
        looked_at = without & (self.disk.edited | new)
        weaker = self.sealed and ENCRYPT not in self.meta
        return bool(looked_at) or weaker or (self.plot.recent and bool(without)), bool(without & self.disk.moved)

    def _kept(self, path: str, content: bytes) -> Kept | None:
        """What is known of a path whose content has not changed."""
        kept = self.manifest.get(path)
        return kept if kept is not None and kept.content == content else None

    def _check(self, result: BackupResult, reprocess: bool, written: set[VersionRef]) -> None:
        entries = self.entries() if self.commits or result.version_id else {}
        assert {path: entry.sha256 for path, entry in entries.items()} == digests(self.disk.tree)
        anew = self._stored_anew(reprocess)
        for path, entry in entries.items():
            if path not in anew:
                assert entry.object == self.manifest[path].ref, f"{path} has not changed, but its object has"
        self._check_uploads(anew, entries, written)
        self._check_records(written)
        self._check_listing(entries)
        self._remember(result, anew, entries)
        self._check_rest(reprocess)

    def _stored_anew(self, reprocess: bool) -> dict[str, Words]:
        """The files whose content may not stay as it was stored, each with the words of its first matching rule."""
        anew: dict[str, Words] = {}
        for path, content in self.disk.tree.items():
            kept, wanted = self._kept(path, content), self.rules.words(path)
            if kept is None or (reprocess and kept.has_less_than(wanted)):
                assert wanted is not None
                anew[path] = wanted
        return anew

    def _check_uploads(self, anew: dict[str, Words], entries: dict[str, Entry], written: set[VersionRef]) -> None:
        """Each content is there once for each set of words, and lies there as those words ask for."""
        owners: dict[tuple[bytes, Words], set[str]] = {}
        for path, asked in anew.items():
            owners.setdefault((self.disk.tree[path], asked), set()).add(path)
        keys = keys_in(self.store)
        assert keys is not None or not (self._gives_password() and self.rules.ask_for(HASH)), "a plain hash would do"
        for (content, asked), having in owners.items():
            refs = {entries[path].object for path in having}
            assert len(refs) == 1
            (ref,) = refs
            assert (ref is None) == (content == b"")
            if ref is not None:
                fresh = Origin(frozenset(having), content, asked, keys)
                self._check_object(ref, self.origins.setdefault(ref.ref, fresh), fresh)
        shared = {(kept.content, kept.words) for kept in self.manifest.values() if kept.shareable}
        uploaded = {ref for ref in written if ref.key.startswith("files/")}
        assert len(uploaded) == len({key for key in owners if key[0]} - shared)
        assert uploaded <= set(self.origins), "something was stored that no file refers to"

    def _check_object(self, ref: ObjectRef, origin: Origin, asked_now: Origin) -> None:
        assert (origin.content, origin.words) == (asked_now.content, asked_now.words)
        assert (ref.format, frozenset(ref.asked), ref.applied) == (2, origin.words, origin.applied)
        origin.check(self.store, ref)

    def _check_records(self, written: set[VersionRef]) -> None:
        for ref in written:
            if ref.key in ("manifest_diffs", "gc_log"):
                header = split(self.store.get(ref.key, ref.version_id).body)[0]
                assert {ENCRYPT}.intersection(self.meta) <= set(header["pipeline"]) <= set(self.meta)

    def _check_listing(self, entries: dict[str, Entry]) -> None:
        """`list_files -v` shows of each object how it lies in the store."""
        stored = [entry.object for entry in entries.values() if entry.object is not None]
        lines = [line for line in entry_lines(entries.values(), verbose=True) if line.startswith("    ")]
        for ref, line in zip(stored, lines, strict=True):
            assert line.rpartition("stored ")[2] == self._description(ref)

    def _description(self, ref: ObjectRef) -> str:
        if ref.format == 1:
            return "by rrbackup 1.0"
        applied = self.origins[ref.ref].applied
        return f"with {' and '.join(applied)}" if applied else "as it is"

    def _check_rest(self, reprocess: bool) -> None:
        """The same once more would do nothing: what does not shrink is not tried again for ever."""
        with self.open() as repository:
            plan = repository.plan_backup(allow_empty=True, reprocess=reprocess)
        again = {Reason.RECENT} if self.plot.recent else set()
        assert {candidate.reason for candidate in plan.candidates} <= again
        assert plan.planned == ()

    def _remember(self, result: BackupResult, anew: dict[str, Words], entries: dict[str, Entry]) -> None:
        tree = dict(self.disk.tree)
        words = {path: anew[path] if path in anew else self.manifest[path].words for path in tree}
        after = {path: Kept(tree[path], words[path], entry.object) for path, entry in entries.items()}
        if result.version_id is None:
            assert after == self.manifest
        else:
            self.commits[result.version_id] = tree
            self.sealed = self.sealed or ENCRYPT in self.meta
        self.manifest = after
        self.disk.seen()

    def _download_every_commit(self) -> None:
        for number, (version, tree) in enumerate(self.commits.items()):
            target = self.folder / f"restored-{number}"
            with self.open(password=keys_in(self.store) is not None or self._needs_password()) as repository:
                assert repository.download(version, target).problems == ()
            files = {path for path in target.rglob("*") if path.is_file()}
            assert {f"/{path.relative_to(target)}": path.read_bytes() for path in files} == tree


def digests(tree: Tree) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in tree.items()}


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Big files are smaller."""
    monkeypatch.setattr(transfer, "SMALL_BYTES", STREAMED_FROM)
    monkeypatch.delenv("RRBACKUP_PASSWORD", raising=False)


def _play(plot: Plot) -> None:
    with tempfile.TemporaryDirectory(prefix="rrbackup-promise-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "is_recent", lambda changed_ns, now_ns: plot.recent)
        History(Path(folder), plot).go()


@settings(max_examples=30)
@given(plots)
def test_nothing_is_stored_with_less_than_its_rule_asks_for(plot: Plot) -> None:
    _play(plot)


@pytest.mark.deep
@pytest.mark.timeout(3600)
@given(plots)
def test_many_histories_store_nothing_with_less_than_its_rule_asks_for(plot: Plot) -> None:
    _play(plot)


# --- by example ----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command line on a folder, with the given `file_pipeline`; its exit code and output."""
    monkeypatch.setattr(reading, "is_recent", lambda changed_ns, now_ns: False)
    monkeypatch.setenv("RRBACKUP_PASSWORD", PASSWORD)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "text").write_bytes(CONTENTS["text"])
    file = tmp_path / "configuration.json"

    def run(pipeline: object, *words: str) -> tuple[int, str]:
        document = {
            "base_path": str(tmp_path / "base"),
            "local_manifest_file": str(tmp_path / "manifest"),
            "local_lock_file": str(tmp_path / "lock"),
            "directory": {"path": str(tmp_path / "store")},
            "crypto": {"kdf_passes": 4, "kdf_memory": 32 << 20},
            "file_pipeline": pipeline,
        }
        file.write_text(json.dumps(document))
        capsys.readouterr()
        code = main(["--c", str(file), *words])
        return code, capsys.readouterr().out

    return run


def test_the_command_line_stores_again_only_on_demand_and_shows_how_each_file_is_stored(command: Command) -> None:
    plain, more = [["*", []]], [["*", ["encrypt", "compress"]]]
    assert command(plain, "backup")[0] == 0
    assert "nothing to commit" in command(more, "backup")[1]
    assert "stored as it is" in command(more, "list_files", "latest", "-v")[1]
    assert "file_pipeline asks for more" in command(more, "backup", "--dry-run", "--reprocess")[1]
    assert "uploaded:  1 file" in command(more, "backup", "--reprocess")[1]
    assert "stored with compress and encrypt" in command(more, "list_files", "latest", "-v")[1]
    assert "nothing to commit" in command(more, "backup", "--reprocess")[1]
    assert "nothing to commit" in command(plain, "backup", "--reprocess")[1], "less is not more"


def test_a_plan_is_run_under_the_rules_of_whoever_runs_it(tmp_path: Path) -> None:
    history = History(tmp_path, Plot(False, True, "none", {"/e": "text"}, []))
    with history.open() as repository:
        plan = repository.plan_backup()
    history.rules = Rules(others=[HASH, ENCRYPT])
    with history.open() as repository:
        repository.backup(plan)
    (entry,) = history.entries().values()
    assert entry.object is not None
    assert entry.object.asked == (HASH, ENCRYPT)
    Origin(frozenset({"/e"}), CONTENTS["text"], frozenset({HASH, ENCRYPT}), keys_in(history.store)).check(
        history.store, entry.object
    )
