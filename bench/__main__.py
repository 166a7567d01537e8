"""Runs cases and shows what was measured.

    python -m bench                                  all cases
    python -m bench --case small-first --rounds 3
    python -m bench --out r.json --report R.md       also written down
    python -m bench --show r.json                    what was written down before

The rrbackup that is measured is the one that this Python imports: that of the working folder, or of PYTHONPATH.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve

from bench import data, results, tables
from bench.cases import CASES
from bench.lab import Setting, opened
from bench.machine import described
from bench.processes import BenchError
from bench.results import CaseResult, Results
from bench.tools import CODE, PEERS
from tests.servers import ServerMissing


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=[*CASES], metavar="NAME", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether it works at all")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results there, as JSON")
    parser.add_argument("--add", action="store_true", help="keep the other cases that FILE already has")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results there, as Markdown")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, report what FILE has")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where trees and the server's data lie")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    asked = arguments(words)
    if asked.show:
        return show(results.decode(asked.show.read_text()), asked.report)
    say(f"measuring the rrbackup in {CODE}")
    if absent := sorted(PEERS - there()):
        say(f"not installed, so left out: {', '.join(absent)}")
    before = results.read(asked.out) if asked.out and asked.add else None
    failed = False
    found = Results(datetime.now(UTC).strftime("%d %B %Y"), asked.rounds, asked.quick, described())
    for case in measured(asked):
        failed = failed or case is None
        found = evolve(found, cases=(*found.cases, *([case] if case else [])))
        keep(asked, results.merged(before, found) if before else found)
    say(tables.targets(found, only_measured=True))
    return 1 if failed else 0


def show(found: Results, report: Path | None) -> int:
    if report:
        report.write_text(tables.document(found))
    else:
        say(tables.document(found))
    return 0


def there() -> frozenset[str]:
    """The peers that are installed."""
    return frozenset(name for name in PEERS if shutil.which(name))


def keep(asked: argparse.Namespace, found: Results) -> None:
    """Written after every case, so that a long run that is cut off is not lost."""
    if asked.out:
        asked.out.write_text(results.encode(found))
    if asked.report:
        asked.report.write_text(tables.document(found))


def measured(asked: argparse.Namespace) -> Iterator[CaseResult | None]:
    """The results of the cases that were asked for; None for one that failed, which was said."""
    cache = asked.work or Path(tempfile.gettempdir(), f"rrbackup-bench-{os.getuid()}")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    trees = data.QUICK if asked.quick else data.FULL
    with tempfile.TemporaryDirectory(dir=cache, prefix="run-") as work:
        setting = Setting(cache, Path(work), asked.rounds, asked.quick, trees, there(), say)
        for name in asked.case or [case.name for case in CASES.values() if case.usual]:
            yield run_case(setting, name)


def run_case(setting: Setting, name: str) -> CaseResult | None:
    say(name)
    began = time.monotonic()
    try:
        with opened(setting) as lab:
            found = CASES[name].measure(lab)
    except (BenchError, ServerMissing) as error:
        say(f"bench: {name} cannot be measured: {error}\n")
        return None
    say(f"  took {time.monotonic() - began:.0f} s in all\n")
    say(tables.case_section(found) + "\n")
    return found


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by a signal"))  # so that nothing stays behind
    sys.exit(main(sys.argv[1:]))
