"""Five rules, three commits and two passwords on a real S3 server, and then every object in the bucket by itself.

The bucket is read with boto3, and its objects are opened with PyNaCl and zstandard only (`tests/raw_objects.py`), so
that rrbackup is held to its documents and not to itself.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import pytest
from attrs import evolve, field, frozen

import rrbackup
from rrbackup import Word
from tests import raw_objects
from tests.integration.trees import Seen, look
from tests.raw_objects import DoesNotOpen, Keys
from tests.servers import S3Server

RULES: Final[list[tuple[str, list[Word]]]] = [
    ("/plain/*", []),
    ("/packed/*", [Word.COMPRESS]),
    ("/hidden/*", [Word.HASH_NAMES]),
    ("/sealed/*", [Word.COMPRESS, Word.ENCRYPT]),
    ("*", [Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT]),
]
FOLDERS: Final = ("plain", "packed", "hidden", "sealed", "everything")
FILES_EACH: Final = 100
PREFIX: Final = "machine/one"
CHUNK: Final = 65_536

NAME_MARK: Final = "telling-name"
CONTENT_MARK: Final = "telling-content"
FIRST, SECOND = "first pässword", "second pässword"
MIB: Final = 1 << 20


# --- the run -------------------------------------------------------------------------------------------------------


@frozen
class Raw:
    """One version as it lies in the bucket; `key` is without the prefix."""

    key: str
    version_id: str
    etag: str
    body: bytes = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False, eq=False)


@frozen
class Run:
    """What was done, and everything that lies in the bucket after it."""

    config: rrbackup.Config
    commits: tuple[str, ...]
    trees: tuple[dict[bytes, Seen], ...]
    seen_before_change: frozenset[str]
    seen_after_change: frozenset[str]
    raw: tuple[Raw, ...] = field(repr=False)

    def versions(self, *keys: str) -> tuple[Raw, ...]:
        """Newest first, as S3 lists them."""
        return tuple(one for one in self.raw if one.key in keys)


@pytest.fixture(scope="module")
def run(seaweed: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("encrypted")
    config = config_for(seaweed, folder)
    base = Path(config.base_path)
    commits, trees = [], []
    write_first(base)
    commits.append(committed(config))
    trees.append(look(base))
    before = listed(seaweed, config)
    with rrbackup.open_repository(config) as repository:
        repository.change_password(SECOND)
    config = with_password(config, SECOND)
    assert nothing_to_commit(config)
    after = listed(seaweed, config)
    for number in (1, 2):
        change(base, number)
        commits.append(committed(config))
        trees.append(look(base))
    return Run(config, tuple(commits), tuple(trees), before, after, tuple(fetched(seaweed, config)))


def config_for(server: S3Server, folder: Path) -> rrbackup.Config:
    (folder / "base").mkdir()
    return rrbackup.Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        s3=rrbackup.S3Settings(
            bucket=server.new_bucket(),
            endpoint=server.endpoint,
            access_key=server.access_key,
            secret_key=server.secret_key,
            prefix=PREFIX,
        ),
        crypto=rrbackup.CryptoSettings(crypt_password=FIRST, kdf_passes=4, kdf_memory=32 << 20),
        meta_pipeline=[Word.COMPRESS, Word.ENCRYPT],
        file_pipeline=RULES,
        chunk_size=CHUNK,
    )


def with_password(config: rrbackup.Config, password: str) -> rrbackup.Config:
    assert config.crypto is not None
    return evolve(config, crypto=evolve(config.crypto, crypt_password=password))


def committed(config: rrbackup.Config) -> str:
    with rrbackup.open_repository(config) as repository:
        result = repository.backup()
    assert result.problems == ()
    assert result.version_id is not None
    return result.version_id


def nothing_to_commit(config: rrbackup.Config) -> bool:
    with rrbackup.open_repository(config) as repository:
        return repository.backup().version_id is None


# --- the tree ------------------------------------------------------------------------------------------------------


def place(base: Path, folder: str, number: int) -> Path:
    return base / folder / f"part {number % 7}" / f"{NAME_MARK}-{number}.ünï"


def content_of(folder: str, number: int, turn: int) -> bytes:
    """Text, noise, several chunks, nothing, and for some numbers the same in every folder."""
    line = f"{CONTENT_MARK} {folder} {number} {turn}\n".encode()
    noise = Random(line)
    match number % 20:
        case 3:
            return line + noise.randbytes(3_000)
        case 5:
            return line + noise.randbytes(50_000).hex().encode() * 2
        case 7:
            return f"{CONTENT_MARK} of every folder {number} {turn}\n".encode() * 40
        case 11 if number == 31:
            return b""
        case _:
            return line * (1 + number)


def put(path: Path, content: bytes, age: int) -> None:
    """Times in the past and odd modes, so that they must have been kept to come back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600 + age % 0o100)
    os.utime(path, ns=(0, 1_600_000_000_123_456_789 + age * 1_000_000_007))


