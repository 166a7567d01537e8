"""The credentials of a provider as boto3 and obstore see them: one value for both, asked for anew before it ends.

The rule: credentials are asked for when a request first needs them, and again in the last five minutes before they
expire. In these a failure to get new ones counts for nothing; in the last minute, or afterwards, it is the failure of
the request. What does not expire is asked for once.

boto3's own refreshable credentials ask while a client is made, write failures into the log with all that they hold, and
let some of them through as errors that are not boto3's.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.credentials import Credentials as Boto3Credentials
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError

from rrbackup.effects.credentials import Credentials, Provider

if TYPE_CHECKING:
    from botocore.session import Session

_EARLY = timedelta(minutes=5)
_LATE = timedelta(minutes=1)


def _now() -> datetime:
    return datetime.now(UTC)


class RenewedCredentials(Boto3Credentials):
    """Safe to use from several threads. Raises CredentialRetrievalError of boto3 where there are none to be had."""

    def __init__(self, provider: Provider, now: Callable[[], datetime] = _now) -> None:
        super().__init__("", "", method="rrbackup")
        self._provider = provider
        self._now = now
        self._held: Credentials | None = None
        self._asking = Lock()

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        with self._asking:
            if self._held is None or self._ends_within(_EARLY, self._held):
                self._held = self._next(self._held)
            return ReadOnlyCredentials(self._held.access_key, self._held.secret_key, self._held.session_token)

    def _next(self, held: Credentials | None) -> Credentials:
        try:
            given = self._provider()
        except Exception as error:
            if held is None or self._ends_within(_LATE, held):
                raise _refused(str(error) or type(error).__name__) from error
            return held
        if not isinstance(given, Credentials):
            raise _refused(f"it gave a {type(given).__name__} and no Credentials")
        if self._ends_within(timedelta(), given):
            raise _refused(f"what it gave expired at {given.expires_at}")
        return given

    def _ends_within(self, time: timedelta, credentials: Credentials) -> bool:
        return credentials.expires_at is not None and credentials.expires_at - self._now() <= time


def _refused(why: str) -> Exception:
    error: Exception = CredentialRetrievalError(provider="the program's credentials", error_msg=why)
    return error


class _Only:
    """boto3's chain of places to look for credentials, with one place in it."""

    def __init__(self, credentials: Boto3Credentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Boto3Credentials:
        return self._credentials


def hand_in(session: "Session", credentials: Any) -> None:
    """Let every client of `session` use these credentials and no others."""
    session.register_component("credential_provider", _Only(credentials))
