"""A process killed in the middle of its uploads, on a real server: the next run makes good."""

import json
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup import config as configuration
from rrbackup.api import open_repository
from rrbackup.config import Config, S3Settings
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import list_exact
from rrbackup.events import Notice
from rrbackup.pure.model import VersionRef
from rrbackup.pure.names import object_key, path_text
from tests.integration.trees import look, write, write_odd
from tests.sent_requests import sent_requests
from tests.servers import S3Server

FILES = 200
THREADS = 16

VICTIM = f"""
import sys
from rrbackup.api import open_repository
from rrbackup.config import load_config
from rrbackup.events import FileDone

def tell(event):
    if isinstance(event, FileDone):
        print(event.path.encode("ascii", "replace").decode(), flush=True)

open_repository(load_config(sys.argv[1]), threads={THREADS}).backup(on_event=tell)
"""


def odd_name(chance: random.Random) -> bytes:
    length = chance.choice([1, 5, 20, 80])
    name = bytes(chance.choice(b"abc%\\\n \t\xe4\xff\x01~'\"&+.") for _ in range(length))
    return name if name not in (b".", b"..") else b"dots"


def grow(base: Path, chance: random.Random) -> None:
    """Two thousand files whose names are anything but plain."""
    write_odd(base)
    root = os.fsencode(base)
    for number in range(FILES):
        folder = os.path.join(root, b"f%d" % (number % 7), odd_name(chance))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, b"%d-" % number + odd_name(chance)), "wb") as file:
            file.write(b"content of %d" % (number % (FILES - 50)))


def config_file(folder: Path, base: Path, server: S3Server, bucket: str) -> Path:
    options = server.options(bucket)
    settings = {
        "base_path": str(base),
        "local_manifest_file": str(folder / "manifest"),
        "local_lock_file": str(folder / "lock"),
        "s3": {
            "bucket": bucket,
            "access_key": options.access_key,
            "secret_key": options.secret_key,
            "endpoint": options.endpoint,
            "region": options.region,
        },
    }
    path = folder / "configuration.json"
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    return path


def killed_after(config: Path, uploads: int) -> None:
    command = [sys.executable, "-c", VICTIM, str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        for _ in range(uploads):
            assert victim.stdout.readline(), "the backup ended before it could be killed"
        victim.send_signal(signal.SIGKILL)
        victim.stdout.read()
        assert victim.wait() == -signal.SIGKILL


def stored_versions(store: S3Store, keys: set[str]) -> set[VersionRef]:
    """Everything below files/: by a walk, and key by key as SeaweedFS leaves some out of a walk of several pages."""
    walked = {version.ref for version in store.list_versions("files/")}
    with ThreadPoolExecutor(16) as pool:
        exact = {version.ref for rows in pool.map(lambda key: list(list_exact(store, key)), keys) for version in rows}
    return walked | exact


def all_keys(base: Path) -> set[str]:
    return {object_key("files", path_text(raw), 0) for raw in look(base)}


def test_killed_at_a_random_upload(seaweed: S3Server, tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("RRBACKUP_SEED", "20261122"))
    base = tmp_path / "base"
    base.mkdir()
    grow(base, chance)
    bucket = seaweed.new_bucket()
    config = config_file(tmp_path, base, seaweed, bucket)
    store = S3Store(seaweed.options(bucket))

    killed_after(config, chance.randrange(50, FILES - 100))
    assert list(store.list_versions("manifest_diffs")) == [], "nothing is committed"
    assert list(store.list_versions("files/")) != [], "something was uploaded"

    notices: list[str] = []
    with open_repository(configuration.load_config(config)) as repository:
        result = repository.backup(on_event=lambda e: notices.append(e.text) if isinstance(e, Notice) else None)
        assert any("an interrupted transaction" in text for text in notices)
        assert result.problems == ()
        assert repository.download("latest", tmp_path / "out").problems == ()
        assert look(tmp_path / "out") == look(base)
        referred = {entry.object.ref for entry in repository.list_files() if entry.object}
    assert stored_versions(store, all_keys(base)) == referred, "no orphan is left"
    assert list(store.list_uploads("files/")) == []


def test_a_first_backup_killed_at_nine_tenths_sends_only_what_is_missing(
    seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    write(base, {f"d{number % 9}/f{number}": f"content {number}".encode() for number in range(FILES)})
    bucket = seaweed.new_bucket()
    config = config_file(tmp_path, base, seaweed, bucket)
    killed_after(config, FILES * 9 // 10)
    stored = {version.key for version in S3Store(seaweed.options(bucket)).list_versions("files/")}
    assert len(stored) >= FILES * 9 // 10

    with monkeypatch.context() as patch, open_repository(configuration.load_config(config)) as repository:
        sent = sent_requests(patch)
        assert repository.backup().problems == ()
        uploads = [path for method, path in sent if method == "PUT" and "/files/" in path]
    missing = FILES - len(stored)
    assert missing <= len(uploads) <= missing + THREADS, "what had no receipt goes again"
    assert len(sent) - len(uploads) <= 20, "and the rest does not grow with the number of files"
    assert repository.download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(base)
    referred = {entry.object.ref for entry in repository.list_files() if entry.object}
    assert stored_versions(S3Store(seaweed.options(bucket)), all_keys(base)) == referred, "no orphan is left"


def test_a_client_without_the_journal_needs_to_be_told(seaweed: S3Server, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    grow(base, random.Random(1))
    bucket = seaweed.new_bucket()
    path = config_file(tmp_path, base, seaweed, bucket)
    killed_after(path, 100)
    config: Config = configuration.load_config(path)
    assert isinstance(config.s3, S3Settings)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = evolve(config, local_manifest_file=str(elsewhere / "manifest"), local_lock_file=str(elsewhere / "lock"))
    repository = open_repository(other)
    result = repository.backup(take_over=True)
    referred = {entry.object.ref for entry in repository.list_files() if entry.object}
    assert result.problems == ()
    assert stored_versions(S3Store(seaweed.options(bucket)), all_keys(base)) == referred
