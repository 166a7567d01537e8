"""What a person calls a commit: here a time becomes a number, because only this machine knows what its clock shows.

The rule: `@` and a time stand for the last commit not later. A time is local unless an offset or `Z` says otherwise,
and it reaches to the end of its last unit: a date to the end of the day, 14:00 to the end of that minute. So what
`list_versions` shows, which is cut to seconds, names the commit beside which it stands.
"""

import re
from datetime import UTC, datetime

from rrbackup.errors import UsageError
from rrbackup.pure.chain import At, Named

MARK = "@"

_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)([T ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?([.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_HOW = "write it like 2026-11-20, 2026-11-20 14:00 or 2026-11-20T14:00:07.5; behind it Z, or an offset such as +01:00"


def named_by(version: str) -> Named:
    """The version as it is, or the time that it stands for. Raises UsageError for what is no time."""
    return at(version.removeprefix(MARK)) if version.startswith(MARK) else version


def at(text: str) -> At:
    """Raises UsageError for what is no time, and where this machine's clock showed it twice or never."""
    found = _TIME.fullmatch(text.strip())
    if found is None or (found["fraction"] and not found["second"]):
        raise UsageError(f"{text!r} is not a time", hint=_HOW)
    try:
        return At(_until_ns(found), text.strip())
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text!r} is not a time: {error}", hint=_HOW) from None


def _until_ns(found: re.Match[str]) -> int:
    """The last nanosecond of the unit that the time ends with."""
    fraction, zone = found["fraction"] or "", (found["zone"] or "").upper()
    if found["minute"] is None:
        # A day ends once, also where the clock went back over its end.
        return _ns(datetime.fromisoformat(f"{found['date']}T23:59:59{zone}").replace(fold=1)) + _SECOND - 1
    moment = datetime.fromisoformat(f"{found['date']}T{found['minute']}{found['second'] or ':00'}{zone}")
    unit = 60 * _SECOND if found["second"] is None else _SECOND // 10 ** len(fraction)
    return _ns(moment if zone else _once(moment, found)) + int(fraction.ljust(9, "0")) + unit - 1


def _once(moment: datetime, found: re.Match[str]) -> datetime:
    """A local time. Raises UsageError where the clock showed it twice or never."""
    first, second = moment.astimezone(), moment.replace(fold=1).astimezone()
    if first.replace(tzinfo=None) != moment:
        raise UsageError(
            f"{found[0]!r} is not a time here: the clock was put forward over it",
            hint="write an earlier or a later one",
        )
    if first != second:
        ways = " or ".join(f"{one:%Y-%m-%d %H:%M:%S%z}" for one in (first, second))
        raise UsageError(f"the clock showed {found[0]!r} twice", hint=f"say which is meant: {ways}")
    return first


def _ns(moment: datetime) -> int:
    since = moment.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1_000