def write_first(base: Path) -> None:
    for folder in FOLDERS:
        for number in range(FILES_EACH):
            put(place(base, folder, number), content_of(folder, number, 0), number)
    streamed = Random(1)
    put(place(base, "sealed", 98), streamed.randbytes(5 * MIB).hex().encode(), 98)
    put(place(base, "everything", 98), streamed.randbytes(5 * MIB).hex().encode(), 98)
    put(place(base, "everything", 99), streamed.randbytes(9 * MIB), 99)


def change(base: Path, turn: int) -> None:
    """In every folder: new contents, new files, deletions, a move, and a file that is only touched."""
    for folder in FOLDERS:
        for number in range(turn, 60, 6):
            put(place(base, folder, number), content_of(folder, number, turn), number + turn)
        for number in range(5):
            put(place(base, folder, 100 * turn + number), content_of(folder, number + 100 * turn, turn), number)
            place(base, folder, 60 + 10 * turn + number).unlink()
        place(base, folder, 65 + turn).rename(place(base, folder, 1_000 + turn))
        place(base, folder, 90 + turn).touch()


# --- the bucket, with boto3 ----------------------------------------------------------------------------------------


def rows(server: S3Server, config: rrbackup.Config) -> Iterator[tuple[str, str, str]]:
    """Key, version id and etag of every version in the bucket, newest first for each key."""
    assert config.s3 is not None
    client = server.client()
    for page in client.get_paginator("list_object_versions").paginate(Bucket=config.s3.bucket):
        assert not page.get("DeleteMarkers")
        yield from ((row["Key"], row["VersionId"], row["ETag"]) for row in page["Versions"])
    client.close()


def listed(server: S3Server, config: rrbackup.Config) -> frozenset[str]:
    """The versions of everything but the salt object and the claims."""
    apart = (f"{PREFIX}/salt_file", f"{PREFIX}/gc_log")
    return frozenset(f"{key} {version_id}" for key, version_id, _ in rows(server, config) if key not in apart)


def fetched(server: S3Server, config: rrbackup.Config) -> list[Raw]:
    assert config.s3 is not None
    bucket, client = config.s3.bucket, server.client()

    def fetch(row: tuple[str, str, str]) -> Raw:
        key, version_id, etag = row
        answer = client.get_object(Bucket=bucket, Key=key, VersionId=version_id)
        body = answer["Body"].read()
        assert key.startswith(f"{PREFIX}/"), "nothing lies beside the prefix"
        return Raw(key.removeprefix(f"{PREFIX}/"), version_id, etag, body, answer["Metadata"])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(fetch, rows(server, config)))
    client.close()
    return found


# --- the chain, by hand --------------------------------------------------------------------------------------------

Diff = dict[str, Any]


@frozen
class Stored:
    """An entry of a commit, and the object that holds its content."""

    entry: dict[str, Any]
    raw: Raw

    @property
    def path(self) -> str:
        return str(self.entry["path"])

    @property
    def words(self) -> list[str]:
        return words_for(self.path)


@frozen
class Opened:
    """The repository as the password, PyNaCl and zstandard show it. `diffs` stand by version id, oldest first."""

    keys: Keys
    diffs: dict[str, Diff] = field(repr=False)
    stored: tuple[Stored, ...] = field(repr=False)

    def with_word(self, word: str) -> list[Stored]:
        return [one for one in self.stored if word in one.words]


@pytest.fixture(scope="module")
def opened(run: Run) -> Opened:
    keys = raw_objects.open_salt(run.versions("salt_file")[0].body, SECOND)
    diffs = open_diffs(run, keys)
    return Opened(keys, diffs, tuple(stored_entries(run, diffs.values())))


