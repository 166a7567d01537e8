"""Why a path is backed up or not, and how: which filter of the configuration decides, and what the last commit has.

The rule: what is decided here is decided with the same functions that a backup uses; the path need not exist.
"""

from collections.abc import Sequence

from attrs import field, frozen

from rrbackup.pure.filters import Filters
from rrbackup.pure.model import Entry, PathText, Word
from rrbackup.pure.pipeline import PipelineRule, deciding_rule
from rrbackup.pure.plan import lacks_words
from rrbackup.pure.report import Version
from rrbackup.pure.scan import LeftOut
from rrbackup.pure.soundness import ManifestState


@frozen
class Decision:
    """The filter that decides: number `number`, counted from 1, of `key` in the configuration.

    `matched` is the path itself, or the folder above it that the filter matches.
    """

    key: str
    number: int
    pattern: str
    matched: PathText


@frozen
class Explanation:
    """What the configuration says of a path, and what the newest commit holds of it.

    `ignored`, `kept` and `pipeline` name the filters of `ignore_files`, `skip_delete` and `file_pipeline` that
    decide; None where none matches. So does `included` for `include_files`, which is above `ignore_files` and above
    `excluded`: what on the disk, as it is now, leaves the path out. `words` is what that pipeline asks for, in the
    order in which it is carried out, None where no rule matches. `version` is the newest commit, None where there is
    none; `entry` what it holds at the path, `below` how many entries lie below it. `lacks_words`: it is stored with
    less than the pipeline asks for now. `state` tells what lies on top of that commit and does not count.
    """

    path: PathText
    ignored: Decision | None
    kept: Decision | None
    pipeline: Decision | None
    words: tuple[Word, ...] | None
    version: Version | None = None
    entry: Entry | None = None
    below: int = 0
    lacks_words: bool = False
    included: Decision | None = None
    excluded: LeftOut | None = None
    state: ManifestState | None = field(default=None, repr=False)


def explain(
    path: PathText,
    ignore: Sequence[str],
    skip_delete: Sequence[str],
    rules: Sequence[PipelineRule],
    version: Version | None,
    entries: Sequence[Entry],
    include: Sequence[str] = (),
    excluded: LeftOut | None = None,
) -> Explanation:
    """`entries` are those of `version`, `excluded` what the disk says."""
    entry = next((entry for entry in entries if entry.path == path), None)
    found = deciding_rule(rules, path)
    words = found[1].words if found else None
    return Explanation(
        path,
        _covering("ignore_files", ignore, path),
        _covering("skip_delete", skip_delete, path),
        Decision("file_pipeline", found[0] + 1, found[1].pattern, path) if found else None,
        words,
        version,
        entry,
        sum(entry.path.startswith(f"{path}/") for entry in entries),
        entry is not None and lacks_words(entry, words),
        _covering("include_files", include, path),
        excluded,
    )


def _covering(key: str, patterns: Sequence[str], path: PathText) -> Decision | None:
    found = Filters.of(patterns).deciding(path)
    return Decision(key, found[0] + 1, patterns[found[0]], PathText(found[1])) if found else None
