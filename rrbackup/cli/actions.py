"""What the commands do: call the library, and hand on what it gives, as a document or as lines for people.

The rule: `--json` prints the document and nothing else to standard output; without it, listings go to standard
output even with `-q`, summaries do not. A run that left something out ends with `ExitCode.INCOMPLETE`.
"""

import os
from collections.abc import Sequence

from rrbackup.api import Repository
from rrbackup.cli import documents, human
from rrbackup.cli.around import run_around
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.initial import Wishes, ask_for_kit, ask_for_missing, write_configuration
from rrbackup.cli.new_password import new_password
from rrbackup.cli.session import Session
from rrbackup.config import Config
from rrbackup.effects.salt_versions import SaltVersion
from rrbackup.errors import DamagedObject, PasswordMissing, RRBackupError, UsageError, WrongPassword
from rrbackup.events import Event
from rrbackup.pure.report import BackupResult, CollectResult, Version
from rrbackup.pure.soundness import ManifestState, amiss

KEPT = "what was committed there before stays"


# --- backup ------------------------------------------------------------------------------------------------


def backup(
    session: Session, *, allow_empty: bool, reprocess: bool, take_over: bool, upgrade: bool, metrics: str | None
) -> ExitCode:
    def run(config: Config) -> BackupResult:
        with session.opened(config) as repository, session.listening() as listen:
            return repository.backup(
                on_event=listen, allow_empty=allow_empty, reprocess=reprocess, take_over=take_over, upgrade=upgrade
            )

    result = run_around(session, metrics, run)
    session.result(documents.backup(result), human.backup_lines(result))
    return session.ending(result.problems, KEPT)


def plan_backup(session: Session, *, allow_empty: bool, reprocess: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        plan = repository.plan_backup(allow_empty=allow_empty, reprocess=reprocess, on_event=listen)
        traffic, cost = repository.backup_traffic(plan), repository.backup_cost(plan)
    session.listing(documents.plan(plan, traffic, cost), human.plan_lines(plan, traffic, cost))
    return session.ending(plan.problems, KEPT)


# --- listings ----------------------------------------------------------------------------------------------


def list_versions(session: Session) -> ExitCode:
    losses: list[Event] = []
    with session.repository() as repository:
        try:
            versions = repository.list_versions(losses.append)
        except RRBackupError as error:
            if not amiss(error):
                raise
            return _list_sound(session, _state(repository, error))
        if losses:
            return _list_sound(session, repository.manifest_state())
    return _list(session, versions)


def _list(session: Session, versions: Sequence[Version]) -> ExitCode:
    if not versions:
        session.note("there are no versions yet")
    if versions and session.output.out_is_terminal and not session.options.json:
        return _show_table(session, versions)
    return session.listing(documents.versions(versions), human.version_lines(versions))


def _state(repository: Repository, error: RRBackupError) -> ManifestState:
    """What lies below whatever kept us from reading the chain. Raises `error` where nothing does."""
    try:
        state = repository.manifest_state()
    except RRBackupError:
        raise error from None
    if state.head is None:
        raise error
    return state


def _list_sound(session: Session, state: ManifestState) -> ExitCode:
    if session.options.json:
        session.listing(documents.sound_versions(state), ())
    else:
        _list(session, state.commits)
        for line in human.problem_lines(state):
            session.output.problem(line)
        if state.unsound or state.marker:
            session.output.hint(human.way_out(state))
    return ExitCode.FAILED if state.unsound or state.marker or state.lost else ExitCode.DONE


def _show_table(session: Session, versions: Sequence[Version]) -> ExitCode:
    # rich takes a tenth of a second to import, and only a terminal needs it
    from rrbackup.cli.terminal import print_versions

    assert session.output.out is not None
    print_versions(versions, session.output.out)
    return ExitCode.DONE


def list_files(session: Session, version: str) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        found = repository.list_files(version, listen)
    lines = human.entry_lines(found, verbose=session.options.verbose)
    return session.listing(documents.files(found.version.version_id, found), lines)


def list_changes(session: Session, version: str) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        found = repository.list_changes(version, listen)
    lines = human.change_lines(found, verbose=session.options.verbose)
    return session.listing(documents.changes(found.version.version_id, found), lines)


# --- garbage -----------------------------------------------------------------------------------------------


def garbage_collect(session: Session, *, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.garbage_collect(take_over=take_over, upgrade=upgrade, on_event=listen)
    return _collected(session, result)


def clean_gc_log(session: Session, *, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.clean_gc_log(take_over=take_over, upgrade=upgrade, on_event=listen)
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


def repair(session: Session, head: str | None, salt: str | None) -> ExitCode:
    if head is not None and salt is not None:
        raise UsageError("--head and --salt are two repairs", hint="do one, then the other: the salt object first")
    with session.repository() as repository:
        if head is not None:
            repaired = repository.repair_head(head)
            return session.result(documents.head_repaired(repaired), human.head_repaired_lines(repaired))
        if salt is not None:
            restored = repository.repair_salt(salt)
            return session.result(documents.salt_restored(restored), human.restored_lines(restored, salt))
        return _diagnose(session, repository)


def _diagnose(session: Session, repository: Repository) -> ExitCode:
    """The state of the salt object, and of the commits as far as the keys are to be had."""
    try:
        salts = repository.salt_versions()
    except PasswordMissing as error:
        return _diagnose_without_password(session, repository, error)
    try:
        state = repository.manifest_state()
    except (WrongPassword, DamagedObject) as error:
        if not salts or any(salt.current and salt.opens for salt in salts):
            raise
        unknown = f"the commits were not looked at: {error.message}"
        document = {**documents.salt_versions(salts), "manifest": None}
        return session.listing(document, (*human.salt_lines(salts), unknown))
    return _show_state(session, salts, state)


def _diagnose_without_password(session: Session, repository: Repository, missing: PasswordMissing) -> ExitCode:
    """Where the commits can be read all the same, somebody may have put a salt object where there never was one."""
    try:
        state = repository.manifest_state()
    except (WrongPassword, DamagedObject):
        raise missing from None
    salt = repository.config.remote_password_salt_file
    session.note(
        f"{salt} was not looked at: {missing.message}; the commits need none. If this repository has never had a "
        f"password, somebody forged {salt}: delete all its versions, and find out who may write to the store"
    )
    return _show_state(session, (), state)


def _show_state(session: Session, salts: tuple[SaltVersion, ...], state: ManifestState) -> ExitCode:
    document = {**documents.salt_versions(salts), "manifest": documents.manifest(state)}
    session.listing(document, (*human.salt_lines(salts), *human.manifest_lines(state)))
    return ExitCode.DONE if state.sound else ExitCode.FAILED


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
