"""`init`: a first configuration that works as it is, and that is never overwritten."""

import json
import os
from pathlib import Path

import pytest

import rrbackup
from rrbackup.config import load_config
from tests.unit.cli_bench import Bench


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    made = Bench(tmp_path, capsys)
    made.config.unlink()
    return made


def _init(bench: Bench, *more: str) -> list[str]:
    return ["init", "--base-path", str(bench.source), "--directory", str(bench.store), *more]


def test_init_writes_a_configuration_that_a_backup_can_use(bench: Bench) -> None:
    ran = bench.run(*_init(bench))
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"wrote the configuration {bench.config}",
        f"made {bench.store} a store",
    ]
    assert bench.run("--json").document["new"] == 2


def test_the_configuration_belongs_to_its_owner_alone(bench: Bench) -> None:
    bench.run(*_init(bench))
    assert bench.config.stat().st_mode & 0o777 == 0o600


def test_init_prints_one_document(bench: Bench) -> None:
    assert bench.run(*_init(bench, "--json")).document == {
        "config": str(bench.config),
        "created": True,
        "done": [f"made {bench.store} a store"],
    }


def test_init_again_changes_nothing_and_says_so(bench: Bench) -> None:
    bench.run(*_init(bench))
    before = bench.config.read_bytes()
    assert bench.run("init", "--json").document == {"config": str(bench.config), "created": False, "done": []}
    ran = bench.run("init", "--base-path", "/", "--bucket", "other")
    assert (ran.code, bench.config.read_bytes()) == (0, before)
    assert "stays as it is" in ran.err
    assert "nothing to do: the store was ready already" in ran.out


def test_init_prepares_the_store_of_a_configuration_written_by_hand(bench: Bench) -> None:
    bench.configure()
    assert bench.run("init", "--json").document["created"] is False
    assert bench.run("list_versions", "--json").document == {"versions": []}


def test_init_does_not_write_through_a_link(bench: Bench) -> None:
    elsewhere = bench.config.with_name("elsewhere.json")
    bench.config.symlink_to(elsewhere)
    assert bench.run(*_init(bench)).code == 2
    assert not elsewhere.exists()


def test_manifest_and_lock_lie_beside_the_configuration(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(*_init(bench))
    monkeypatch.chdir("/")
    config = load_config(bench.config)
    assert config.manifest_path() == bench.config.with_name("backup.manifest")
    assert config.lock_path() == bench.config.with_name("backup.lock")


def test_relative_paths_are_written_as_absolute_ones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.source.parent)
    assert bench.bare("init", "-c", "backup.json", "--base-path", "source", "--directory", "store").code == 0
    document = json.loads(bench.config.read_text())
    assert (document["base_path"], document["directory"]["path"]) == (str(bench.source), str(bench.store))


@pytest.mark.parametrize("folder", ["", "[odd] folder*", "back\\slash 100%"])
def test_what_rrbackup_keeps_inside_the_base_path_is_not_backed_up(bench: Bench, folder: str) -> None:
    place = bench.source / folder
    place.mkdir(exist_ok=True)
    config = place / "c.json"
    words = ["--base-path", str(bench.source), "--directory", str(place / "store")]
    assert bench.bare("init", "-c", str(config), *words).code == 0
    for _ in range(2):
        assert bench.bare("-c", str(config)).code == 0
    rows = bench.bare("list_files", "latest", "--json", "-c", str(config)).document["files"]
    assert sorted(os.path.basename(row["path"]) for row in rows) == ["a", "b", "c.json"]


def test_a_bucket_is_written_with_what_was_said_of_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: rrbackup.Repository) -> tuple[str, ...]:
        raise rrbackup.StoreUnavailable("nobody answers")

    # the configuration stays for the next attempt
    monkeypatch.setattr(rrbackup.Repository, "prepare", unreachable)
    s3 = {"bucket": "some-bucket", "endpoint": "http://127.0.0.1:1", "region": "eu-north-1", "prefix": "here"}
    options = [word for name, value in s3.items() for word in (f"--{name}", value)]
    assert bench.run("init", "--base-path", str(bench.source), *options).code == 1
    assert json.loads(bench.config.read_text())["s3"] == s3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--base-path"),
        (["--base-path", "SOURCE"], "--directory"),
        (["--directory", "STORE"], "--base-path"),
        (["--base-path", "SOURCE", "--directory", "STORE", "--region", "x"], "--bucket"),
        (["--base-path", "SOURCE", "--directory", "STORE", "--bucket", "b"], "only one store"),
        (["--base-path", "SOURCE", "--directory", "SOURCE"], "directory.path: is base_path itself"),
        (["--base-path", "STORE", "--directory", "STORE"], "does not exist"),
        (["--base-path", "SOURCE", "--bucket", "b", "--endpoint", "no-address"], "s3.endpoint"),
    ],
)
def test_what_cannot_become_a_configuration_is_not_written(bench: Bench, words: list[str], said: str) -> None:
    places = {"SOURCE": str(bench.source), "STORE": str(bench.store)}
    ran = bench.run("init", *(places.get(word, word) for word in words))
    assert ran.code == 2
    assert said in ran.err
    assert not bench.config.exists()


def test_a_configuration_in_a_folder_that_is_not_there(bench: Bench) -> None:
    ran = bench.bare(*_init(bench), "-c", str(bench.target / "c.json"))
    assert ran.code == 2
    assert "No such file or directory" in ran.err


def test_the_recovery_kit_goes_into_the_store_once(bench: Bench) -> None:
    done = bench.run(*_init(bench, "--recovery-kit", "--json")).document["done"]
    assert done[1:] == [f"wrote RECOVER/{name} into the store" for name in ("recover.py", "recover.md", "format.md")]
    assert bench.run("init", "--recovery-kit", "--json").document["done"] == []
    (script,) = bench.store.glob("RECOVER/recover.py/%v*")
    assert script.read_bytes() == (Path(rrbackup.__file__).parent / "recover/recover.py").read_bytes()
    assert bench.run("--json").document["new"] == 2
    assert bench.run("garbage_collect", "--json").document == {"deleted": []}
