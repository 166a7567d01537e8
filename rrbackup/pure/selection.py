"""Which paths of a commit somebody wants: whole paths, patterns to take, patterns to leave out.

The rule: a path is wanted if it is one of the named ones or lies below one (all, if none is named), if it or a folder
above it matches a pattern to take (all, if there is none), and if neither it nor a folder above it matches one to
leave out.
"""

from collections.abc import Iterable

from attrs import field, frozen

from rrbackup.errors import NoSuchPath, UsageError
from rrbackup.pure.filters import Filters, pattern_problem
from rrbackup.pure.keeping import folders_above
from rrbackup.pure.model import PathText
from rrbackup.pure.names import AS_LISTED, parse_path


@frozen
class Selection:
    """`paths` are whole path texts; an empty selection wants everything."""

    paths: tuple[PathText, ...] = ()
    include: Filters = field(factory=Filters)
    exclude: Filters = field(factory=Filters)
    _named: frozenset[str] = field(init=False, repr=False, eq=False)
    _leading: frozenset[str] = field(init=False, repr=False, eq=False)

    @_named.default
    def _names(self) -> frozenset[str]:
        return frozenset(self.paths)

    @_leading.default
    def _leads(self) -> frozenset[str]:
        return frozenset(folder for path in self.paths for folder in folders_above(path))

    @classmethod
    def of(cls, paths: Iterable[str] = (), include: Iterable[str] = (), exclude: Iterable[str] = ()) -> "Selection":
        """Raises UsageError for what is no path."""
        named = tuple(parse_path(path) for path in paths)
        return cls(() if "" in named else named, Filters.of(include), Filters.of(exclude))

    @property
    def everything(self) -> bool:
        return not (self.paths or self.include.patterns or self.exclude.patterns)

    def wants(self, path: str) -> bool:
        if self.paths and not self._is_named(path):
            return False
        return (not self.include.patterns or self.include.covers(path)) and not self.exclude.covers(path)

    def may_want_below(self, folder: str) -> bool:
        """Whether anything in that folder can be wanted."""
        if self.paths and folder not in self._leading and not self._is_named(folder):
            return False
        return not self.exclude.covers(folder)

    def _is_named(self, path: str) -> bool:
        return path in self._named or not self._named.isdisjoint(folders_above(path))

    def check_paths(self, entries: Iterable[str], version: str) -> None:
        """Raises NoSuchPath for a named path of which the commit `version`, with these paths, has nothing."""
        if not self.paths:
            return
        missing = set(self.paths)
        for path in entries:
            missing.discard(PathText(path))
            missing.difference_update(folders_above(path))
            if not missing:
                return
        raise no_such_path(min(missing), version)


def no_such_path(path: str, version: str) -> NoSuchPath:
    return NoSuchPath(f"commit {version} has nothing at {path}", hint=AS_LISTED)


def parse_patterns(patterns: Iterable[str], option: str) -> tuple[str, ...]:
    """The patterns as they are. Raises UsageError, naming `option`, for those that could never match."""
    patterns = tuple(patterns)
    problems = [f"{option}: {why}" for pattern in patterns if (why := pattern_problem(pattern))]
    if problems:
        raise UsageError("\n".join(problems), hint="a filter is held against the whole path with its leading slash")
    return patterns
