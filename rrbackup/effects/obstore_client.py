"""An obstore client that speaks to the same bucket as boto3, with the same rights, and fails in boto3's words.

obstore reads settings from the environment as boto3 does, but not the same ones; so all that matters is taken from
boto3 and given. It repeats nothing by itself. What it raises says what happened only in its text.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rrbackup.effects.retelling import Retelling

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_s3.client import S3Client
    from obstore.store import ClientConfig, S3Credential, S3Store

_LIFETIME = timedelta(minutes=5)
"""obstore asks again for what expires within five minutes: so for nearly each request, ten times a second at most."""
_STALLED = "60s"
_LONGEST = "1day"
"""A request may last as long as bytes move: a slow line needs minutes for one body."""

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_DETAILS = "\n\nDebug source:"
_NEVER_CONNECTED = "kind: Connect"
_TOO_LATE = "kind: Timeout"
_NO_ANSWER = "HTTP error:"
_CUT_OFF = "body error"

_REFUSED_SEGMENTS = frozenset({"", ".", ".."})
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


def takes(key: str) -> bool:
    """Whether obstore sends `key` as it is. All that rrbackup writes are such; those of version 1.0 need not be."""
    return _REFUSED_SEGMENTS.isdisjoint(key.split("/")) and _REFUSED_CHARACTERS.search(key) is None


def connect(session: "Session", client: "S3Client", bucket: str, *, amazon: bool) -> "S3Store":
    """The client for `bucket` as `client` sees it. `amazon`: a checksum goes along, as boto3 does it there."""
    from obstore.store import S3Store

    endpoint, in_host = _address(client, bucket)
    return S3Store(
        bucket,
        endpoint=endpoint,
        virtual_hosted_style_request=in_host,
        region=_region(client, bucket) if amazon else client.meta.region_name or "us-east-1",
        credential_provider=_credentials(session),
        skip_signature=False,
        unsigned_payload=False,
        client_options=_client_options(session, endpoint),
        retry_config={"max_retries": 0},
        config={"checksum_algorithm": "SHA256"} if amazon else {},
    )


def _address(client: "S3Client", bucket: str) -> tuple[str, bool]:
    """The URL that the bucket's keys are appended to or its name comes behind, and whether it has the name already."""
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}))
    base, in_host = f"{url.scheme}://{url.netloc}", not url.path.endswith(f"/{bucket}/k")
    return base + url.path.removesuffix("/k" if in_host else f"/{bucket}/k"), in_host


def _region(client: "S3Client", bucket: str) -> str:
    """Where Amazon has the bucket, whatever region is configured: boto3 follows redirections, obstore does not."""
    answer = client.head_bucket(Bucket=bucket)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers.get("x-amz-bucket-region") or client.meta.region_name


def _credentials(session: "Session") -> "Callable[[], S3Credential]":
    from botocore.exceptions import NoCredentialsError

    found = session.get_credentials()
    if found is None:
        raise NoCredentialsError

    def current() -> "S3Credential":
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _LIFETIME,
        }

    return current


def _client_options(session: "Session", endpoint: str) -> "ClientConfig":
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http:"),
        "connect_timeout": _STALLED,
        "read_timeout": _STALLED,
        "timeout": _LONGEST,
        "user_agent": "rrbackup",
    }
    authorities = session.get_config_variable("ca_bundle")
    if authorities:
        options["root_certificate"] = Path(authorities).read_bytes()
    return options


class AsBoto3(Retelling):
    """Raises what obstore raises in here as boto3 would."""

    __slots__ = ("_operation", "_place")

    def __init__(self, operation: str, place: str) -> None:
        self._operation = operation
        self._place = place

    def retold(self, error: BaseException) -> Exception | None:
        from obstore.exceptions import BaseError

        # obstore's NotFoundError is a FileNotFoundError and no BaseError
        if isinstance(error, BaseError | FileNotFoundError):
            return _in_boto3s_words(str(error), self._operation, self._place)
        return None


def _in_boto3s_words(text: str, operation: str, place: str) -> Exception:
    from botocore import exceptions as boto

    said, _, details = text.partition(_DETAILS)
    if status := _STATUS.search(said):
        return _refusal(int(status[1]), said, operation)
    if _NO_ANSWER not in said:
        return boto.HTTPClientError(error=said)  # nothing is known, so it counts as unanswered
    if _NEVER_CONNECTED in details:
        return boto.EndpointConnectionError(endpoint_url=place, error=said)
    if _CUT_OFF in said:
        return boto.ResponseStreamingError(error=said)
    if _TOO_LATE in details:
        return boto.ReadTimeoutError(endpoint_url=place, error=said)
    return boto.ConnectionClosedError(endpoint_url=place, error=said)


def _refusal(status: int, said: str, operation: str) -> Exception:
    from botocore.exceptions import ClientError

    code, message = _CODE.search(said), _MESSAGE.search(said)
    return ClientError(
        {
            "Error": {
                "Code": unescape(code[1]) if code else str(status),
                "Message": unescape(message[1]) if message else "no message",
            },
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        operation,
    )
