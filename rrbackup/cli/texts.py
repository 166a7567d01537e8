"""Numbers, times and foreign texts as people read them.

The rule: what comes out of a store may be hostile, so no control character of it reaches a terminal, and a time
that no calendar has is shown as the number that it is.
"""

import re
import stat
from datetime import UTC, datetime, tzinfo

from rrbackup.pure import prices, sizes

counted, human_bytes = sizes.counted, sizes.human_bytes

_NS = 1_000_000_000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def shown(text: str) -> str:
    """One line that no terminal takes for a command."""
    return _CONTROL.sub("?", text)


def local_time(time_ns: int) -> str:
    """Seconds in the local time zone."""
    found = _moment(time_ns, None)
    return found.strftime("%Y-%m-%d %H:%M:%S") if found else f"{time_ns} ns"


def iso_utc(time_ns: int) -> str:
    """ISO 8601 with microseconds, in UTC."""
    found = _moment(time_ns, UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if found else f"{time_ns} ns"


def _moment(time_ns: int, zone: tzinfo | None) -> datetime | None:
    seconds, rest = divmod(time_ns, _NS)
    try:
        return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest // 1000)
    except (OverflowError, OSError, ValueError):
        return None


def mode_text(kind: int, mode: int) -> str:
    """The way `ls -l` shows it; `kind` is one of the `stat.S_IF…` constants."""
    return stat.filemode(kind | stat.S_IMODE(mode))


PRICE_LIST = f"(list price of Amazon S3, {prices.PLACE}, {prices.AS_OF}, without free tier)"


def dollars(nano: int) -> str:
    """With as many digits as it takes to show something, rounded up: `$0.0004`."""
    for digits in (2, 4, 6):
        unit = prices.NANO // 10**digits
        if nano >= unit or nano == 0 or digits == 6:
            break
    return f"${-(-nano // unit) / 10**digits:.{digits}f}"
