"""What requests and transfers cost at Amazon's list price: the one place that holds prices.

The rule: an estimate for people, never an input to a decision. The prices are those of US East (N. Virginia), first
tier, without free tier, taxes and discounts; other regions differ by up to about a half. Amounts are whole
nano-dollars.
"""

from collections.abc import Mapping

from attrs import frozen

AS_OF = "January 2025"
SOURCE = "https://aws.amazon.com/s3/pricing/"
PLACE = "US East (N. Virginia)"

NANO = 1_000_000_000
_GB = 1 << 30


@frozen
class Prices:
    """In nano-dollars. `put` is for each PUT, COPY, POST and LIST, `get` for each GET, `retrieved` and `out` for each
    GB.

    `retrieved` is what a storage class takes for reading back, `out` what leaves for the internet.
    """

    put: int
    get: int
    retrieved: int = 0
    out: int = 90_000_000


STANDARD = Prices(put=5_000, get=400)

BY_CLASS: Mapping[str, Prices] = {
    "STANDARD": STANDARD,
    "INTELLIGENT_TIERING": STANDARD,
    "STANDARD_IA": Prices(put=10_000, get=1_000, retrieved=10_000_000),
    "ONEZONE_IA": Prices(put=10_000, get=1_000, retrieved=10_000_000),
    "GLACIER_IR": Prices(put=20_000, get=10_000, retrieved=30_000_000),
    "GLACIER": Prices(put=30_000, get=400, retrieved=10_000_000),
    "DEEP_ARCHIVE": Prices(put=50_000, get=400, retrieved=20_000_000),
}
"""By the storage class of the objects. The last two have to be thawed first; that is not counted."""


@frozen
class Traffic:
    """What an operation sends and fetches: requests, and bytes that come out of the store."""

    puts: int = 0
    gets: int = 0
    bytes_out: int = 0

    @property
    def requests(self) -> int:
        return self.puts + self.gets

    def __add__(self, more: "Traffic") -> "Traffic":
        return Traffic(self.puts + more.puts, self.gets + more.gets, self.bytes_out + more.bytes_out)


@frozen
class Cost:
    """In nano-dollars: for requests and reading back, and for what leaves to the internet (nothing within the
    region).
    """

    requests: int
    transfer: int


def cost_of(traffic: Traffic, storage_class: str | None = None) -> Cost:
    """At the list price; a class that is not known counts as STANDARD."""
    prices = BY_CLASS.get(storage_class or "STANDARD", STANDARD)
    reading = traffic.bytes_out * prices.retrieved // _GB
    requests = traffic.puts * prices.put + traffic.gets * prices.get
    return Cost(requests + reading, traffic.bytes_out * prices.out // _GB)
