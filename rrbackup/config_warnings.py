"""What a configuration may say although it is seldom meant. Each warning says what follows from it."""

import os
import stat
from collections.abc import Iterator, Sequence

from rrbackup.pure.model import Mode, Word
from rrbackup.pure.pipeline import PipelineRule

_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


def file_warnings(file: str | None, holds_secret: bool) -> Iterator[str]:
    """About the file that a configuration was loaded from, as it is now; it may be gone."""
    if file is not None and holds_secret and _mode(file) & _READABLE_BY_OTHERS:
        yield f"{file} holds secrets, but others can read it: chmod 600 {file}"


def _mode(file: str) -> int:
    try:
        return os.stat(file).st_mode
    except OSError:
        return 0


def prefix_warnings(prefix: str, folder: str) -> Iterator[str]:
    """About a prefix that leads into the folder in which another repository would keep its file objects."""
    found = f"/{prefix.strip('/')}/".find(f"/{folder}/")
    if found >= 0:
        outer = f'with the prefix "{prefix.strip("/")[: found - 1]}"' if found else "without a prefix"
        yield (
            f's3.prefix: a repository {outer} would keep its files below "{folder}" there, and this one would lie '
            "among them; choose another prefix"
        )


def pipeline_warnings(
    meta: Sequence[Word], rules: Sequence[PipelineRule], has_password: bool, mode: Mode
) -> Iterator[str]:
    """About pipelines that do less than they seem to. A reader's pipelines are never used."""
    if mode is Mode.READ_ONLY:
        return
    used = {*meta, *(word for rule in rules for word in rule.words)}
    if has_password and used.isdisjoint({Word.ENCRYPT, Word.HASH_NAMES}):
        yield "crypto names a password, but no pipeline uses it: nothing will be encrypted"
    if Word.ENCRYPT not in meta and not used.isdisjoint({Word.ENCRYPT, Word.HASH_NAMES}):
        yield "files are encrypted or their names hashed, but meta_pipeline has no encrypt: names and digests lie open"
    yield from _rules_never_reached(rules)


def _rules_never_reached(rules: Sequence[PipelineRule]) -> Iterator[str]:
    patterns = [rule.pattern for rule in rules]
    if "*" in patterns[:-1]:
        last = patterns.index("*")
        yield f'file_pipeline[{last}] is for every file ("*"), so the rules after it are never used'
