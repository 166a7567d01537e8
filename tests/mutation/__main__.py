"""Mutation testing of the core: does a test fail where the code is a little wrong?

    python -m tests.mutation                     everything in suites.py
    python -m tests.mutation --module sweep      one module, or several

Each mutant is tried in a copy of the tree, by a process that is forked once pytest and the libraries are loaded; a test
that fails, and too much CPU time, kill it. Ends with 1 if fewer than `LEAST_SHARE` are killed, or if the survivors are
not exactly those that survivors.toml explains.
"""

import argparse
import importlib
import os
import resource
import shutil
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.mutation.operators import Mutant, mutants
from tests.mutation.suites import SUITES

ROOT = Path(__file__).parents[2]
EXPLAINED = Path(__file__).with_name("survivors.toml")
LEAST_SHARE = 0.95
FIRST_SECONDS, OTHER_SECONDS = 20, 300
"""CPU time for the first test file of a suite, where a mutant that never ends mostly shows, and for the others."""
MEMORY_BYTES = 4 << 30
LIBRARIES = ("boto3", "cattrs", "click", "hypothesis.strategies", "json5", "rich.console", "xdist.plugin", "zstandard")
"""Loaded once, before the forks."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--module", action="append", choices=SUITES, help="of rrbackup/pure; all where none is given")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    modules: list[str] = given.module or list(SUITES)
    for library in LIBRARIES:
        importlib.import_module(library)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rrbackup-mutants-") as scratch:
        trees = _trees(Path(scratch), given.jobs, modules)
        found = {module: tuple(mutants(module, _source(trees[0], module).read_text())) for module in modules}
        survivors = list(_survivors((mutant for tried in found.values() for mutant in tried), trees))
    _say(f"{time.monotonic() - began:.0f} seconds")
    return _judged(found, survivors)


# --- trying mutants --------------------------------------------------------------------------------------------


def _trees(scratch: Path, count: int, modules: list[str]) -> list[Path]:
    """Copies of the tree in which all tests pass, compiled but for the modules that will change."""
    ignored = shutil.ignore_patterns(".venv", ".git", ".hypothesis", ".*_cache", "__pycache__")
    first = Path(shutil.copytree(ROOT, scratch / "0", ignore=ignored, symlinks=True))
    _, status = os.waitpid(_start(first, list(dict.fromkeys(t for m in modules for t in SUITES[m])), compiled=True), 0)
    if status:
        raise SystemExit(f"these tests fail without any mutant:\n{(first / 'output').read_text()}")
    for module in modules:
        for compiled in _source(first, module).parent.glob(f"__pycache__/{module}.*"):
            compiled.unlink()
    others = (scratch / str(number) for number in range(1, count))
    return [first, *(Path(shutil.copytree(first, other, symlinks=True)) for other in others)]


def _source(tree: Path, module: str) -> Path:
    return tree / "rrbackup" / "pure" / f"{module}.py"


def _survivors(tried: Iterable[Mutant], trees: list[Path]) -> Iterator[Mutant]:
    """Tries one mutant in every tree at a time."""
    free, running = list(trees), dict[int, tuple[Path, Mutant, str]]()
    for mutant in tried:
        while not free:
            yield from _ended(running, free)
        tree = free.pop()
        original = _source(tree, mutant.module).read_text()
        _source(tree, mutant.module).write_text(mutant.source)
        running[_start(tree, SUITES[mutant.module])] = (tree, mutant, original)
    while running:
        yield from _ended(running, free)


def _ended(running: dict[int, tuple[Path, Mutant, str]], free: list[Path]) -> Iterator[Mutant]:
    process, status = os.wait()
    tree, mutant, original = running.pop(process)
    _source(tree, mutant.module).write_text(original)
    free.append(tree)
    if status == 0:
        name = f"{mutant.module}.py, {mutant.where}"
        _say("".join(unified_diff(original.splitlines(True), mutant.source.splitlines(True), name, "survives", n=1)))
        yield mutant


def _start(tree: Path, tests: Sequence[str], compiled: bool = False) -> int:
    """A process that runs the tests in `tree`; it ends with 0 if all pass, and by a signal when its time is over."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            status = _run(tree, tests, compiled)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            os._exit(status)
    return process


def _run(tree: Path, tests: Sequence[str], compiled: bool) -> int:
    os.dup2(os.open(tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    os.chdir(tree)
    sys.path[0], sys.dont_write_bytecode = str(tree), not compiled
    tempfile.tempdir = str(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("rrbackup", "tests")]:
        del sys.modules[name]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    first, *others = tests
    return _tested([first], FIRST_SECONDS) or (_tested(others, OTHER_SECONDS) if others else 0)


def _tested(tests: list[str], seconds: int) -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, most))
    plain = ("-x", "-q", "-n0", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-m", "not deep")
    return pytest.main([*plain, *tests])


# --- judging ---------------------------------------------------------------------------------------------------


def _judged(found: dict[str, tuple[Mutant, ...]], survivors: list[Mutant]) -> int:
    explained = {mutant for mutant in _explained() if mutant.module in found}
    for module, tried in found.items():
        alive = sum(mutant.module == module for mutant in survivors)
        _say(f"{module}: {len(tried) - alive} of {len(tried)} killed")
    total = sum(len(tried) for tried in found.values())
    share = 1 - len(survivors) / total
    new, stale = set(survivors) - explained, explained - set(survivors)
    _say(f"{total} mutants, {share:.1%} killed, {len(new)} survivors are not explained")
    _say("".join(f"explained, but no survivor: {mutant}\n" for mutant in stale))
    return int(bool(new or stale) or share < LEAST_SHARE)


def _explained() -> Iterator[Mutant]:
    for entry in tomllib.loads(EXPLAINED.read_text())["survivor"]:
        assert entry.pop("why")
        yield Mutant(**entry, source="")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
