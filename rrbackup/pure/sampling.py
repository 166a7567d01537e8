"""Which stored versions are read by a check that reads only some: each once before any is read again.

The rules decided here:

- Versions stand in the order of a keyed hash of their names. A check reads on from where the last one ended, and round
  again, until it has the amount that was asked for, but none twice.
- The key is drawn at random, so nobody who writes to the store knows what will be read next. Key and place are
  remembered on this disk alone; whoever loses them begins somewhere else.
"""

import hmac
import json
import re
from collections.abc import Mapping

from attrs import evolve, field, frozen

from rrbackup.errors import UsageError
from rrbackup.pure.model import VersionRef
from rrbackup.pure.sizes import size_in

KEY_BYTES = 16
_HUNDRED_PERCENT = 100.0
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%", re.ASCII)


@frozen
class Amount:
    """How much is to be read: a share of all stored bytes, or a number of bytes."""

    percent: float | None = None
    bytes: int = 0

    @property
    def everything(self) -> bool:
        return self.percent == _HUNDRED_PERCENT

    def of(self, total: int) -> int:
        return self.bytes if self.percent is None else -int(-total * self.percent // _HUNDRED_PERCENT)


EVERYTHING = Amount(percent=_HUNDRED_PERCENT)


def parse_amount(text: str) -> Amount:
    """`5%`, `0.5%`, `2GB` (10^9 bytes) or `2GiB` (2^30 bytes). Raises UsageError for what is none, and for nothing."""
    text = text.strip()
    if (found := _PERCENT.fullmatch(text)) and 0 < float(found[1]) <= _HUNDRED_PERCENT:
        return Amount(percent=float(found[1]))
    if text[-1:] in ("B", "b") and (count := size_in(text)):
        return Amount(bytes=count)
    raise UsageError(
        f"{text!r} is no amount of data to read", hint="write a share such as 5%, or a size such as 2GB or 500MiB"
    )


@frozen
class Turn:
    """Whose turn it is: what stands in the order of `key` behind `place`, which was read last ("" for none yet)."""

    key: bytes = field(repr=False)
    place: str = ""

    def after(self, ref: VersionRef) -> "Turn":
        return evolve(self, place=self._place_of(ref))

    def _place_of(self, ref: VersionRef) -> str:
        return hmac.digest(self.key, f"{ref.version_id}\n{ref.key}".encode(), "sha256").hex()

    def order(self, refs: Mapping[VersionRef, int]) -> list[VersionRef]:
        """All of them, beginning with the next one."""
        places = sorted(((self._place_of(ref), ref) for ref in refs), key=lambda pair: pair[0])
        behind = [ref for place, ref in places if place > self.place]
        return [*behind, *(ref for place, ref in places if place <= self.place)]


def sample(sizes: Mapping[VersionRef, int], amount: Amount, turn: Turn) -> tuple[VersionRef, ...]:
    """What is to be read now, in this order, of versions with so many stored bytes each: at least one, if there is one.

    The last one may lead beyond the amount.
    """
    wanted, taken = amount.of(sum(sizes.values())), 0
    chosen: list[VersionRef] = []
    for ref in turn.order(sizes):
        if taken >= wanted and not amount.everything:
            break
        chosen.append(ref)
        taken += sizes[ref]
    return tuple(chosen)


# --- what is remembered --------------------------------------------------------------------------------------------


def encode_turn(turn: Turn) -> bytes:
    return json.dumps({"key": turn.key.hex(), "place": turn.place}).encode() + b"\n"


def decode_turn(data: bytes) -> Turn | None:
    """None for what cannot be read: then another order is begun."""
    try:
        match json.loads(data):
            case {"key": str(key), "place": str(place)} if len(bytes.fromhex(key)) == KEY_BYTES:
                return Turn(bytes.fromhex(key), place)
    except ValueError:
        pass
    return None
