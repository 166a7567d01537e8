"""Beginnings, and what is told about them: newcomers on a forged chain, two clients at once, a salt object gone bad."""

from functools import partial
from pathlib import Path

import pytest

import rrbackup
from tests import raw_objects
from tests.integration.machines import FIRST, MANIFEST, SALT, Machine, crypto, encrypting, make_cheap
from tests.integration.test_encryption import (
    backed_up,
    interrupting,
    requests_of_a_first_backup,
    without_password,
)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cheap(monkeypatch)


def forged_beginning(machine: Machine) -> None:
    """What a thief of write-only keys can put on top of an encrypted chain."""
    machine.store.put("files/forged", b"forged")
    digest = "83cf3bf3eb5db6a57a1fafef92c4dbf9e8e2a77ecba8b3fd7a5f0b3b6ef0a4e4"
    fields = {"format": 2, "repository": raw_objects.split(machine.store.get(MANIFEST).body)[0]["repository"]}
    fields |= {"sequence": 1, "parent": None, "transaction": "0" * 32, "kind": "commit", "created_ns": 1, "host": "x"}
    entry = {"status": "new", "path": "/forged", "size": 0, "mtime_ns": 1, "mode": 0o600, "sha256": digest}
    machine.store.put(MANIFEST, raw_objects.plain_record("diff", {**fields, "changes": [entry]}))


def test_a_newcomer_with_the_password_believes_no_forged_beginning(tmp_path: Path) -> None:
    owner = encrypting(tmp_path / "x").holds(a=b"1")
    owner.open().backup()
    forged_beginning(owner)
    newcomer = without_password(owner, crypto=crypto(FIRST))
    with pytest.raises(rrbackup.DamagedChain):
        newcomer.open().list_files()


def test_a_newcomers_collection_builds_on_no_forged_beginning(tmp_path: Path) -> None:
    owner = encrypting(tmp_path / "x").holds(a=b"1")
    owner.open().backup()
    forged_beginning(owner)
    with pytest.raises(rrbackup.DamagedChain):
        owner.elsewhere().holds().open().garbage_collect()


def test_who_begins_second_is_not_told_that_something_was_deleted(tmp_path: Path) -> None:
    for at in range(1, len(requests_of_a_first_backup(tmp_path / "alone")) + 1):
        ours = encrypting(tmp_path / str(at)).holds(a=b"1", b=b"22")
        theirs = ours.elsewhere().holds(a=b"other")
        error = backed_up(ours, interrupting(at, partial(backed_up, theirs, lambda request: None)))
        assert not isinstance(error, rrbackup.RepositoryError), f"{at}: {error}"


@pytest.mark.parametrize("body", [b"", bytes(range(256)), b"\0\0\0\2{}", b"\0\0\0\2{}{}"])
def test_every_damaged_salt_points_to_repair(tmp_path: Path, body: bytes) -> None:
    owner = encrypting(tmp_path / "x").holds(a=b"1")
    owner.open().backup()
    owner.store.put(SALT, body)
    with pytest.raises(rrbackup.RepositoryError) as caught:
        owner.open().list_versions()
    assert "repair" in caught.value.hint


def test_a_crypto_of_the_wrong_class_is_not_quoted() -> None:
    store = rrbackup.DirectorySettings(path="/x")
    with pytest.raises((TypeError, rrbackup.ConfigError)) as caught:
        rrbackup.Config(base_path="/a", directory=store, crypto={"crypt_password": "s3cret"})  # type: ignore[arg-type]
    assert "s3cret" not in repr(caught.value)


def test_a_plan_notices_missing_keys(tmp_path: Path) -> None:
    owner = encrypting(tmp_path / "x", meta_pipeline=[]).holds(a=b"1")
    owner.open().backup()
    owner.store.mark_deleted(SALT)
    owner.holds(a=b"2")
    with pytest.raises(rrbackup.DamagedObject):
        owner.open().plan_backup()


def test_no_context_holds_the_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"s3cret\xff")
    owner = encrypting(tmp_path / "x", crypto=rrbackup.CryptoSettings(crypt_password_file=str(tmp_path / "password")))
    with pytest.raises(rrbackup.UsageError) as caught:
        owner.holds().open().backup()
    assert "s3cret" not in repr(caught.value.__context__)
