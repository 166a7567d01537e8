"""The script behind `make mutants`: which changes it tries, and that survivors are explained of the code as it is."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.mutation.operators import Mutant, mutants
from tests.mutation.suites import SUITES

ROOT = Path(__file__).parents[2]

SAMPLE = '''"""What this is for."""

def decide(state: int, *, only: bool = False) -> tuple[int, ...]:
    """Text."""
    assert state is not None
    if state < 3 and not only:
        raise ValueError(f"{state} is too small")
    match state:
        case 4 | 5:
            return publish(state, expect=None)
    return (*sorted(first), "x")
'''
CHANGES = {
    ("False", "True"),
    ("state < 3 and not only", "True"),
    ("state < 3 and not only", "False"),
    ("state < 3 and not only", "(state < 3 or not only)"),
    ("state < 3 and not only", "(state < 3)"),
    ("state < 3 and not only", "(not only)"),
    ("state < 3", "(state <= 3)"),
    ("3", "4"),
    ("not only", "(only)"),
    ('raise ValueError(f"{state} is too small")', "pass"),
    ("4 | 5", "4 | 5 if False"),
    ("4 | 5", "4"),
    ("4 | 5", "5"),
    ("4", "5"),
    ("5", "6"),
    ("publish(state, expect=None)", "None"),
    ("publish(state, expect=None)", "publish(state)"),
    ("state", "None"),
    ('(*sorted(first), "x")', "None"),
    ('(*sorted(first), "x")', "('x',)"),
    ('(*sorted(first), "x")', "(*sorted(first),)"),
    ("sorted(first)", "list(first)"),
    ("first", "None"),
    ('"x"', "'?'"),
}


def test_what_decides_is_changed_and_texts_annotations_and_assertions_are_not() -> None:
    found = list(mutants("sample", SAMPLE))
    assert {(mutant.before, mutant.after) for mutant in found} == CHANGES
    assert {mutant.where for mutant in found} == {"decide"}


def test_every_mutant_is_another_program_with_a_name_of_its_own() -> None:
    found = list(mutants("claims", _source("claims")))
    assert len(found) > 80
    assert len(set(found)) == len(found)
    programs = {ast.dump(ast.parse(text)) for text in (_source("claims"), *(mutant.source for mutant in found))}
    assert len(programs) == len(found) + 1


def test_every_explained_survivor_is_a_mutant_of_the_code_as_it_is() -> None:
    explained = tomllib.loads((ROOT / "tests" / "mutation" / "survivors.toml").read_text())["survivor"]
    assert explained
    for entry in explained:
        assert len(entry.pop("why")) > 10
        assert Mutant(**entry, source="") in _all_of(entry["module"])


@pytest.mark.parametrize("module", SUITES)
def test_every_suite_is_there(module: str) -> None:
    assert _source(module)
    assert [test for test in SUITES[module] if not (ROOT / test.partition("::")[0]).is_file()] == []


@cache
def _all_of(module: str) -> frozenset[Mutant]:
    return frozenset(mutants(module, _source(module)))


def _source(module: str) -> str:
    return (ROOT / "rrbackup" / "pure" / f"{module}.py").read_text()
