"""The benchmark's own arithmetic: data sets, the proxy's reading, medians, verdicts. None of it runs a server."""

from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench import data, results, tables, targets
from bench.cases import CASES
from bench.lanes import Lane, Run, turned
from bench.processes import BenchError, Command, run
from bench.proxy import NotUnderstood, Requests
from bench.results import CaseResult, LaneResult, Results, Sample, Traffic
from bench.starting import POINTS, growth, lengths
from bench.tools import Rclone, Restic, Room, RRBackup
from tests.servers import S3Server

BENCH = Path(bench.__file__).parent
TREE = data.Tree("sample", "varied", 40, 4_000, 5)


def lane(name: str, *walls: float, requests: int = 0) -> LaneResult:
    samples = tuple(Sample(wall, wall / 2, 50_000_000) for wall in walls)
    return LaneResult(name, samples, Traffic({"PUT": requests}, 5, 7), items=1000)


def measured(*lanes: LaneResult, case: str = "small-nothing") -> Results:
    return Results("today", 3, False, {"processor": "2 x some"}, (CaseResult(case, "A title", lanes, ("A note.",)),))


def test_a_data_set_is_the_same_every_time_and_has_the_size_that_is_said(tmp_path: Path) -> None:
    one, other = data.made(TREE, tmp_path / "one"), data.made(TREE, tmp_path / "other")
    contents = [{path: (folder / path).read_bytes() for path in data.paths(TREE)} for folder in (one, other)]
    assert contents[0] == contents[1]
    assert sum(map(len, contents[0].values())) == TREE.size
    assert len(set(contents[0].values())) == TREE.files, "no two are equal"
    assert {(one / path).stat().st_mtime_ns for path in data.paths(TREE)} == {
        (other / path).stat().st_mtime_ns for path in data.paths(TREE)
    }


def test_a_change_keeps_sizes_and_touches_as_many_files_as_were_asked_for(tmp_path: Path) -> None:
    folder = data.copied(data.made(TREE, tmp_path), tmp_path / "copy")
    before = {path: (folder / path).read_bytes() for path in data.paths(TREE)}
    assert data.change(TREE, folder, 0.1, 1) == 4
    after = {path: (folder / path).read_bytes() for path in data.paths(TREE)}
    assert sum(before[path] != after[path] for path in before) == 4
    assert {path: len(body) for path, body in before.items()} == {path: len(body) for path, body in after.items()}


HEADS = (
    (b"PUT /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", b"\r\n\r\nx", "PUT"),
    (b"GET /bucket?versions&prefix=a/b HTTP/1.1\r\nHost: a\r\n\r\n", b"", "LIST"),
    (b"GET /bucket/key?versionId=1 HTTP/1.1\r\nhost: a\r\n\r\n", b"", "GET"),
    (b"POST /bucket/?delete HTTP/1.1\r\ncontent-length: 3\r\n\r\n", b"abc", "POST"),
)


def test_a_change_of_everything_changes_the_smallest_file_too(tmp_path: Path) -> None:
    folder = data.made(TREE, tmp_path)
    before = {path: (folder / path).read_bytes() for path in data.paths(TREE)}
    assert min(map(len, before.values())) < 20
    data.change(TREE, folder, 1.0, 1)
    assert all((folder / path).read_bytes() != body for path, body in before.items())
    assert [(folder / path).stat().st_size for path in before] == data.sizes(TREE)


