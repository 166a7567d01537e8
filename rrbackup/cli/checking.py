"""What verify, heal and doctor do on the command line, and how they show what was found.

The rule: damage is what was asked for, so it stands on standard output even with `-q`; a summary does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from rrbackup.cli import documents, human
from rrbackup.cli.documents import Document
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.json_stream import Rows
from rrbackup.cli.measuring import check_measured
from rrbackup.cli.session import Session
from rrbackup.cli.texts import counted, human_bytes
from rrbackup.effects.healing import HealResult
from rrbackup.effects.verifying import DamagedRecord, VerifyResult
from rrbackup.pure.damage import Damage, Touched
from rrbackup.pure.diagnosis import Diagnosis, Verdict
from rrbackup.pure.metrics import Checked
from rrbackup.pure.model import PathText, Problem

NOT_READ = "whether anything is damaged there is not known"
NOT_HEALED = "what the latest commit holds there stays damaged"
_WIDTH = max(map(len, Verdict))


# --- commands ------------------------------------------------------------------------------------------------------


def verify(session: Session, version: str | None, read_data: str | None, metrics: str | None = None) -> ExitCode:
    def check() -> VerifyResult:
        with session.repository() as repository, session.listening() as listen:
            return repository.verify(version, read_data=read_data or False, on_event=listen)

    result, code = check_measured(session, metrics, check, _measured)
    summary = () if session.options.quiet else summary_lines(result)
    session.listing(verify_document(result), chain(damage_lines(result), summary))
    session.ending(result.unread, NOT_READ)
    return code


def _measured(result: VerifyResult) -> tuple[ExitCode, Checked]:
    incomplete = any(problem.kind.incomplete for problem in result.unread)
    unless_damaged = ExitCode.INCOMPLETE if incomplete else ExitCode.DONE
    counts = Checked(
        result.versions,
        result.read,
        result.read_bytes,
        len(result.damaged),
        len(result.records),
        len(result.unread),
        result.sound,
    )
    return unless_damaged if result.sound else ExitCode.FAILED, counts


def heal(session: Session, *, read_data: str | None, take_over: bool, upgrade: bool) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.heal(read_data=read_data or False, take_over=take_over, upgrade=upgrade, on_event=listen)
    session.result(heal_document(result), heal_lines(result))
    return session.ending(result.unhealed, NOT_HEALED)


def doctor(session: Session) -> ExitCode:
    with session.repository() as repository:
        found = repository.doctor()
    session.listing(doctor_document(found), doctor_lines(found, everything=not session.options.quiet))
    return ExitCode.FAILED if any(one.verdict is Verdict.WRONG for one in found) else ExitCode.DONE


# --- lines for people ----------------------------------------------------------------------------------------------


def damage_lines(result: VerifyResult) -> Iterator[str]:
    """Each damaged thing on a line, and below it, indented, what it touches."""
    yield from human.problem_lines(result.manifest)
    yield from (f"damaged: {record}" for record in result.records)
    for damage in result.damaged:
        yield f"damaged: {damage}"
        yield from map(_touched_line, damage.touches)
    if not result.manifest.repaired and result.manifest.head is not None:
        yield human.way_out(result.manifest)


def _touched_line(touched: Touched) -> str:
    commits = counted(touched.commits, "commit", "commits")
    last = f"{touched.last}, the latest" if touched.latest else touched.last
    which = last if touched.first == touched.last else f"{touched.first} to {last}"
    return f"    in {commits} ({which})  {touched.path}"


def summary_lines(result: VerifyResult) -> Iterator[str]:
    commits = counted(len(result.manifest.commits), "commit", "commits")
    versions = counted(result.versions, "stored version", "stored versions")
    yield f"checked:   {commits}, {versions} of files, {human_bytes(result.bytes)}"
    if result.read:
        yield f"read:      {counted(result.read, 'content', 'contents')}, {human_bytes(result.read_bytes)} as stored"
    else:
        yield "read:      no contents (--read-data)"
    yield f"damaged:   {_damaged_sum(result)}"


def _damaged_sum(result: VerifyResult) -> str:
    if result.sound:
        return "nothing that was looked at"
    latest = sum(touched.latest for damage in result.damaged for touched in damage.touches)
    texts = (
        counted(len(result.damaged), "version", "versions") if result.damaged else "",
        f"{counted(latest, 'path', 'paths')} of the latest commit, which heal may store again" if latest else "",
        counted(len(result.records), "record", "records") if result.records else "",
        "" if result.manifest.sound else "the commits themselves",
    )
    return "; ".join(text for text in texts if text)


def heal_lines(result: HealResult) -> Iterator[str]:
    yield from (f"damaged: {record}" for record in result.found.records)
    if not result.healed and not result.unhealed:
        yield "nothing to heal: what was looked at of the latest commit is not damaged"
        return
    yield from (f"stored again: {path}" for path in result.healed)
    if result.version_id is not None:
        yield f"version:   {result.version_id}"
        yield "earlier commits refer to the same damaged versions as before"


def doctor_lines(found: Iterable[Diagnosis], *, everything: bool) -> Iterator[str]:
    """`everything`: also what is fine."""
    for one in found:
        if everything or one.verdict is not Verdict.FINE:
            yield f"{one.verdict.ljust(_WIDTH)}  {one.subject}: {one.finding}"
        if one.remedy:
            yield f"{' ' * _WIDTH}  -> {one.remedy}"


# --- documents -----------------------------------------------------------------------------------------------------


def verify_document(result: VerifyResult) -> Document:
    return {
        "sound": result.sound,
        "versions": result.versions,
        "bytes": result.bytes,
        "read": result.read,
        "read_bytes": result.read_bytes,
        "manifest": documents.manifest(result.manifest),
        "records": _records(result.records),
        "damaged": Rows(map(_damage, result.damaged)),
        "unread": _problems(result.unread),
    }


def _damage(damage: Damage) -> Document:
    return {
        "key": damage.ref.key,
        "version_id": damage.ref.version_id,
        "kind": damage.kind,
        "detail": damage.detail,
        "touches": [_touched(touched) for touched in damage.touches],
    }


def _touched(touched: Touched) -> Document:
    return {
        "path": touched.path,
        "first": touched.first,
        "last": touched.last,
        "commits": touched.commits,
        "latest": touched.latest,
    }


def _records(records: Sequence[DamagedRecord]) -> list[Document]:
    return [{"key": one.key, "version_id": one.version_id, "detail": one.detail} for one in records]


def _problems(problems: Iterable[Problem]) -> Rows:
    return Rows({"path": p.path, "kind": p.kind, "detail": p.detail} for p in problems)


def heal_document(result: HealResult) -> Document:
    return {
        "version_id": result.version_id,
        "healed": Rows(list[PathText](result.healed)),
        "problems": _problems(result.unhealed),
        "records": _records(result.found.records),
        "damaged": Rows(map(_damage, result.found.damaged)),
    }


def doctor_document(found: Iterable[Diagnosis]) -> Document:
    rows = (
        {"subject": one.subject, "verdict": one.verdict, "finding": one.finding, "remedy": one.remedy} for one in found
    )
    return {"diagnoses": Rows(rows)}
