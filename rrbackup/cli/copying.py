"""What the command that copies does, and what it prints."""

from collections.abc import Iterator

from rrbackup.cli import documents
from rrbackup.cli.documents import Document
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.human import version_lines
from rrbackup.cli.json_stream import Rows
from rrbackup.cli.looking import ending
from rrbackup.cli.session import Session
from rrbackup.cli.texts import counted, human_bytes
from rrbackup.config import load_config
from rrbackup.pure.copying import CopiedCommit, CopyPlan, CopyResult


def copy(session: Session, to: str, *, last: int | None, dry_run: bool, take_over: bool) -> ExitCode:
    target_config = load_config(to)
    opened = session.opened(target_config, "Password of the copy")
    with session.repository() as repository, opened as target, session.listening() as listen:
        if not dry_run:
            result = repository.copy(target, listen, last=last, take_over=take_over)
        else:
            plan = repository.plan_copy(target, last=last, on_event=listen)
    if dry_run:
        session.listing(_plan_document(plan), _plan_lines(plan))
        return ending(session, plan.lost, None)
    session.result(_result_document(result), _result_lines(result))
    return ending(session, result.lost, None)


# --- a plan ------------------------------------------------------------------------------------------------


def _plan_document(plan: CopyPlan) -> Document:
    return {
        "already": plan.already,
        "skipped": plan.skipped,
        "objects": plan.objects,
        **({} if plan.unrecorded else {"bytes": plan.bytes}),
        "lost": documents.lost(plan.lost),
        "commits": Rows(map(documents.version_members, plan.commits)),
    }


def _plan_lines(plan: CopyPlan) -> Iterator[str]:
    if not plan.commits:
        yield _nothing(plan.already)
        return
    yield from version_lines(plan.commits)
    size = "of sizes that are not recorded" if plan.unrecorded else human_bytes(plan.bytes)
    contents = counted(plan.objects, "content", "contents")
    yield f"a copy would take {_commits(len(plan.commits))} and store {contents}, {size}{_rest(plan)}"


# --- a result ----------------------------------------------------------------------------------------------


def _result_document(result: CopyResult) -> Document:
    return {
        "already": result.already,
        "skipped": result.skipped,
        "objects": result.objects,
        "bytes": result.bytes,
        "lost": documents.lost(result.lost),
        "commits": Rows(map(_members, result.commits)),
    }


def _members(commit: CopiedCommit) -> Document:
    return {"original": commit.original.version_id, **documents.version_members(commit.copy)}


def _result_lines(result: CopyResult) -> Iterator[str]:
    if not result.commits:
        yield _nothing(result.already)
        return
    yield f"copied:    {_commits(len(result.commits))}{_rest(result)}"
    yield f"stored:    {counted(result.objects, 'content', 'contents')}, {human_bytes(result.bytes)}"
    newest = result.commits[-1].copy
    yield f"version:   {newest.version_id} (#{newest.sequence})"


def _rest(found: CopyPlan | CopyResult) -> str:
    if found.skipped:
        return f"; the {_commits(found.skipped)} before are left out"
    return f"; the {_commits(found.already)} before were dealt with by earlier runs" if found.already else ""


def _nothing(already: int) -> str:
    return f"nothing to copy: the newest of {_commits(already)} is there" if already else "nothing to copy: no commits"


def _commits(count: int) -> str:
    return counted(count, "commit", "commits")
