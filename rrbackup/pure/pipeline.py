"""Pipelines: what is done to a file before it is stored.

The rule: words are applied in one order, however they were written, and the first rule whose pattern matches a
path decides on it alone. Whether a pipeline can be carried out is not decided here.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from attrs import field, frozen

from rrbackup.errors import UsageError
from rrbackup.pure.model import Word


def in_order(words: Iterable[Word]) -> tuple[Word, ...]:
    """The words in the order in which they are applied, each once.

    Raises `UsageError` for an unknown word: dropped, it would store less than was asked for.
    """
    asked = frozenset(words)
    unknown = sorted(str(word) for word in asked.difference(Word))
    if unknown:
        raise UsageError(f"unknown pipeline word {', '.join(unknown)}", hint=f"The words are {', '.join(Word)}.")
    return tuple(word for word in Word if word in asked)


@frozen
class PipelineRule:
    """The words for every path that `pattern` matches."""

    pattern: str
    words: tuple[Word, ...] = field(default=(), converter=in_order)


def pipeline_for(rules: Iterable[PipelineRule], path: str) -> tuple[Word, ...] | None:
    """The words of the first rule that matches the path text, or None where no rule does."""
    found = deciding_rule(rules, path)
    return found[1].words if found else None


def deciding_rule(rules: Iterable[PipelineRule], path: str) -> tuple[int, PipelineRule] | None:
    """That rule and its index, or None where none matches."""
    for index, rule in enumerate(rules):
        if fnmatchcase(path, rule.pattern):
            return index, rule
    return None
