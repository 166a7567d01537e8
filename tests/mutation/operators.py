"""What a mutant is: the text of a module with one small change, and which changes are tried.

Rule: everything that decides is changed, also in properties and in the defaults of fields; texts for people
(f-strings, what is raised, docstrings), annotations and assertions are not.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from copy import copy
from typing import TypeVar

from attrs import field, frozen

T = TypeVar("T")
Place = ast.expr | ast.stmt | ast.pattern
"""What has a place in the text."""

PAIRS: tuple[tuple[type[ast.AST], type[ast.AST]], ...] = (
    *((ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn), (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)),
    *((ast.And, ast.Or), (ast.Add, ast.Sub)),
)
OPPOSITES = dict(PAIRS) | {right: left for left, right in PAIRS}
REPLACED = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list", "reversed": "list"}
UNTOUCHED = (ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)


@frozen
class Mutant:
    """`where` is the function or class it is in. What is compared names a mutant even when lines move.

    `number` counts those in which nothing of this differs, such as the same condition twice in a function.
    """

    module: str
    where: str
    before: str
    after: str
    number: int = 1
    source: str = field(eq=False, repr=False, kw_only=True)


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    text = source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    counts: Counter[tuple[str, str, str]] = Counter()
    for where, node, after in _changes(ast.parse(source), module):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        name = where, " ".join(text[begin:end].decode().split()), after
        counts[name] += 1
        yield Mutant(module, *name, counts[name], source=(text[:begin] + after.encode() + text[end:]).decode())


def _changes(node: ast.AST, where: str) -> Iterator[tuple[str, Place, str]]:
    """Where it is, what is replaced and by which text: first for the node, then for what is in it."""
    if isinstance(node, UNTOUCHED) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return
    where = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else where
    yield from ((where, place, after) for place, after in _of_node(node))
    if isinstance(node, ast.Raise):
        return
    annotations = [getattr(node, name, None) for name in ("annotation", "returns")]
    for child in ast.iter_child_nodes(node):
        if child not in annotations:
            yield from _changes(child, where)


def _of_node(node: ast.AST) -> Iterator[tuple[Place, str]]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            yield from _of_conditions([test])
        case ast.comprehension(ifs=conditions):
            yield from _of_conditions(conditions)
        case ast.match_case(_, ast.expr() as guard):
            yield from _of_conditions([guard])
        case ast.match_case(pattern):
            yield pattern, f"{ast.unparse(pattern)} if False"
        case ast.MatchOr(patterns=patterns):
            yield from ((node, " | ".join(map(ast.unparse, rest))) for rest in _without_each(patterns))
        case ast.expr():
            yield from _of_expression(node)
        case ast.stmt():
            yield from _of_statement(node)
        case _:
            pass


def _of_conditions(conditions: list[ast.expr]) -> Iterator[tuple[Place, str]]:
    yield from ((condition, answer) for condition in conditions for answer in ("True", "False"))


def _of_expression(node: ast.expr) -> Iterator[tuple[Place, str]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in OPPOSITES:
            yield node, _text(node, ops=[OPPOSITES[type(op)]()])
        case ast.BoolOp(op, values):
            yield node, _text(node, op=OPPOSITES[type(op)]())
            yield from ((node, _text(node, values=rest)) for rest in _without_each(values))
        case ast.BinOp(op=ast.Add() | ast.Sub() as op):
            yield node, _text(node, op=OPPOSITES[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value):
            yield from ((node, after) for after in _other_constants(value))
        case ast.Tuple(elts=elements) | ast.List(elts=elements) if any(isinstance(e, ast.Starred) for e in elements):
            yield from ((node, ast.unparse(ast.Tuple(rest, ast.Load()))) for rest in _without_each(elements))
        case ast.Call():
            yield from _of_call(node)
        case _:
            pass


def _of_call(call: ast.Call) -> Iterator[tuple[Place, str]]:
    """Another function, an argument left out if it is named, else None in its place."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name == "isinstance":
        return
    if name in REPLACED:
        yield call, _text(call, func=ast.Name(REPLACED[name]), keywords=[])
    yield from ((call, _text(call, keywords=rest)) for rest in _without_each(call.keywords))
    for argument in call.args:
        if not isinstance(argument, ast.Starred | ast.Constant | ast.GeneratorExp):
            yield argument, "None"


def _of_statement(statement: ast.stmt) -> Iterator[tuple[Place, str]]:
    match statement:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield value, "None"
        case ast.Expr() | ast.Delete() | ast.AugAssign() | ast.Raise():
            yield statement, "pass"
        case ast.Break():
            yield statement, "continue"
        case _:
            pass


def _other_constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, str):
        yield repr("?")


def _without_each(items: list[T]) -> Iterator[list[T]]:
    yield from ([item for item in items if item is not out] for out in items)


def _text(node: ast.expr, **changes: object) -> str:
    """The expression with some of its parts replaced."""
    changed = copy(node)
    for name, part in changes.items():
        setattr(changed, name, part)
    text = ast.unparse(changed)
    return text if isinstance(node, ast.Call) else f"({text})"
