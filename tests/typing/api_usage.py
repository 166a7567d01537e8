"""How a typed program uses rrbackup. Never run: it only has to pass `mypy --strict`."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

import rrbackup
from rrbackup import testing


def configurations() -> list[rrbackup.Config]:
    return [
        rrbackup.load_config("configuration.json"),
        rrbackup.load_config(Path("configuration.json")),
        rrbackup.parse_config("{}", "an example"),
        rrbackup.Config(base_path="/data", s3=rrbackup.S3Settings(bucket="bucket", prefix="here")),
        rrbackup.Config(base_path=Path("/data"), directory=rrbackup.DirectorySettings(path=Path("/backup"))),
    ]


def backing_up(config: rrbackup.Config) -> rrbackup.BackupResult:
    with rrbackup.open_repository(config) as repository:
        assert_type(repository, rrbackup.Repository)
        plan = repository.plan_backup()
        assert_type(plan.candidates, tuple[rrbackup.Candidate, ...])
        assert_type(plan.problems, tuple[rrbackup.Problem, ...])
        stored: bytes = rrbackup.encode_plan(plan)
        assert_type(rrbackup.decode_plan(stored, "the plan"), rrbackup.BackupPlan)
        return repository.backup(plan, on_event=listen)


def listen(event: rrbackup.Event) -> None:
    match event:
        case rrbackup.BytesMoved(path=path, count=count):
            assert_type(path, rrbackup.PathText)
            assert_type(count, int)
        case rrbackup.ProblemFound(problem=problem):
            assert_type(problem.kind, rrbackup.ProblemKind)
        case _:
            pass


callback: rrbackup.OnEvent = listen
as_a_callable: Callable[[rrbackup.Event], None] = callback


def looking_back(repository: rrbackup.Repository) -> None:
    for version in repository.list_versions():
        assert_type(version, rrbackup.Version)
        assert_type(version.version_id, rrbackup.VersionId)
        assert_type(version.counts, rrbackup.Counts)
        assert_type(repository.list_files(version.version_id), rrbackup.Listing[rrbackup.Entry])
        assert_type(repository.list_changes(version.version_id), rrbackup.Listing[rrbackup.Change])
    assert_type(rrbackup.path_bytes(repository.list_files()[0].path), bytes)
    filters = rrbackup.parse_filter_lines("/unwanted*\n")
    result = repository.download("latest~1", Path("/tmp/restored"), filters, listen)
    assert_type(result, rrbackup.DownloadResult)
    assert_type(result.complete, bool)
    planned = repository.plan_download(
        "latest", "x", paths=["/a"], include=["*.jpg"], overwrite=rrbackup.Overwrite.NEVER, delete=True
    )
    assert_type(planned, rrbackup.RestorePlan)
    assert_type(planned.steps, tuple[rrbackup.RestoreStep, ...])
    assert_type(planned.traffic(), rrbackup.Traffic)
    assert_type(repository.download_cost(planned), rrbackup.Cost | None)
    assert_type(repository.cat("latest", "/a"), Iterator[bytes])
    assert_type(repository.garbage_collect(), rrbackup.CollectResult)


def searching(repository: rrbackup.Repository) -> None:
    found = repository.find("*.txt")
    assert_type(found, rrbackup.SearchResult)
    assert_type(found.lost, rrbackup.Lost | None)
    for state in found:
        assert_type(state, rrbackup.Found)
        assert_type(repository.list_files(state.last.version_id), rrbackup.Listing[rrbackup.Entry])
    history = repository.history("/notes/todo.txt")
    assert_type(history, rrbackup.PathHistory)
    assert_type(history.events, tuple[rrbackup.PathEvent, ...])
    assert_type([event.happening for event in history.events], list[rrbackup.Happening])
    compared = repository.diff("latest~1", "@2026-11-20 14:00")
    assert_type(compared, rrbackup.Comparison)
    assert_type([difference.kind for difference in compared], list[rrbackup.DifferenceKind])
    assert_type([difference.before for difference in compared], list[rrbackup.Entry | None])
    stats = repository.stats()
    assert_type(stats, rrbackup.RepositoryStats)
    assert_type(stats.commits, tuple[rrbackup.CommitStats, ...])
    assert_type(stats.pipelines, tuple[rrbackup.PipelineStats, ...])
    explained = repository.explain("/notes/todo.txt")
    assert_type(explained, rrbackup.Explanation)
    assert_type(explained.ignored, rrbackup.Decision | None)


def repairing(repository: rrbackup.Repository) -> None:
    state = repository.manifest_state()
    assert_type(state, rrbackup.ManifestState)
    assert_type(state.commits, tuple[rrbackup.Version, ...])
    assert_type(state.unsound, tuple[rrbackup.Unsound, ...])
    if not state.sound and state.head is not None:
        repaired = repository.repair_head(state.head)
        assert_type(repaired, rrbackup.HeadRepaired)
        assert_type(repaired.version_id, rrbackup.VersionId | None)


def checking(repository: rrbackup.Repository) -> list[str]:
    result = repository.verify("latest", read_data="5%", on_event=listen)
    assert_type(result, rrbackup.VerifyResult)
    assert_type(result.records, tuple[rrbackup.DamagedRecord, ...])
    for damage in result.damaged:
        assert_type(damage.kind, rrbackup.DamageKind)
        assert_type(damage.touches, tuple[rrbackup.Touched, ...])
    healed = repository.heal(read_data=True)
    assert_type(healed, rrbackup.HealResult)
    assert_type(healed.unhealed, tuple[rrbackup.Problem, ...])
    found = repository.doctor()
    assert_type(found, tuple[rrbackup.Diagnosis, ...])
    return [one.remedy for one in found if one.verdict is rrbackup.Verdict.WRONG]


def failing(config: rrbackup.Config) -> str:
    try:
        backing_up(config)
    except rrbackup.ConfigError as error:
        assert_type(error.problems, tuple[str, ...])
    except rrbackup.Busy as error:
        return error.hint
    except rrbackup.RRBackupError as error:
        return error.message
    return ""


def vault() -> rrbackup.Credentials:
    return rrbackup.Credentials("key", "secret", "token", datetime.now(UTC) + timedelta(hours=1))


def in_a_service(config: rrbackup.Config, stop: threading.Event) -> bool:
    with rrbackup.open_repository(config, credentials=vault, cancelled=stop.is_set) as repository:
        assert_type(repository.init(recovery_kit=True), tuple[str, ...])
        assert_type(repository.list_versions(), tuple[rrbackup.Version, ...])
        assert_type(repository.list_files(), rrbackup.Listing[rrbackup.Entry])
        assert_type(repository.list_changes(), rrbackup.Listing[rrbackup.Change])
        assert_type(repository.garbage_collect(), rrbackup.CollectResult)
        assert_type(repository.clean_gc_log(), rrbackup.CollectResult)
        assert_type(repository.copy(config, last=3), rrbackup.CopyResult)
        assert_type(repository.policy("read-only"), dict[str, object])
        assert_type(repository.apply_lifecycle(), rrbackup.Applied)
        try:
            return repository.backup().complete
        except rrbackup.Cancelled:
            return False


def in_tests(config: rrbackup.Config) -> rrbackup.Repository:
    store = testing.MemoryStore()
    fault = testing.Fault(at=3, kind=testing.FaultKind.LOST)
    return rrbackup.open_repository(config, store=store.client(faults=[fault]))
