"""Credentials that a program hands in, in place of those of the configuration and of boto3's usual chain.

Nothing of boto3 is imported here: `renewed_credentials` shows them to boto3.
"""

from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from rrbackup.errors import UsageError


@frozen
class Credentials:
    """Keys for a bucket. `expires_at` has a time zone; None where they stay good. Raises UsageError."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if not (self.access_key and self.secret_key):
            raise UsageError("credentials need an access key and a secret key")
        if self.expires_at is not None and self.expires_at.utcoffset() is None:
            raise UsageError(
                "expires_at of the credentials has no time zone", hint="give one, such as datetime.UTC: clocks differ"
            )


Provider = Callable[[], Credentials]
"""Gives the credentials that are good now. Called by one thread at a time; what it raises means that it has none."""
