"""The benchmark as a whole, in small sizes: every case runs and leaves results. What it measures is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import results
from bench.cases import CASES

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("seaweed")
def test_every_case_runs_in_small_sizes_and_is_written_down(tmp_path: Path) -> None:
    out, report = tmp_path / "results.json", tmp_path / "RESULTS.md"
    cases = [word for name in CASES for word in ("--case", name)]
    work = ("--quick", "--rounds", "1", "--work", str(tmp_path / "work"))
    bench(*work, *cases, "--out", str(out), "--report", str(report))
    found = results.decode(out.read_text())
    assert [case.name for case in found.cases] == [*CASES]
    assert all(len(lane.samples) == 1 for case in found.cases for lane in case.lanes)
    assert found.cases[0].lanes[0].traffic is not None
    assert found.cases[0].lanes[0].traffic.requests["PUT"] > 200
    assert bench("--show", str(out)).strip() == report.read_text().strip()