def open_diffs(run: Run, keys: Keys) -> dict[str, Diff]:
    """Followed from the head by what each says of its parent."""
    lying = {one.version_id: one.body for one in run.versions("manifest_diffs")}
    found: dict[str, Diff] = {}
    wanted, digest = run.versions("manifest_diffs")[0].version_id, None
    while True:
        body = lying[wanted]
        assert digest in (None, hashlib.sha256(body).hexdigest())
        diff = raw_objects.open_record(body, "diff", "manifest_diffs", keys)
        found = {wanted: diff, **found}
        if diff["parent"] is None:
            return found
        wanted, digest = diff["parent"]["version_id"], diff["parent"]["sha256"]


def stored_entries(run: Run, diffs: Iterable[Diff]) -> Iterator[Stored]:
    lying = {(one.key, one.version_id): one for one in run.raw}
    for change in chain.from_iterable(diff["changes"] for diff in diffs):
        if change["status"] != "deleted" and "object" in change:
            yield Stored(change, lying[change["object"]["key"], change["object"]["version_id"]])


def words_for(path: str) -> list[str]:
    """Those of the first rule that matches, in the order in which they are applied."""
    words = next(words for pattern, words in RULES if fnmatchcase(path, pattern))
    return [word for word in ("hash_names", "compress", "encrypt") if word in words]


def key_for(path: str, keys: Keys) -> str:
    return raw_objects.hashed_key(keys, path) if "hash_names" in words_for(path) else f"files{path}"


# --- commits -------------------------------------------------------------------------------------------------------


def test_there_are_500_files_in_the_first_commit_and_changes_of_every_kind_in_the_others(
    run: Run, opened: Opened
) -> None:
    assert [len(tree) for tree in run.trees] == [500, 500, 500]
    assert tuple(opened.diffs) == run.commits
    assert [diff["kind"] for diff in opened.diffs.values()] == ["commit"] * 3
    for version_id in run.commits[1:]:
        assert {change["status"] for change in opened.diffs[version_id]["changes"]} == {"new", "changed", "deleted"}


@pytest.mark.parametrize("back", [0, 1, 2])
def test_each_commit_comes_back_as_it_was(run: Run, tmp_path: Path, back: int) -> None:
    """To a client that remembers nothing."""
    config = evolve(run.config, local_manifest_file=str(tmp_path / "manifest"), local_lock_file=str(tmp_path / "lock"))
    with rrbackup.open_repository(config) as repository:
        result = repository.download(f"latest~{back}", tmp_path / "out")
    assert (result.version_id, result.problems) == (run.commits[-1 - back], ())
    assert look(tmp_path / "out") == run.trees[-1 - back]


def test_the_chain_read_by_hand_gives_the_trees(run: Run, opened: Opened) -> None:
    manifest: dict[str, tuple[object, ...]] = {}
    for diff, tree in zip(opened.diffs.values(), run.trees, strict=True):
        for change in diff["changes"]:
            manifest[change["path"]] = (change["sha256"], change.get("size", 0), change["mode"], change["mtime_ns"])
            if change["status"] == "deleted":
                del manifest[change["path"]]
        assert manifest == {
            f"/{name.decode()}": (sha256(seen.content), len(seen.content), seen.mode, seen.mtime_ns)
            for name, seen in tree.items()
        }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- file objects --------------------------------------------------------------------------------------------------


def test_every_version_in_the_bucket_belongs_to_a_commit_or_is_a_record(run: Run, opened: Opened) -> None:
    files = {(one.raw.key, one.raw.version_id) for one in opened.stored}
    records = [one.key for one in run.raw if (one.key, one.version_id) not in files]
    assert set(records) == {"manifest_diffs", "gc_log", "salt_file"}
    assert (records.count("manifest_diffs"), records.count("salt_file")) == (3, 2)