@given(st.lists(st.sampled_from(HEADS), max_size=6), st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_the_proxy_finds_requests_however_they_arrive(
    requests: list[tuple[bytes, bytes, str]], steps: list[int]
) -> None:
    sent = b"".join(head + body for head, body, _ in requests)
    reader, passed, beginnings, at = Requests(), b"", 0, 0
    for number in range(len(sent)):
        step = steps[number % len(steps)]
        for piece, begins in reader.feed(sent[at : at + step]):
            passed += piece
            beginnings += begins
        at += step
    assert passed == sent
    assert reader.counts == Counter(kind for _, _, kind in requests)
    assert beginnings == len(requests)


def test_the_proxy_refuses_a_body_whose_end_it_cannot_tell() -> None:
    with pytest.raises(NotUnderstood, match="chunked"):
        Requests().feed(b"PUT /bucket/key HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_every_lane_comes_first_in_some_round() -> None:
    lanes = [Lane(name, lambda _: Run(Command(("true",)))) for name in "abc"]
    assert ["".join(lane.name for lane in turned(lanes, number)) for number in range(4)] == ["abc", "bca", "cab", "abc"]


def test_what_is_measured_is_a_process_and_its_own_memory() -> None:
    used = run(Command(("python3", "-c", "held = b'x' * 150_000_000; print('done')")))
    idle = run(Command(("true",)))
    assert used.output == "done\n"
    assert used.sample.peak_bytes > 150_000_000 > 30_000_000 > idle.sample.peak_bytes


@pytest.mark.parametrize("argv", [("false",), ("no-such-program-anywhere",)])
def test_a_command_that_fails_is_no_measurement(argv: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BenchError, match=argv[0]):
        run(Command(argv))
    capfd.readouterr()


def test_results_come_back_from_their_json() -> None:
    found = measured(lane("rrbackup", 1.0, 3.0, 2.0, requests=3), lane("restic", 4.0))
    assert results.decode(results.encode(found)) == found
    with pytest.raises(ValueError, match="format"):
        results.decode('{"format": 0}')


def test_cases_measured_again_take_the_place_of_the_old_ones() -> None:
    first = measured(lane("rrbackup", 1.0))
    others = measured(lane("rrbackup", 5.0), case="start")
    again = measured(lane("rrbackup", 2.0))
    both = results.merged(first, others)
    assert [case.name for case in both.cases] == ["small-nothing", "start"]
    assert results.merged(both, again).cases == (again.cases[0], others.cases[0])


@pytest.mark.parametrize(("wall", "words"), [(2.0, ["met", "met"]), (2.1, ["**not met**", "met"])])
def test_a_target_holds_the_median_against_the_bound(wall: float, words: list[str]) -> None:
    found = measured(lane("rrbackup", 9.0, wall, 0.1, requests=3), lane("restic", 4.0))
    verdicts = [verdict for verdict in targets.verdicts(found) if verdict.target.case == "small-nothing"]
    assert [verdict.word for verdict in verdicts] == words
    assert verdicts[0].measured == wall / 4.0


def test_a_peer_that_is_missing_leaves_its_target_open() -> None:
    verdicts = targets.verdicts(measured(lane("rrbackup", 1.0, requests=4)))
    words = {v.target.text: v.word for v in verdicts if v.target.case == "small-nothing"}
    assert words == {"wall time over restic's": "not measured", "requests": "**not met**"}
    assert {v.word for v in verdicts if v.target.case != "small-nothing"} == {"not measured"}


def test_every_target_belongs_to_a_case() -> None:
    assert {target.case for target in targets.TARGETS} <= {*CASES}


def test_a_report_shows_each_lane_and_each_target() -> None:
    found = measured(lane("rrbackup", 1.0, requests=3), lane("restic", 4.0))
    text = tables.document(found)
    assert "| rrbackup " in text
    assert "| restic " in text
    assert "A note." in text
    assert text.count("not measured") == len(targets.TARGETS) - 2
    assert "Something else" not in text


def test_a_report_warns_where_something_else_was_at_work() -> None:
    busy = lane("rrbackup", 1.0)
    noisy = evolve(busy, samples=tuple(evolve(sample, foreign=1.5) for sample in busy.samples))
    assert "Something else kept 1.5 cores busy" in tables.document(measured(noisy))


def test_the_report_that_is_kept_says_what_its_json_says() -> None:
    """After a change of the tables or targets: python -m bench --show bench/results.json --report bench/RESULTS.md"""
    kept, report = BENCH / "results.json", BENCH / "RESULTS.md"
    found = results.read(kept)
    assert report.exists() is (found is not None)
    assert found is None or tables.document(found) == report.read_text()


@pytest.mark.parametrize("commits", [100, 2_000])
def test_requests_are_counted_at_growing_lengths_up_to_the_last_commit(commits: int) -> None:
    found = lengths(commits)
    assert found == sorted({*found})
    assert (found[0] > 0, found[-1], len(found)) == (True, commits, POINTS)


def test_growth_tells_a_constant_from_a_line() -> None:
    assert growth([10.0] * 20) == 1.0
    assert growth([float(n) for n in range(1, 21)]) > 2.5


def test_no_tool_is_told_a_secret_on_its_command_line(tmp_path: Path) -> None:
    room = Room(S3Server("none", "http://127.0.0.1:1", "user", "geheim"), "bucket", tmp_path)
    for tool in (RRBackup(), Restic(), Rclone()):
        command = tool.back_up(room, tmp_path / "tree", "http://127.0.0.1:1")
        assert "geheim" not in " ".join(command.argv)
