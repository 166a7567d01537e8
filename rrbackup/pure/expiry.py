"""Which life-cycle rules of a bucket would destroy history, or put it out of reach.

The rules decided here, for what a repository must keep (diffs, checkpoints, files, the salt object):

- Whatever removes old versions destroys history: most of what commits refer to are old versions.
- Whatever expires current versions puts delete markers on top. That hides the newest diff and the keys, which stops
  every client; a file behind a marker is restored as ever.
- What is moved to an archive class cannot be read before it was brought back; of a diff or of the keys, nothing works
  then.
- Our objects bear no tags, so a rule for objects with a tag never meets them.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from attrs import frozen

from rrbackup.pure.policies import Place

Rule = Mapping[str, object]

_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_SHORT_DAYS = 7


class Harm(StrEnum):
    DESTROYS = "removes old versions of"
    HIDES = "puts delete markers on"
    ARCHIVES = "moves to an archive class"
    CUTS_SHORT = "gives up unfinished uploads soon of"


@frozen
class HarmfulRule:
    """What the rule named `rule` does to `names`. `grave`: history is lost, or nothing works any more."""

    rule: str
    harm: Harm
    names: tuple[str, ...]
    grave: bool


def harmful(rules: Iterable[Rule], place: Place) -> tuple[HarmfulRule, ...]:
    return tuple(found for rule in rules if rule.get("Status") == "Enabled" for found in _harms(rule, place))


def _harms(rule: Rule, place: Place) -> Iterator[HarmfulRule]:
    records = tuple(name for name in (place.manifest, place.salt) if _meets(rule, place.key(name)))
    kept = tuple(name for name in (place.checkpoint,) if _meets(rule, place.key(name)))
    files = (f"{place.files}/",) if _meets(rule, place.key(f"{place.files}/")) else ()
    name = str(rule.get("ID", "without a name"))
    for harm, names, grave in (
        (Harm.DESTROYS, (*records, *kept, *files) if "NoncurrentVersionExpiration" in rule else (), True),
        (Harm.HIDES, records if _expires_current(rule) else (), True),
        (Harm.ARCHIVES, (*records, *kept) if _archives(rule) else (), True),
        (Harm.ARCHIVES, files if _archives(rule) else (), False),
        (Harm.CUTS_SHORT, files if _cuts_short(rule) else (), False),
    ):
        if names:
            yield HarmfulRule(name, harm, names, grave)


def _meets(rule: Rule, key: str) -> bool:
    """Whether a rule concerns objects that are, or begin with, `key`."""
    found = _filter(rule)
    if "Tag" in found or "Tags" in found:
        return False
    prefix = str(found.get("Prefix", ""))
    return key.startswith(prefix) or (key.endswith("/") and prefix.startswith(key))


def _filter(rule: Rule) -> Mapping[str, object]:
    found = rule.get("Filter", rule)
    if not isinstance(found, Mapping):
        return {}
    both = found.get("And")
    return both if isinstance(both, Mapping) else found


def _expires_current(rule: Rule) -> bool:
    found = rule.get("Expiration")
    return isinstance(found, Mapping) and ("Days" in found or "Date" in found)


def _archives(rule: Rule) -> bool:
    return any(step.get("StorageClass") in _ARCHIVES for step in _steps(rule))


def _steps(rule: Rule) -> Iterator[Rule]:
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        found = rule.get(name)
        yield from (step for step in (found if isinstance(found, list) else ()) if isinstance(step, Mapping))


def _cuts_short(rule: Rule) -> bool:
    found = rule.get("AbortIncompleteMultipartUpload")
    days = found.get("DaysAfterInitiation") if isinstance(found, Mapping) else None
    return isinstance(days, int) and days < _SHORT_DAYS
