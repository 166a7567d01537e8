"""Users of a bucket with the rights that a test gives them, judged by moto as Amazon would, or by SeaweedFS.

moto judges policies down to actions and resources. Where it is laxer, `as_amazon_does` adds what Amazon asks for
besides: conditions, rights to each key of a bulk deletion, to the source of a copy, to the current version for
If-Match, and to the bucket for learning that an object is not there.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import boto3
from attrs import evolve, field, frozen
from botocore.exceptions import ClientError

from tests.servers import S3Server

Json = dict[str, Any]


class Accounts(Protocol):
    """Who may use a server, and for what."""

    @property
    def server(self) -> S3Server: ...

    def new_user(self) -> tuple[str, S3Server]:
        """A user without rights: the name, and the server with this user's keys."""
        ...

    def grant(self, name: str, statements: list[Json]) -> None:
        """The user has these rights from now on, and no others."""
        ...

    def judged(self) -> AbstractContextManager[None]:
        """For as long as it lasts, it is checked who asks for what."""
        ...


def iam_client(server: S3Server) -> Any:
    """The service for users and rights, for the administrator."""
    return boto3.client(
        "iam",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )


def document(statements: list[Json]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def new_user(iam: Any, server: S3Server) -> tuple[str, S3Server]:
    name = f"user-{uuid4().hex}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, evolve(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


@frozen
class MotoAccounts:
    server: S3Server
    iam: Any = field(repr=False)

    def new_user(self) -> tuple[str, S3Server]:
        return new_user(self.iam, self.server)

    def grant(self, name: str, statements: list[Json]) -> None:
        self.iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=document(statements))

    def judged(self) -> AbstractContextManager[None]:
        return judged()


@frozen
class SeaweedAccounts:
    """SeaweedFS judges every request. Inline policies of users may not name all actions there, managed ones may."""

    server: S3Server
    iam: Any = field(repr=False)

    def new_user(self) -> tuple[str, S3Server]:
        return new_user(self.iam, self.server)

    def grant(self, name: str, statements: list[Json]) -> None:
        before = self.iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
        made = self.iam.create_policy(PolicyName=f"given-{uuid4().hex}", PolicyDocument=document(statements))
        for policy in before:
            self.iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        self.iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])

    def judged(self) -> AbstractContextManager[None]:
        return nullcontext()


def is_granted(request: Callable[[], Any]) -> bool:
    """Whether a request of boto3 is allowed; a bulk deletion says so for each key."""
    try:
        answer = request()
    except ClientError as error:
        return _unless_denied(error.response["Error"], error)
    return all(_unless_denied(row, AssertionError(row)) for row in answer.get("Errors", ()))


def _unless_denied(found: Any, error: Exception) -> bool:
    if found["Code"] != "AccessDenied":
        raise error
    return False


# --- moto, made as strict as Amazon ------------------------------------------------------------------------


@frozen
class Demand:
    """A right that a request needs. `prefix` is that of a listing, where Amazon tells it to conditions."""

    action: str
    resource: str
    prefix: str | None = None


def demands(request: Any, resource: str) -> Iterator[Demand]:
    query = parse_qs(urlsplit(request._path).query, keep_blank_values=True)
    bucket, _, key = resource.partition("/")
    if is_bulk_deletion(request):
        yield from bulk_demands(request._body, bucket)
        return
    listing = request._action in ("s3:ListBucket", "s3:ListBucketVersions")
    yield Demand(request._action, resource, query.get("prefix", [None])[0] if listing else None)
    if "x-amz-copy-source" in request._headers:
        yield source_of_copy(request._headers["x-amz-copy-source"])
    if "If-Match" in request._headers:
        yield Demand("s3:GetObject", resource)
    if request._action == "s3:GetObject" and not exists(request, bucket.removeprefix("arn:aws:s3:::"), key):
        yield Demand("s3:ListBucket", bucket)


def source_of_copy(source: str) -> Demand:
    key, _, version = unquote(source).lstrip("/").partition("?versionId=")
    return Demand("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{key}")


def is_bulk_deletion(request: Any) -> bool:
    return request._method == "POST" and "delete" in urlsplit(request._path).query.split("&")


def bulk_demands(body: bytes, bucket: str) -> Iterator[Demand]:
    for item in ElementTree.fromstring(body).iterfind("{*}Object"):
        version, key = item.findtext("{*}VersionId"), item.findtext("{*}Key")
        yield Demand("s3:DeleteObjectVersion" if version else "s3:DeleteObject", f"{bucket}/{key}")


def exists(request: Any, bucket: str, key: str) -> bool:
    from moto.s3.models import s3_backends

    return s3_backends[request.account_id]["aws"].get_object(bucket, key) is not None


def is_met(demand: Demand, statements: list[Json]) -> bool:
    return any(
        any(matches(action, demand.action) for action in listed(statement["Action"]))
        and any(matches(pattern, demand.resource) for pattern in listed(statement["Resource"]))
        and all(holds(operator, keys, demand.prefix) for operator, keys in statement.get("Condition", {}).items())
        for statement in statements
    )


def holds(operator: str, expected: Json, prefix: str | None) -> bool:
    ((key, value),) = expected.items()
    assert key == "s3:prefix"
    if operator == "Null":
        return bool(value == "true") == (prefix is None)
    assert operator == "StringLike"
    return prefix is not None and matches(value, prefix)


def matches(pattern: str, text: str) -> bool:
    assert not set(pattern).intersection("?$"), "not needed here"
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def as_amazon_does(moto_check: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    def check(request: Any, resource: str) -> None:
        if not is_bulk_deletion(request):  # moto would ask for s3:DeleteObject on the bucket
            moto_check(request, resource)
        documents = [json.loads(found["policy_document"]) for found in request._access_key.collect_policies()]
        statements = [statement for document in documents for statement in document["Statement"]]
        if not all(is_met(demand, statements) for demand in demands(request, resource)):
            request._raise_access_denied()

    return check


@contextmanager
def judged() -> Iterator[None]:
    """For as long as it lasts, it is checked who asks for what."""
    from moto.core.authorization import enable_iam_authentication  # here: without moto these tests are skipped
    from moto.iam.access_control import S3IAMRequest

    strict = as_amazon_does(S3IAMRequest.check_action_permitted)
    with enable_iam_authentication(), patch.object(S3IAMRequest, "check_action_permitted", strict):
        yield
