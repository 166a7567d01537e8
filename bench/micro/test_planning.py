"""From a manifest of 100,000 entries and a scan to a plan, and the scan of a real tree."""

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.data import Tree, made
from bench.generated import found_in
from bench.micro import samples
from rrbackup.effects.local_rows import read_local
from rrbackup.pure.local_format import encode_local, rows_of
from rrbackup.pure.manifest import fold_links
from rrbackup.pure.model import Link, LocalManifest, VersionId
from rrbackup.pure.plan import BackupPlan, make_plan

TREE = Tree("micro", "tiny", 10_000, 1_000_000, 100)


def unchanged(path: Path) -> BackupPlan:
    """From the file of a local manifest, as in a backup."""
    return make_plan(samples.HEAD, rows_of(read_local(path).entries), samples.scanned(), samples.RULES)


def all_new() -> BackupPlan:
    return make_plan(None, (), samples.scanned(), samples.RULES)


def test_a_plan_where_nothing_has_changed(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    path = tmp_path / "manifest"
    path.write_bytes(b"".join(encode_local(samples.manifest())))
    assert benchmark(unchanged, path).unchanged == samples.ENTRIES


def test_a_plan_where_everything_is_new(benchmark: BenchmarkFixture) -> None:
    samples.scanned()
    assert len(benchmark(all_new).candidates) == samples.ENTRIES


def test_a_diff_becomes_a_manifest(benchmark: BenchmarkFixture) -> None:
    link = Link(VersionId("1" * 32), '"etag"', "2" * 64, samples.diff())
    assert len(benchmark(fold_links, LocalManifest(None), [link]).entries) == samples.ENTRIES


def test_a_scan_of_10000_files(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    folder = made(TREE, tmp_path)
    assert sum(1 for _ in benchmark(lambda: list(found_in(folder)))) == TREE.files
