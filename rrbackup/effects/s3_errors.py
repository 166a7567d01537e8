"""What an S3 store's refusal means: every exception of boto3 becomes one of `rrbackup.errors`.

The rule for lost answers: a write that may have reached the store has an unknown outcome; everything else that
failed for a passing reason, after the client's own retries, means that the store is unavailable.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from attrs import frozen

from rrbackup.errors import (
    AccessDenied,
    ConditionFailed,
    ObjectMissing,
    OutcomeUnknown,
    RRBackupError,
    StoreError,
    StoreMissing,
    StoreUnavailable,
    UsageError,
)

_CREDENTIALS = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_PASSING = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"})
_NOT_BUILT = 501
_NOTHING_THERE = frozenset({404, 405})
_DENIED = frozenset({401, 403})
_LOST_RACE = frozenset({409, 412})


class Manner(Enum):
    """How a request was sent, which decides what its failure means."""

    READ = auto()
    WRITE = auto()
    IF_ABSENT = auto()
    IF_MATCH = auto()

    @property
    def conditional(self) -> bool:
        return self in (Manner.IF_ABSENT, Manner.IF_MATCH)


@frozen
class Asked:
    """A request as messages name it: `verb` and `place` for the reader, `action` for the rights it needs."""

    verb: str
    place: str
    action: str
    manner: Manner = Manner.READ

    def __str__(self) -> str:
        return f"{self.verb} {self.place}"


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Raise what boto3 raises in here as an error of ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise refusal(error, asked) from error
    except BotoCoreError as error:
        raise _failure(error, asked) from error


def refusal(error: Exception, asked: Asked) -> StoreError:
    """The meaning of an answer that says no. `error` is a botocore ClientError."""
    code, message, status = _facts(error)
    said = f"could not {asked}: {message} ({code}, HTTP {status})"
    if code == "NoSuchBucket":
        return StoreMissing(said, hint="Create the bucket, or correct its name in the configuration.")
    if asked.manner.conditional and _is_lost_race(code, status, asked.manner):
        return ConditionFailed(said, hint="Somebody else wrote it, or this very write had arrived before.")
    return _denial(code, status, said, asked) or _other_refusal(code, message, status, said, asked)


def _other_refusal(code: str, message: str, status: int, said: str, asked: Asked) -> StoreError:
    if code == "NoSuchUpload":
        return OutcomeUnknown(said, hint="The upload was completed or given up; look at the object.")
    if status in _NOTHING_THERE or (code == "InvalidArgument" and "version" in message.lower()):
        return ObjectMissing(said)
    if code in _PASSING or (status >= 500 and status != _NOT_BUILT):
        return _passing(said, asked)
    return StoreError(said, hint="The store does not accept this request.")


def code_of(error: Exception) -> str:
    """The S3 error code of a botocore ClientError, such as `NoSuchUpload`."""
    return _facts(error)[0]


def _facts(error: Exception) -> tuple[str, str, int]:
    response = getattr(error, "response", {})
    said = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return str(said.get("Code", status)), str(said.get("Message", "no message")), status


def _is_lost_race(code: str, status: int, manner: Manner) -> bool:
    if manner is Manner.IF_MATCH and status == 404:
        return code != "NoSuchUpload"
    return status in _LOST_RACE


def _denial(code: str, status: int, said: str, asked: Asked) -> StoreError | None:
    if code == "InvalidObjectState":
        return StoreError(said, hint="The object lies in an archive class; restore it there first.")
    if code in _CLOCK:
        return AccessDenied(said, hint="Set this machine's clock: it differs too much from the store's.")
    if code in _CREDENTIALS or status in _DENIED:
        return AccessDenied(said, hint=f"Check the access keys, and that they are allowed {asked.action}.")
    return None


def _passing(said: str, asked: Asked) -> StoreError:
    if asked.manner is Manner.READ:
        return StoreUnavailable(said, hint="Try again later.")
    return OutcomeUnknown(said, hint="It may have been written, or be written yet.")


def _failure(error: Exception, asked: Asked) -> RRBackupError:
    """The meaning of a request that got no answer, or was never sent. `error` is a BotoCoreError."""
    from botocore import exceptions as boto

    said = f"could not {asked}: {error}"
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError)):
        return UsageError(said)
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)):
        return _unanswered(error, said, asked)
    if isinstance(error, _no_credentials()):
        return AccessDenied(said, hint="Give access_key and secret_key, or set up boto3's credentials.")
    return StoreUnavailable(said, hint="Try again later.")


def _unanswered(error: Exception, said: str, asked: Asked) -> StoreError:
    """A connection that was never made carried no request, unless an earlier attempt had one."""
    from botocore import exceptions as boto

    unsent = isinstance(error, (boto.EndpointConnectionError, boto.ConnectTimeoutError))
    if unsent and asked.manner.conditional:
        return StoreUnavailable(said, hint="Check the endpoint and the network.")
    return _passing(said, asked)


def _no_credentials() -> tuple[type[Exception], ...]:
    from botocore import exceptions as boto

    return (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.ProfileNotFound,
        boto.NoAuthTokenError,
        boto.TokenRetrievalError,
        boto.SSOError,
    )
