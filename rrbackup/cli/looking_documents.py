"""What find, history, diff, stats and explain print with `--json`; the rule is that of `documents`."""

from rrbackup.cli.documents import Document, entry_members, lost, passed_over, version_members
from rrbackup.cli.json_stream import Rows
from rrbackup.cli.texts import iso_utc
from rrbackup.pure.comparison import Comparison, Difference, DifferenceKind
from rrbackup.pure.exclusions import EXCLUDING_KEYS
from rrbackup.pure.explanation import Decision, Explanation
from rrbackup.pure.report import Version
from rrbackup.pure.scan import LeftOut
from rrbackup.pure.statistics import CommitStats, RepositoryStats
from rrbackup.pure.timeline import Found, PathEvent, PathHistory, SearchResult


def found(result: SearchResult) -> Document:
    return {"lost": lost(result.lost), **passed_over(result.state), "found": Rows(map(_found, result))}


def _found(found: Found) -> Document:
    return {
        **entry_members(found.entry),
        "first": _commit(found.first),
        "last": _commit(found.last),
        "commits": found.commits,
        "current": found.current,
        "or_earlier": found.or_earlier,
    }


def _commit(version: Version) -> Document:
    return {
        "version_id": version.version_id,
        "sequence": version.sequence,
        "created": iso_utc(version.created_ns),
    }


def history(result: PathHistory) -> Document:
    return {
        "path": result.path,
        "lost": lost(result.lost),
        **passed_over(result.state),
        "events": Rows(map(_event, result.events)),
    }


def _event(event: PathEvent) -> Document:
    return {
        "happening": event.happening,
        **_commit(event.version),
        "content": event.content,
        "or_earlier": event.or_earlier,
        "entry": entry_members(event.entry),
    }


def differences(result: Comparison) -> Document:
    return {
        "before": _commit(result.before),
        "after": _commit(result.after),
        **passed_over(result.state),
        "differences": Rows(map(_difference, result)),
    }


def _difference(difference: Difference) -> Document:
    whence = difference.before
    renamed = whence is not None and difference.kind is DifferenceKind.RENAMED
    return {
        "kind": difference.kind,
        **entry_members(difference.entry),
        **({"from": whence.path} if whence is not None and renamed else {}),
    }


def stats(result: RepositoryStats) -> Document:
    return {
        "lost": lost(result.lost),
        **passed_over(result.state),
        "objects": result.objects,
        "versions": result.versions,
        "unrecorded": result.unrecorded,
        "stored": result.stored,
        "pipelines": [
            {"pipeline": list(p.applied), "versions": p.versions, "bytes": p.bytes, "stored": p.stored}
            for p in result.pipelines
        ],
        "commits": Rows(map(_commit_stats, result.commits)),
    }


def _commit_stats(stats: CommitStats) -> Document:
    return {
        **version_members(stats.version),
        "bytes_new": stats.bytes_new,
        "bytes_shared": stats.bytes_shared,
        "stored_new": stats.stored_new,
        "stored": stats.stored,
        "total_entries": stats.entries,
        "total_bytes": stats.bytes,
    }


def explanation(result: Explanation) -> Document:
    return {
        "path": result.path or "/",
        "ignored": _decision(result.ignored),
        "included": _decision(result.included),
        "excluded": _excluded(result.excluded),
        "skip_delete": _decision(result.kept),
        "file_pipeline": _decision(result.pipeline),
        "words": None if result.words is None else list(result.words),
        "version": _commit(result.version) if result.version else None,
        "entry": entry_members(result.entry) if result.entry else None,
        "below": result.below,
        "lacks_words": result.lacks_words,
        **passed_over(result.state),
    }


def _excluded(left_out: LeftOut | None) -> Document | None:
    if left_out is None:
        return None
    return {"key": EXCLUDING_KEYS[left_out.reason], "matched": left_out.path, "marker": left_out.marker}


def _decision(decision: Decision | None) -> Document | None:
    if decision is None:
        return None
    return {"key": decision.key, "number": decision.number, "filter": decision.pattern, "matched": decision.matched}
