"""What an S3 store's refusal means: every exception of boto3 becomes one of `rrbackup.errors`.

The rule for lost answers: a write that may have reached the store has an unknown outcome; everything else that
failed for a passing reason, after it was repeated, means that the store is unavailable.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from attrs import frozen

from rrbackup.effects.retelling import Retelling
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

_EXPIRED = "The session token has expired; get a new one."
_CREDENTIALS: Mapping[str, str] = {
    "AllAccessDisabled": "The store has shut this bucket or account off; ask its operator.",
    "ExpiredToken": _EXPIRED,
    "InvalidAccessKeyId": "The store does not know this access key; correct access_key, or where boto3 finds it.",
    "InvalidToken": "The session token does not belong to this access key.",
    "SignatureDoesNotMatch": "Correct secret_key: it is not the one of this access key. If it is, something between "
    "here and the store changes requests.",
    "TokenRefreshRequired": _EXPIRED,
}
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_READING = frozenset({"s3:GetObject", "s3:GetObjectVersion"})
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_THROTTLING_STATUS = frozenset({429, 503})
_PASSING = _THROTTLING | {"PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"}
_PASSING_STATUS = _THROTTLING_STATUS | {408, 500, 502, 504}
_NOT_BUILT = 501
_NOTHING_THERE = frozenset({404, 405})
_DENIED = frozenset({401, 403})
_CONFLICT = 409
_LOST_RACE = frozenset({_CONFLICT, 412})


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


class Translated(Retelling):
    """Raises what boto3 raises in here as an error of ours."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def retold(self, error: BaseException) -> Exception | None:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        if isinstance(error, ClientError):
            return refusal(error, self._asked)
        if isinstance(error, BotoCoreError | HTTPError):
            return _failure(error, self._asked)
        return None


def cut_errors() -> tuple[type[Exception], ...]:
    """What reading a body raises where the connection ends; boto3 passes some on as urllib3 raises them."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    return (boto.ReadTimeoutError, boto.ResponseStreamingError, boto.IncompleteReadError, HTTPError)


def refusal(error: Exception, asked: Asked) -> StoreError:
    """The meaning of an answer that says no. `error` is a botocore ClientError."""
    code, message, status = _facts(error)
    said = f"could not {asked}: {message} ({code}, HTTP {status})"
    if code == "NoSuchBucket":
        return StoreMissing(said, hint="Create the bucket, or correct its name in the configuration.")
    if asked.manner.conditional and _is_lost_race(code, status, asked.manner):
        hint = "Somebody else wrote it, or this very write had arrived before."
        return ConditionFailed(said, hint=hint, busy=status == _CONFLICT)
    return _denial(code, status, said, asked) or _other_refusal(code, message, status, said, asked)


def _other_refusal(code: str, message: str, status: int, said: str, asked: Asked) -> StoreError:
    if code == "NoSuchUpload":
        return OutcomeUnknown(said, hint="The upload was completed or given up; look at the object.")
    if status in _NOTHING_THERE or (code == "InvalidArgument" and "version" in message.lower()):
        return ObjectMissing(said)
    if code in _PASSING or status in _PASSING_STATUS or (status >= 500 and status != _NOT_BUILT):
        return _passing(said, asked)
    return StoreError(said, hint="The store does not accept this request.")


def code_of(error: Exception) -> str:
    """The S3 error code of a botocore ClientError, such as `NoSuchUpload`."""
    return _facts(error)[0]


def is_throttling(answer: Mapping[str, Any]) -> bool:
    """Whether an answer, as botocore parsed it, asks for fewer requests."""
    code, _, status = _said(answer)
    return code in _THROTTLING or status in _THROTTLING_STATUS


def is_passing(answer: Mapping[str, Any], error: Exception | None) -> bool:
    """Whether the same request may fare better later. `error` is what came in place of an answer."""
    from botocore import exceptions as boto

    code, _, status = _said(answer)
    unanswered = isinstance(error, (boto.ConnectionError, boto.HTTPClientError))
    return unanswered or code in _PASSING or status in _PASSING_STATUS


def _facts(error: Exception) -> tuple[str, str, int]:
    return _said(getattr(error, "response", {}))


def _said(response: Mapping[str, Any]) -> tuple[str, str, int]:
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
    if code in _CREDENTIALS:
        return AccessDenied(said, hint=_CREDENTIALS[code])
    if code == "AccessDenied" or status in _DENIED:
        return AccessDenied(said, hint=_missing_right(asked.action))
    return None


def _missing_right(action: str) -> str:
    """The rights that a request needs are named where it is made; `rrbackup policy` prints all of them."""
    hint = f"These access keys are not allowed {action} there: a policy must allow it, and none forbid it."
    absent = " Or nothing is there: without s3:ListBucket S3 answers 403 instead of 404 for a key that does not exist."
    return hint + absent if action in _READING else hint


def _passing(said: str, asked: Asked) -> StoreError:
    if asked.manner is Manner.READ:
        return StoreUnavailable(said, hint="Try again later.")
    return OutcomeUnknown(said, hint="It may have been written, or be written yet.")


def _failure(error: Exception, asked: Asked) -> RRBackupError:
    """The meaning of a request that got no answer, or was never sent. `error` is of botocore, or of urllib3."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    said = f"could not {asked}: {error}"
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError)):
        return UsageError(said)
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, HTTPError)):
        return _unanswered(error, said, asked)
    if isinstance(error, boto.CredentialRetrievalError):
        return AccessDenied(said, hint="Whatever gives out the credentials has failed: mend that, or try again later.")
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
        boto.ProfileNotFound,
        boto.NoAuthTokenError,
        boto.TokenRetrievalError,
        boto.SSOError,
    )