def test_every_object_is_stored_as_its_rule_asks_and_holds_the_content(run: Run, opened: Opened) -> None:
    contents = {sha256(seen.content): seen.content for tree in run.trees for seen in tree.values()}
    found: dict[str, set[tuple[str, ...]]] = {}
    for one in opened.stored:
        ref, content = one.entry["object"], contents[one.entry["sha256"]]
        applied = ref.get("applied", [])
        assert raw_objects.open_file(one.raw.body, one.raw.key, applied, opened.keys) == content
        assert applied or one.raw.body == content, "plain files lie there byte for byte"
        assert ref.get("asked", []) == one.words
        assert (ref["stored_size"], ref["etag"]) == (len(one.raw.body), one.raw.etag)
        found.setdefault(one.path.split("/")[1], set()).add(tuple(applied))
    assert found == {
        "plain": {()},
        "packed": {(), ("compress",)},
        "hidden": {("hash_names",)},
        "sealed": {("encrypt",), ("compress", "encrypt")},
        "everything": {("hash_names", "encrypt"), ("hash_names", "compress", "encrypt")},
    }


def test_no_compressed_object_is_larger_than_its_content(opened: Opened) -> None:
    packed = [one for one in opened.stored if one.words == ["compress"]]
    assert len(packed) > 100
    assert all(len(one.raw.body) <= one.entry["size"] for one in packed)


def test_objects_lie_at_the_key_of_a_path_that_they_were_stored_for(opened: Opened) -> None:
    own: dict[str, set[str]] = {}
    for one in opened.stored:
        own.setdefault(one.raw.key, set()).add(key_for(one.path, opened.keys))
    assert all(key in keys for key, keys in own.items())


def test_names_are_hashed_under_a_key_and_not_for_everybody_to_guess(opened: Opened) -> None:
    guessed = {f"files/%h/{sha256(one.path.encode())}" for one in opened.stored}
    keys = {one.raw.key for one in opened.with_word("hash_names")}
    assert len(keys) > 200
    assert guessed.isdisjoint(keys)


def test_equal_contents_share_an_object_only_under_equal_rules(opened: Opened) -> None:
    rules: dict[Raw, set[tuple[str, ...]]] = {}
    for one in opened.stored:
        rules.setdefault(one.raw, set()).add(tuple(one.words))
    assert {len(words) for words in rules.values()} == {1}
    by_content: dict[str, set[tuple[str, ...]]] = {}
    for one in opened.stored:
        by_content.setdefault(one.entry["sha256"], set()).add(tuple(one.words))
    assert max(len(words) for words in by_content.values()) == len(RULES), "one content was there under every rule"


def test_what_is_encrypted_names_its_own_key_and_this_repository(run: Run, opened: Opened) -> None:
    repository = opened.keys.repository
    assert {diff["repository"] for diff in opened.diffs.values()} == {repository}
    for raw in encrypted_objects(run, opened):
        header = raw_objects.split(raw.body)[0]
        assert (header["key"], header["repository"]) == (raw.key, repository)
    sizes = {raw_objects.split(one.raw.body)[0]["chunk_size"] for one in opened.with_word("encrypt")}
    assert sizes == {CHUNK}


def test_no_stream_header_is_used_twice(run: Run, opened: Opened) -> None:
    bodies = [raw.body for raw in encrypted_objects(run, opened)]
    assert len({raw_objects.stream_header(body) for body in bodies}) == len(bodies)


def encrypted_objects(run: Run, opened: Opened) -> set[Raw]:
    files = {one.raw for one in opened.with_word("encrypt")}
    assert len(files) > 200
    return {*files, *run.versions("manifest_diffs", "gc_log")}


# --- what gives nothing away ---------------------------------------------------------------------------------------


def test_no_content_shows_through_encryption_and_no_name_through_hashing(opened: Opened) -> None:
    for one in opened.stored:
        body, said, digest = one.raw.body, json.dumps(dict(one.raw.metadata)), one.entry["sha256"]
        if "encrypt" in one.words:
            assert CONTENT_MARK.encode() not in body
            assert digest.encode() not in body
            assert not any(told in said for told in (CONTENT_MARK, NAME_MARK, digest))
        if "hash_names" in one.words:
            assert NAME_MARK not in one.raw.key + said
            assert digest not in said
        if {"hash_names", "encrypt"} <= set(one.words):
            assert NAME_MARK.encode() not in body
            assert b"everything" not in body


def test_the_marks_would_be_found_where_nothing_was_asked_for(opened: Opened) -> None:
    plain = [one for one in opened.stored if not one.words]
    assert all(CONTENT_MARK.encode() in one.raw.body for one in plain)
    assert all(NAME_MARK in one.raw.key + json.dumps(dict(one.raw.metadata)) for one in plain)


