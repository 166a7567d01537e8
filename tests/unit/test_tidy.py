"""Properties of the code itself: what the core may import, which way imports point, and how long things are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "rrbackup"
TESTS = Path(__file__).parents[1]
SCRIPTS = PACKAGE / "recover"
"""What lies here is given to people; the package never imports it, and it imports nothing of the package."""

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if SCRIPTS not in path.parents)

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60

PURE_MAY_IMPORT = {
    *("attrs", "binascii", "bz2", "cattrs", "collections", "enum", "fnmatch", "functools", "hashlib", "hmac"),
    *("cryptography", "itertools", "json", "operator", "orjson", "re", "struct", "typing", "urllib.parse", "zstandard"),
    *("rrbackup.errors", "rrbackup.pure"),
}
"""Nothing here reads a clock, entropy, a file, the network, the environment or a log."""

WIRE = {"format1_json.py", "format2.py", "header.py", "journal_format.py", "local_format.py", "wire.py"}
"""The modules of the core that may know JSON and cattrs."""

LAYERS = ["errors", "pure", "config", "events", "effects", "verbs", "api", "cli"]
"""A module imports its own layer and those to the left."""


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module


def allowed_in_pure(module: str) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:length]) in PURE_MAY_IMPORT for length in range(1, len(parts) + 1))


@pytest.mark.parametrize("path", sorted((PACKAGE / "pure").rglob("*.py")), ids=name_of)
def test_the_core_imports_nothing_that_touches_the_world(path: Path) -> None:
    found = set(imports(path))
    assert {module for module in found if not allowed_in_pure(module)} == set()
    if path.name not in WIRE:
        assert found.isdisjoint({"orjson"})
        assert not any(module.startswith("cattrs") for module in found)


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("path", sorted((PACKAGE / "pure").rglob("*.py")), ids=name_of)
def test_the_core_opens_and_prints_nothing(path: Path) -> None:
    assert set(calls(path)).isdisjoint({"open", "print", "input", "exec", "eval", "__import__"})


def layer(module: str) -> str:
    parts = module.split(".")
    first = parts[1] if len(parts) > 1 else ""
    return "config" if first.startswith("config") else first


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    here = layer(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    if here not in LAYERS:
        return  # __init__, __main__ and testing stand above all layers
    used = {layer(module) for module in imports(path) if module.startswith("rrbackup.")}
    assert used <= set(LAYERS[: LAYERS.index(here) + 1])


@pytest.mark.parametrize("path", [p for p in SOURCES if "cli" not in p.parts], ids=name_of)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    assert set(calls(path)).isdisjoint({"print", "exit"})
    assert "SystemExit" not in path.read_text() or path.name == "__main__.py"
    assert set(imports(path)).isdisjoint({"rich", "click", "logging"})


def test_threads_are_pooled_in_one_place() -> None:
    """There it is decided who waits for them."""
    pooling = [path.name for path in SOURCES if "ThreadPoolExecutor(" in path.read_text()]
    assert pooling == ["workers.py"]


@pytest.mark.parametrize("path", [*SOURCES, *sorted(TESTS.rglob("*.py"))], ids=lambda p: p.name)
def test_files_fit_in_a_head(path: Path) -> None:
    limit = MAX_FILE_LINES if path in SOURCES else 2 * MAX_FILE_LINES
    assert len(path.read_text().splitlines()) <= limit


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    long = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
