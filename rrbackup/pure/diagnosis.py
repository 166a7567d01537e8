"""What a look at a client and its store means: one verdict for each thing that was looked at, and what to do about it.

The rules decided here: *wrong* is what stops a backup or a restore, destroys history, or breaks what a restricted mode
promises; a *warning* is what does so later or only costs. What was refused, or cannot be found out without writing,
could not be told.
"""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from rrbackup.pure.claims import Patience
from rrbackup.pure.expiry import Harm, HarmfulRule
from rrbackup.pure.model import Mode, SeenClaim
from rrbackup.pure.sizes import counted, human_bytes

_SECOND = 1_000_000_000
_SKEW_WARNING_S = 60
_SKEW_WRONG_S = 15 * 60
"""From here on Amazon refuses requests."""

LITTLE_BYTES = 1 << 30
"""Less free space in a store is little."""
LOCAL_SPARE_BYTES = 64 << 20


class Verdict(StrEnum):
    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "could not be told"


@frozen
class Diagnosis:
    """`subject` is what was looked at, `finding` a sentence, `remedy` what to do, empty where nothing is to be done."""

    subject: str
    verdict: Verdict
    finding: str
    remedy: str = ""


def fine(subject: str, finding: str) -> Diagnosis:
    return Diagnosis(subject, Verdict.FINE, finding)


def warning(subject: str, finding: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject, Verdict.WARNING, finding, remedy)


def wrong(subject: str, finding: str, remedy: str) -> Diagnosis:
    return Diagnosis(subject, Verdict.WRONG, finding, remedy)


def unknown(subject: str, finding: str, remedy: str = "") -> Diagnosis:
    return Diagnosis(subject, Verdict.UNKNOWN, finding, remedy)


# --- clock and rights ----------------------------------------------------------------------------------------------


def of_clock(before_ns: int, store_ns: int, after_ns: int) -> Diagnosis:
    """The store said its time between two looks at ours. It says whole seconds."""
    ahead = max(0, before_ns - store_ns - _SECOND, store_ns - after_ns) // _SECOND
    subject, remedy = "clock", "set this machine's clock, and let it be kept (NTP)"
    if ahead >= _SKEW_WRONG_S:
        return wrong(subject, f"it is {ahead} seconds from the store's clock; S3 refuses such requests", remedy)
    if ahead >= _SKEW_WARNING_S:
        return warning(subject, f"it is {ahead} seconds from the store's clock", remedy)
    return fine(subject, "it agrees with the store's")


def of_reading(mode: Mode, granted: bool) -> Diagnosis:
    subject = "right to read files"
    if mode is Mode.WRITE_ONLY:
        if granted:
            return wrong(
                subject,
                "these access keys can read files: write_only keeps only this program from it, no thief of the keys",
                "give them the rights that rrbackup policy write-only prints, and no others",
            )
        return fine(subject, "refused, as it should be for a write-only client")
    if not granted:
        return wrong(subject, "refused: nothing can be restored", "give the rights that rrbackup policy prints")
    return fine(subject, "granted")


def of_deleting(mode: Mode, granted: bool) -> Diagnosis:
    subject = "right to delete versions"
    if mode is Mode.READ_WRITE:
        if granted:
            return fine(subject, "granted: who steals these access keys can destroy the backup")
        return warning(
            subject,
            "refused: what interrupted backups leave behind cannot be deleted",
            "give the rights that rrbackup policy read-write prints, or set allow_delete_versions to false",
        )
    if not granted:
        return fine(subject, f"refused, as it should be for a client that is {mode.value}")
    finding = f"these access keys can delete versions, although this client is {mode.value}: a thief of them can, too"
    if mode is Mode.NO_DELETE:
        return warning(subject, finding, "give them the rights that rrbackup policy read-only and write-only print")
    return wrong(subject, finding, f"give them the rights that rrbackup policy {mode.value} prints, and no others")


# --- bucket --------------------------------------------------------------------------------------------------------


def of_versioning(status: str) -> Diagnosis:
    if status == "Enabled":
        return fine("versioning", "switched on")
    how = "suspended" if status == "Suspended" else "off"
    return wrong("versioning", f"it is {how}: what is written replaces what was there", "rrbackup init switches it on")


def of_life_cycle(rules: int, found: Iterable[HarmfulRule]) -> Iterable[Diagnosis]:
    harmful = list(found)
    if not harmful:
        yield fine("life-cycle rules", "none touches what commits refer to" if rules else "there are none")
    for rule in harmful:
        names = ", ".join(rule.names)
        finding = f"the rule {rule.rule!r} {rule.harm.value} {names}"
        if rule.grave:
            yield wrong("life-cycle rules", finding, "remove it; rrbackup lifecycle prints rules that do no harm")
        else:
            yield warning("life-cycle rules", finding, _REMEDIES[rule.harm])


_REMEDIES = {
    Harm.ARCHIVES: "before a restore, the objects have to be brought back; remove the rule if that is not meant",
    Harm.CUTS_SHORT: "a large file on a slow line may still be under way; allow 30 days, as rrbackup lifecycle does",
}


def of_uploads(count: int, *, open_claim: bool) -> Diagnosis:
    subject = "unfinished uploads"
    if count == 0:
        return fine(subject, "none")
    if open_claim:
        return fine(subject, f"{count}, and a transaction is open")
    return warning(
        subject,
        f"{count}, which are paid for and of no use",
        "rrbackup garbage_collect gives them up, and so do the rules of rrbackup lifecycle",
    )


# --- claim ---------------------------------------------------------------------------------------------------------


def of_claim(seen: SeenClaim, patience: Patience, host: str, *, ours: bool) -> Diagnosis:
    subject, claim = "open transaction", seen.open
    if claim is None:
        return fine(subject, "none")
    heard = f"of {claim.host}, last heard of {counted(max(0, seen.age_ns) // _SECOND, 'second', 'seconds')} ago"
    if ours:
        return warning(
            subject, f"a backup of this client, {heard}", "if none is running, run one: it goes on where that one ended"
        )
    if patience.is_over(seen, host):
        return warning(subject, f"{heard}: it counts as dead", "none: the next run that writes ends it")
    return fine(subject, f"{heard}: another client is at work")


def of_conditions(seen: SeenClaim) -> Diagnosis:
    subject = "conditional writes"
    match seen.record.conditional_writes if seen.record is not None else None:
        case True:
            return fine(subject, "the store honours them: several clients cannot overwrite each other")
        case False:
            return warning(
                subject,
                "the store does not honour them, so only the local lock keeps writers apart",
                "let one machine alone write to this repository",
            )
        case None:
            return unknown(subject, "not tried yet", "rrbackup init or the first backup tries them")


# --- space ---------------------------------------------------------------------------------------------------------


def of_space(subject: str, where: str, free: int, needed: int) -> Diagnosis:
    """`free` bytes for others than the administrator; with less than `needed` it may soon be full."""
    if free == 0:
        return wrong(subject, f"{where} is full", "make room")
    if free < needed:
        return warning(subject, f"{where} has {human_bytes(free)} left", "make room")
    return fine(subject, f"{where} has {human_bytes(free)} left")