def test_records_hold_neither_names_nor_digests(run: Run, opened: Opened) -> None:
    secrets = {NAME_MARK, CONTENT_MARK, *FOLDERS, *(one.entry["sha256"] for one in opened.stored)}
    secrets |= {one.raw.key for one in opened.with_word("hash_names")}
    for raw in run.versions("manifest_diffs", "gc_log"):
        assert raw.metadata == {}
        assert not [told for told in secrets if told.encode() in raw.body]


def test_the_claims_open_under_the_key_for_records(run: Run, opened: Opened) -> None:
    claims = [raw_objects.open_record(raw.body, "claim", "gc_log", opened.keys) for raw in run.versions("gc_log")]
    assert claims[0]["state"] == "idle"
    named = set(chain.from_iterable(claim.get("keys", ()) for claim in claims))
    assert {one.raw.key for one in opened.stored} <= named, "every key was claimed before it was written"
    with pytest.raises(DoesNotOpen):
        raw_objects.open_stream(run.versions("gc_log")[0].body, opened.keys.subkey("streams"))


# --- self-description ----------------------------------------------------------------------------------------------


def test_objects_say_what_they_are_openly_or_under_seal(opened: Opened) -> None:
    """For the first entry that refers to them at the key of its own path: the one they were stored for."""
    seen: set[Raw] = set()
    for one in opened.stored:
        if one.raw in seen or key_for(one.path, opened.keys) != one.raw.key:
            continue
        seen.add(one.raw)
        sealed = {"encrypt", "hash_names"} & set(one.words)
        said = raw_objects.open_labels(one.raw.metadata, one.raw.key, opened.keys) if sealed else one.raw.metadata
        assert dict(said) == labels_of(one)
    assert seen == {one.raw for one in opened.stored}


def labels_of(one: Stored) -> dict[str, str]:
    """The digest is missing where it was not known before the body was sent: files over 8 MiB."""
    labels = {
        "rrbackup-path": quote(one.path, safe="/%"),
        "rrbackup-mtime-ns": str(one.entry["mtime_ns"]),
        "rrbackup-mode": f"{one.entry['mode']:04o}",
    }
    return labels if one.entry["size"] > 8 * MIB else {**labels, "rrbackup-sha256": one.entry["sha256"]}


def test_sealed_labels_open_only_at_their_own_key(opened: Opened) -> None:
    first, second, *_ = opened.with_word("hash_names")
    assert first.raw.key != second.raw.key
    with pytest.raises(DoesNotOpen):
        raw_objects.open_labels(first.raw.metadata, second.raw.key, opened.keys)


# --- the passwords -------------------------------------------------------------------------------------------------


def test_each_salt_object_opens_with_its_own_password_and_gives_the_same_keys(run: Run, opened: Opened) -> None:
    newer, older = (raw.body for raw in run.versions("salt_file"))
    assert raw_objects.open_salt(older, FIRST) == raw_objects.open_salt(newer, SECOND) == opened.keys
    for body, password in ((newer, FIRST), (older, SECOND)):
        with pytest.raises(DoesNotOpen, match="wrong password"):
            raw_objects.open_salt(body, password)


def test_the_salt_objects_share_neither_salt_nor_wrapped_key(run: Run) -> None:
    headers, payloads = zip(*(raw_objects.split(raw.body)[::2] for raw in run.versions("salt_file")), strict=True)
    assert len({header["kdf"]["salt"] for header in headers}) == 2
    assert len({json.loads(payload)["master"] for payload in payloads}) == 2
    assert {(header["kdf"]["opslimit"], header["kdf"]["memlimit"]) for header in headers} == {(4, 32 << 20)}


def test_changing_the_password_uploads_no_file_again(run: Run) -> None:
    assert run.seen_before_change == run.seen_after_change
    assert len(run.seen_before_change) > 400


def test_the_old_password_opens_nothing_any_more(run: Run) -> None:
    with (
        rrbackup.open_repository(with_password(run.config, FIRST)) as repository,
        pytest.raises(rrbackup.WrongPassword, match="salt_file"),
    ):
        repository.list_versions()
