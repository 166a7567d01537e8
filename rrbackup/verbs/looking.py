"""The verbs that look for something in the history. They read the chain and no file contents."""

from attrs import evolve

from rrbackup.effects.checkpoints import Asked, Reach, read_commits
from rrbackup.effects.head_repair import reach_below
from rrbackup.effects.opening import exclusions_of
from rrbackup.effects.selective_scan import left_out
from rrbackup.errors import NoSuchVersion, RRBackupError, UsageError
from rrbackup.events import Notice, OnEvent, ignore_event
from rrbackup.pure import chain
from rrbackup.pure.comparison import Comparison, Pair, compare, folded_pairs, pairs, turned
from rrbackup.pure.explanation import Explanation, explain
from rrbackup.pure.filters import Filters, pattern_problem
from rrbackup.pure.model import Entry, Link, PathText
from rrbackup.pure.names import parse_path
from rrbackup.pure.report import Version
from rrbackup.pure.scan import LeftOut
from rrbackup.pure.soundness import ManifestState, amiss
from rrbackup.pure.statistics import RepositoryStats, statistics
from rrbackup.pure.stretch import Stretch
from rrbackup.pure.timeline import PathHistory, SearchResult, path_history, timelines
from rrbackup.verbs.opened import Opened

LATEST = "latest"


class Looking(Opened):
    """Where something was, what became of it, what differs, how much there is, and why.

    Where a diff is lost, those that look at all commits look at what is whole, from the next checkpoint on: a notice,
    and `lost` in what they give, say so. Where something that was forged or damaged lies on top, all look at what is
    sound below, and `state` says what was passed over. They raise like `list_versions` where nothing is sound.
    """

    def find(self, pattern: str, on_event: OnEvent = ignore_event) -> SearchResult:
        """Every state of every path that `pattern`, a filter, covers, and in which commits it was.

        A folder that matches stands for all that is in it. Raises UsageError for a filter that could never match.
        """
        problem = pattern_problem(pattern)
        if problem is not None:
            raise UsageError(problem)
        reach, commits, state = self._commits(on_event)
        found = timelines(commits, _base(reach), Filters.of([pattern]).covers)
        return SearchResult(reach.lost, tuple(map(Version.of, commits)), found, state)

    def history(self, path: str, on_event: OnEvent = ignore_event) -> PathHistory:
        """What became of one path, from its first commit on. No events where no commit has ever held it.

        Raises UsageError for what is no path.
        """
        wanted = parse_path(path)
        reach, commits, state = self._commits(on_event)
        steps = timelines(commits, _base(reach), wanted.__eq__).get(wanted, ())
        return path_history(wanted, tuple(map(Version.of, commits)), steps, reach.lost, state)

    def diff(self, before: str, after: str = LATEST, on_event: OnEvent = ignore_event) -> Comparison:
        """What differs between two commits, whichever is older; files that were moved are recognised by content.

        Raises NoSuchVersion.
        """
        asked, other = self._asked(before), self._asked(after)
        try:
            return self._diff(asked, other, on_event)
        except RRBackupError as error:
            if not amiss(error):
                raise
        first, entries, state = self._sound(before, on_event)
        second, others, other_state = self._sound(after, on_event)
        found = compare(Version.of(first), Version.of(second), pairs(_by_path(entries), _by_path(others)))
        return evolve(found, state=state or other_state)

    def _diff(self, asked: Asked, other: Asked, on_event: OnEvent) -> Comparison:
        """Out of one manifest, that of the older commit, and the diffs between the two."""
        named, stretch = read_commits(self._client.control, asked, (other.version,), lambda why: on_event(Notice(why)))
        older, newer = sorted(named, key=lambda link: link.diff.sequence)
        found = _pairs(stretch, older, newer)
        first, second = named
        return compare(Version.of(first), Version.of(second), found if first is older else turned(found))

    def stats(self, on_event: OnEvent = ignore_event) -> RepositoryStats:
        """What each commit added, and what all refer to together, out of the chain alone: nothing is listed."""
        reach, commits, state = self._commits(on_event)
        return statistics(commits, reach.base, reach.lost, state)

    def explain(self, path: str, on_event: OnEvent = ignore_event) -> Explanation:
        """Which filters and exclusions of the configuration decide on a path, and what the newest commit holds of it.

        The path need not exist; what a mark or a size decides is looked up on the disk. Raises UsageError for
        what is no path.
        """
        wanted = parse_path(path)
        config = self.config
        version, entries, state = self._newest(on_event)
        excluded = self._left_out(wanted)
        explained = explain(
            wanted,
            config.ignore_files,
            config.skip_delete,
            config.rules,
            version,
            entries,
            config.include_files,
            excluded,
        )
        return evolve(explained, state=state)

    def _left_out(self, path: PathText) -> LeftOut | None:
        exclusions = exclusions_of(self.config)
        if not exclusions:
            return None
        return left_out(self.config.base(), path, exclusions, follow_symlinks=self.config.follow_symlinks)

    def _newest(self, on_event: OnEvent) -> tuple[Version | None, tuple[Entry, ...], ManifestState | None]:
        try:
            link, entries, state = self._sound(LATEST, on_event)
        except NoSuchVersion:
            return None, (), None
        return Version.of(link), entries, state

    def _sound(self, version: str, on_event: OnEvent) -> tuple[Link, tuple[Entry, ...], ManifestState | None]:
        """A commit and its entries; `latest` counts from the newest sound one, and what lies on top of it is told."""
        try:
            return *self._manifest(version, on_event), None
        except RRBackupError as error:
            if not version.startswith(LATEST) or not amiss(error):
                raise
            reach, state = reach_below(self._client, error)
        link = chain.resolve(version, chain.commits(reach.links))
        manifest = Stretch(reach.base, reach.links).up_to(link).manifest()
        return link, tuple(item.entry for item in manifest.entries), state

    def _commits(self, on_event: OnEvent) -> tuple[Reach, tuple[Link, ...], ManifestState | None]:
        """What can be reached, the commits in it, oldest first, and what was passed over on the way."""
        state = None
        try:
            reach = self._reach(on_event)
        except RRBackupError as error:
            if not amiss(error):
                raise
            reach, state = reach_below(self._client, error)
        return reach, tuple(reversed(chain.commits(reach.links))), state


def _base(reach: Reach) -> tuple[Entry, ...]:
    return reach.base.entries if reach.base is not None else ()


def _by_path(entries: tuple[Entry, ...]) -> dict[PathText, Entry]:
    return {entry.path: entry for entry in entries}


def _pairs(stretch: Stretch, older: Link, newer: Link) -> list[Pair]:
    before = _by_path(tuple(item.entry for item in stretch.up_to(older).manifest().entries))
    between = (o for o in reversed(stretch.links) if older.diff.sequence < o.diff.sequence <= newer.diff.sequence)
    return list(folded_pairs(before, between))
