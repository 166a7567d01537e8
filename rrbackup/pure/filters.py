"""Filters: which paths a list of Unix wildcards names.

The rule: a pattern is held against the whole path text, leading slash included; `*` also matches `/`, case
matters, and the first pattern that matches decides. `ignore_files`, `skip_delete`, the pipelines and the filter
file of a download all follow it.
"""

import re
from collections.abc import Iterable, Iterator
from fnmatch import translate

from attrs import field, frozen

from rrbackup.errors import UsageError

# What a path text never holds as it stands (see `names`); a % may begin an escape or stand before a wildcard.
_UNESCAPED = re.compile(r"[\x00-\x1f\x7f\\]|%(?![0-9A-F*?])")

_WILDCARD = re.compile(r"[*?\[]")


@frozen
class Filters:
    """An ordered list of patterns, ready to be matched."""

    patterns: tuple[str, ...] = ()
    _expression: re.Pattern[str] | None = field(init=False, repr=False, eq=False)

    @_expression.default
    def _compile(self) -> re.Pattern[str] | None:
        # A group for each pattern, so that the number of the group that matched tells which one decided.
        alternatives = "|".join(f"({translate(pattern)})" for pattern in self.patterns)
        return re.compile(alternatives) if self.patterns else None

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "Filters":
        return cls(tuple(patterns))

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, path: str) -> bool:
        """Whether a pattern matches the path text itself."""
        return self._expression is not None and self._expression.match(path) is not None

    def first(self, path: str) -> int | None:
        """The index of the pattern that decides on the path text, or None where none matches."""
        found = self._expression.match(path) if self._expression is not None else None
        return found.lastindex - 1 if found is not None and found.lastindex is not None else None

    def covers(self, path: str) -> bool:
        """Whether the path or any folder above it matches: a matched folder is left out whole."""
        return self._expression is not None and any(map(self._expression.match, _from_the_top(path)))

    def may_match_below(self, folder: str) -> bool:
        """Whether a pattern might match something in the folder: as far as its text before the first wildcard tells."""
        return any(_may_match_below(pattern, f"{folder}/") for pattern in self.patterns)

    def deciding(self, path: str) -> tuple[int, str] | None:
        """Why `covers` says so: the index of the pattern, and the outermost folder, or the path, that it matches."""
        found = ((self.first(part), part) for part in _from_the_top(path))
        return next(((index, part) for index, part in found if index is not None), None)


def _may_match_below(pattern: str, folder: str) -> bool:
    fixed = _WILDCARD.split(pattern, maxsplit=1)[0]
    return fixed.startswith(folder) or (fixed != pattern and folder.startswith(fixed))


def _from_the_top(path: str) -> Iterator[str]:
    """The folders above `path`, outermost first, then the path itself."""
    end = path.find("/", 1)
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
    yield path


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode())


def pattern_problem(pattern: str) -> str | None:
    """Why `pattern` could never match a path text, and what to write instead; None where it could."""
    if not pattern:
        return 'an empty filter matches nothing; write "*" for everything'
    if pattern[0] not in "/*":
        bare = pattern.rstrip("/")
        return (
            f'filter "{pattern}" begins with neither / nor *, so it never matches; '
            f'write "/{bare}" for the root, "*/{bare}" for every folder'
        )
    if "[" not in pattern and (escaped := _UNESCAPED.sub(_percent, pattern)) != pattern:
        return f'filter {pattern!r} holds a character that paths have escaped; write "{escaped}"'
    if pattern.endswith("/"):
        return f'filter "{pattern}" ends in /, so it never matches; write "{pattern.rstrip("/") or "/*"}"'
    return None


def parse_filter_lines(text: str) -> tuple[str, ...]:
    """The patterns of a filter file, one a line. Blank lines and lines that begin with # are passed over.

    Raises `UsageError` that names every line whose pattern could never match.
    """
    # Only line feeds end a line: a pattern may hold any of the other characters that str.splitlines splits at.
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    patterns = {number: line for number, line in enumerate(lines, start=1) if _is_pattern(line)}
    problems = [f"line {number}: {why}" for number, line in patterns.items() if (why := pattern_problem(line))]
    if problems:
        raise UsageError("filter file: " + "\n".join(problems), hint="Correct the filter file and try again.")
    return tuple(patterns.values())


def _is_pattern(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")
