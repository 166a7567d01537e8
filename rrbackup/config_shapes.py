"""Between what may be written and what a configuration field holds.

The rule: every notation with the right shape becomes one frozen value (lists become tuples, words come in the
order in which they are applied); whatever has another shape stays as it is, for the checks to name.
"""

import os
from collections.abc import Sequence
from typing import TypeGuard, cast

from attrs import AttrsInstance, has

from rrbackup.config_check import keys_of
from rrbackup.pure.model import Word
from rrbackup.pure.pipeline import PipelineRule, in_order
from rrbackup.pure.rules import Detection

Rule = PipelineRule | tuple[str, Sequence[Word]]


def path(value: str | os.PathLike[str]) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def optional_path(value: str | os.PathLike[str] | None) -> str | None:
    return None if value is None else path(value)


def patterns(value: Sequence[str]) -> tuple[str, ...]:
    return tuple(value) if _is_sequence(value) else cast("tuple[str, ...]", value)


def words(value: Sequence[Word]) -> tuple[Word, ...]:
    return in_order(value) if _are_words(value) else cast("tuple[Word, ...]", value)


def rules(value: Sequence[Rule]) -> tuple[PipelineRule, ...]:
    return tuple(map(_rule, value)) if _is_sequence(value) else cast("tuple[PipelineRule, ...]", value)


def _rule(value: object) -> PipelineRule:
    match value:
        case [str(pattern), [*listed]] if _are_words(listed):
            return PipelineRule(pattern, listed)
        case _:
            return cast("PipelineRule", value)


def detection(value: str) -> Detection:
    return next((known for known in Detection if known == value), cast("Detection", value))


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def _are_words(value: object) -> TypeGuard[Sequence[Word]]:
    if not isinstance(value, list | tuple):
        return False
    return all(isinstance(word, str) and word in set(Word) for word in value)


def plain_object(value: AttrsInstance) -> dict[str, object]:
    """The JSON object that a value of a configuration class stands for; None means that the key is left out."""
    members = {name: getattr(value, name) for name in keys_of(type(value))}
    return {name: plain(member) for name, member in members.items() if member is not None}


def plain(value: object) -> object:
    """The JSON value that a field's value stands for."""
    if isinstance(value, PipelineRule):
        return [value.pattern, list(value.words)]
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return plain_object(cast("AttrsInstance", value)) if has(type(value)) else value
