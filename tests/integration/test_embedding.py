"""What a program that embeds rrbackup relies on: storage class and prefix, threads, bounded memory."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rrbackup.api import open_repository
from rrbackup.config import Config, S3Settings
from tests.integration.trees import look, write
from tests.servers import S3Server


def config_for(folder: Path, server: S3Server, bucket: str, prefix: str = "", **s3: str) -> Config:
    options = server.options(bucket)
    (folder / "base").mkdir(parents=True)
    return Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        s3=S3Settings(
            bucket=bucket,
            access_key=options.access_key,
            secret_key=options.secret_key,
            endpoint=options.endpoint,
            region=options.region,
            prefix=prefix,
            **s3,
        ),
    )


def test_storage_class_and_prefix_as_configured(moto_server: S3Server, tmp_path: Path) -> None:
    """The class is for file objects; metadata must stay where it can be read at once."""
    bucket = moto_server.new_bucket()
    config = config_for(tmp_path, moto_server, bucket, "machines/one", storage_class="STANDARD_IA")
    write(config.base(), {"a": b"1"})
    open_repository(config).backup()
    rows = moto_server.client().list_object_versions(Bucket=bucket)["Versions"]
    classes = {row["Key"]: row["StorageClass"] for row in rows}
    assert classes == {
        "machines/one/files/a": "STANDARD_IA",
        "machines/one/gc_log": "STANDARD",
        "machines/one/manifest_diffs": "STANDARD",
    }


def test_two_repositories_in_two_threads_share_a_bucket(moto_server: S3Server, tmp_path: Path) -> None:
    bucket = moto_server.new_bucket()
    configs = [config_for(tmp_path / name, moto_server, bucket, name) for name in ("one", "other")]
    for number, config in enumerate(configs):
        write(config.base(), {f"d/f{i}": b"%d %d" % (number, i) for i in range(40)})

    def work(config: Config) -> None:
        with open_repository(config) as repository:
            repository.backup()
            (config.base() / "d" / "f0").write_bytes(b"changed")
            repository.backup()
            repository.download("latest", config.base().parent / "out")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, configs))
    for config in configs:
        assert look(config.base().parent / "out") == look(config.base())
        assert [version.sequence for version in open_repository(config).list_versions()] == [1, 2]


PROGRAM = """
import json, resource, sys
from rrbackup.api import open_repository
from rrbackup.config import load_config

repository = open_repository(load_config(sys.argv[1]))
repository.backup()
repository.download("latest", sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("words", [[], pytest.param(["compress"], marks=pytest.mark.deep)], ids=["plain", "compress"])
def test_memory_does_not_grow_with_the_size_of_a_file(seaweed: S3Server, tmp_path: Path, words: list[str]) -> None:
    """MiB at the peak of a process that backs a file up and brings it back: a small one, and one of 120 MiB."""
    peaks = {}
    for size in (1, 120):
        folder = tmp_path / str(size)
        config = config_for(folder, seaweed, seaweed.new_bucket())
        with (config.base() / "big").open("wb") as file:
            file.truncate(size << 20)
        assert config.s3 is not None
        settings = (
            f'{{"base_path": "{config.base_path}", "local_manifest_file": "{config.local_manifest_file}",'
            f'"local_lock_file": "{config.local_lock_file}", "file_pipeline": [["*", {json.dumps(words)}]],'
            f'"s3": {{"bucket": "{config.s3.bucket}", "endpoint": "{config.s3.endpoint}",'
            f'"access_key": "{config.s3.access_key}", "secret_key": "{config.s3.secret_key}"}}}}'
        )
        (folder / "c.json").write_text(settings)
        command = [sys.executable, "-c", PROGRAM, str(folder / "c.json"), str(folder / "out")]
        peaks[size] = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        assert (folder / "out" / "big").stat().st_size == size << 20
    assert peaks[120] - peaks[1] < 60, peaks
