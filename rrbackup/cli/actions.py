"""What the commands do: call the library, and hand on what it gives, as a document or as lines for people.

The rule: `--json` prints the document and nothing else to standard output; without it, listings go to standard
output even with `-q`, summaries do not. A run that left something out ends with `ExitCode.INCOMPLETE`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from rrbackup.cli import documents, human
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.initial import Wishes, ask_for_kit, ask_for_missing, write_configuration
from rrbackup.cli.new_password import new_password
from rrbackup.cli.session import Session
from rrbackup.errors import UsageError
from rrbackup.pure.filters import parse_filter_lines
from rrbackup.pure.report import CollectResult, Version

_KEPT = "what was committed of them before stays"
_NOT_RESTORED = "everything else was restored"


# --- backup ------------------------------------------------------------------------------------------------


def backup(session: Session, *, allow_empty: bool, reprocess: bool, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.backup(
            on_event=listen, allow_empty=allow_empty, reprocess=reprocess, take_over=take_over, upgrade=upgrade
        )
    session.result(documents.backup(result), human.backup_lines(result))
    return session.ending(result.problems, _KEPT)


def plan_backup(session: Session, *, allow_empty: bool, reprocess: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        plan = repository.plan_backup(allow_empty=allow_empty, reprocess=reprocess, on_event=listen)
    session.listing(documents.plan(plan), human.plan_lines(plan))
    return session.ending(plan.problems, _KEPT)


# --- listings ----------------------------------------------------------------------------------------------


def list_versions(session: Session) -> ExitCode:
    with session.repository() as repository:
        versions = repository.versions()
    if not versions:
        session.note("there are no versions yet")
    if versions and session.output.out_is_terminal and not session.options.json:
        return _show_table(session, versions)
    return session.listing(documents.versions(versions), human.version_lines(versions))


def _show_table(session: Session, versions: Sequence[Version]) -> ExitCode:
    # rich takes a tenth of a second to import, and only a terminal needs it
    from rrbackup.cli.terminal import print_versions

    assert session.output.out is not None
    print_versions(versions, session.output.out)
    return ExitCode.DONE


def list_files(session: Session, version: str) -> ExitCode:
    with session.repository() as repository:
        found = repository.files(version)
    lines = human.entry_lines(found, verbose=session.options.verbose)
    return session.listing(documents.files(found.version.version_id, found), lines)


def list_changes(session: Session, version: str) -> ExitCode:
    with session.repository() as repository:
        found = repository.changes(version)
    lines = human.change_lines(found, verbose=session.options.verbose)
    return session.listing(documents.changes(found.version.version_id, found), lines)


# --- download ----------------------------------------------------------------------------------------------


def download(session: Session, version: str, target: str, ignore_filters: str | None) -> ExitCode:
    ignore = _filters(ignore_filters) if ignore_filters is not None else ()
    with session.repository() as repository, session.listening() as listen:
        result = repository.download(version, target, ignore, listen)
    session.result(documents.download(result), human.download_lines(result, target))
    return session.ending(result.problems, _NOT_RESTORED)


def _filters(path: str) -> tuple[str, ...]:
    try:
        return parse_filter_lines(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the filter file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the filter file {path} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from None


# --- garbage -----------------------------------------------------------------------------------------------


def collect_garbage(session: Session, *, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.collect_garbage(take_over=take_over, upgrade=upgrade, on_event=listen)
    return _collected(session, result)


def clean_garbage_list(session: Session, *, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.clean_garbage_list(take_over=take_over, upgrade=upgrade, on_event=listen)
    return _collected(session, result)


def _collected(session: Session, result: CollectResult) -> ExitCode:
    lines = human.collection_lines(result, verbose=session.options.verbose)
    return session.result(documents.collection(result), lines)


# --- passwords -------------------------------------------------------------------------------------------------


def change_password(session: Session, file: str | None) -> ExitCode:
    with session.repository() as repository:
        changed = repository.change_password(lambda: new_password(file, session.asker("New password")))
    lines = human.password_lines(changed, repository.config.s3)
    return session.result(documents.password_changed(changed), lines)


def repair(session: Session, salt: str | None) -> ExitCode:
    with session.repository() as repository:
        if salt is None:
            found = repository.salt_versions()
            return session.listing(documents.salt_versions(found), human.salt_lines(found))
        restored = repository.repair_salt(salt)
    return session.result(documents.salt_restored(restored), human.restored_lines(restored, salt))


# --- init --------------------------------------------------------------------------------------------------


def init(session: Session, wishes: Wishes, *, recovery_kit: bool | None) -> ExitCode:
    path = os.path.abspath(session.options.config)
    created = not os.path.lexists(path)
    if created:
        write_configuration(path, ask_for_missing(wishes) if session.can_ask else wishes)
    elif wishes.any:
        session.note(f"{path} exists and stays as it is, whatever was said for a new one")
    with session.repository() as repository:
        done = repository.prepare()
        if ask_for_kit() if recovery_kit is None and session.can_ask else recovery_kit:
            done += tuple(f"wrote {key} into the store" for key in repository.store_recovery_kit())
    return session.result(documents.initialised(path, created, done), human.prepared_lines(path, created, done))
