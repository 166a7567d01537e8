"""Giving rights to users, and life-cycle rules to buckets, with the credentials of a configuration.

What is written is computed in `pure.policies`. Both writes replace what bears our name and leave the rest alone.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from rrbackup.config import Config, S3Settings
from rrbackup.effects.cancelling import bare
from rrbackup.effects.credentials import Provider
from rrbackup.effects.opening import s3_options
from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.s3_client import session_of
from rrbackup.effects.s3_errors import Asked, Translated, code_of
from rrbackup.effects.store import Store
from rrbackup.errors import ModeError, StoreError, UsageError
from rrbackup.pure.model import Mode
from rrbackup.pure.policies import Document, Place, PolicyMode, life_cycle, merged, policy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetBucketLifecycleConfigurationOutputTypeDef,
        PutBucketLifecycleConfigurationRequestTypeDef,
    )

_NOT_UNDERSTOOD = "MalformedPolicyDocument"
_NO_RULES = "NoSuchLifecycleConfiguration"
_ATTEMPTS = 5
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def place_of(config: Config) -> Place:
    """The repository that `config` names. Raises UsageError for one in a folder."""
    s3 = _s3_of(config)
    region = s3.region or ""
    return Place(
        bucket=s3.bucket,
        prefix=s3.prefix,
        manifest=config.remote_manifest_diff_file,
        claim=config.remote_gc_log_file,
        garbage=config.remote_garbage_object_log_file,
        salt=config.remote_password_salt_file,
        files=config.remote_base_path,
        checkpoint=config.remote_checkpoint_file,
        partition=next((name for begin, name in _PARTITIONS.items() if region.startswith(begin)), "aws"),
    )


def _s3_of(config: Config) -> S3Settings:
    if config.s3 is None:
        raise UsageError(
            "a folder has no policies and no life-cycle rules: only a bucket does",
            hint="the rights to the folder's files decide who may do what",
        )
    return config.s3


# --- policies ----------------------------------------------------------------------------------------------


def apply_policy(config: Config, mode: PolicyMode, user: str, credentials: Provider | None = None) -> str:
    """Give the IAM user the rights of `mode`; the name of the policy.

    It is an inline policy of the user; one of that name is replaced. Raises UsageError, ObjectMissing where there is no
    such user, AccessDenied.
    """
    text = json.dumps(policy(mode, place_of(config)), separators=(",", ":"))
    asked = Asked(f"put the policy {mode.policy_name} on", f"the user {user}", "iam:PutUserPolicy")
    with Translated(asked), _explained(asked):
        _iam(s3_options(_s3_of(config), credentials)).put_user_policy(
            UserName=user, PolicyName=mode.policy_name, PolicyDocument=text
        )
    return mode.policy_name


@contextmanager
def _explained(asked: Asked) -> Iterator[None]:
    """Say what else can be done where the service for users does not know an action that the store itself knows."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if code_of(error) != _NOT_UNDERSTOOD:
            raise
        raise StoreError(
            f"could not {asked}: {error}",
            hint="This store does not take it as an inline policy of a user. Print it, make it a managed policy "
            "(aws iam create-policy) and attach that to the user (aws iam attach-user-policy).",
        ) from error


def _iam(options: S3Options) -> Any:
    """There are no types for it, as nothing else here asks for boto3's IAM."""
    import boto3  # here, because it takes long to load
    from botocore.config import Config as Settings
    from botocore.exceptions import BotoCoreError

    settings = Settings(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}, user_agent_extra="rrbackup")
    try:
        session = boto3.session.Session(botocore_session=session_of(options), region_name=options.region)
        return session.client("iam", endpoint_url=options.endpoint, config=settings)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(str(error), hint="Correct endpoint, region or profile.") from error


# --- life-cycle rules --------------------------------------------------------------------------------------


@frozen
class Applied:
    """`changed` is false where the rules stood there already; `others` counts the rules that are not ours."""

    changed: bool
    others: int


def apply_life_cycle(config: Config, credentials: Provider | None = None) -> Applied:
    """Put our life-cycle rules among those that the bucket has.

    Raises ModeError for a read-only client, UsageError, StoreMissing, AccessDenied.
    """
    if config.mode is Mode.READ_ONLY:
        raise ModeError(
            "this client is read-only: it may not put life-cycle rules on a bucket",
            hint="print them, or use a configuration without read_only",
        )
    ours = cast("list[Document]", life_cycle(place_of(config))["Rules"])
    bucket, client = _s3_of(config).bucket, _bucket_client(s3_options(_s3_of(config), credentials))
    found = life_cycle_rules(client, bucket)
    existing = cast("list[Mapping[str, object]]", found["Rules"]) if found else []
    wanted = merged(existing, ours)
    if wanted != existing:
        _put_rules(client, bucket, wanted, found)
    return Applied(wanted != existing, len(wanted) - len(ours))


def bucket_client(s3: S3Settings, store: Store) -> "S3Client":
    """For requests about the bucket itself: that of `store`, if it is on S3."""
    used = bare(store)
    return used.client if isinstance(used, S3Store) else _bucket_client(s3_options(s3))


def _bucket_client(options: S3Options) -> "S3Client":
    """Raises UsageError for settings that make no sense."""
    return S3Store(options).client


def life_cycle_rules(client: "S3Client", bucket: str) -> "GetBucketLifecycleConfigurationOutputTypeDef | None":
    """The life-cycle rules of a bucket; None where there are none."""
    from botocore.exceptions import ClientError

    with Translated(Asked("read the life-cycle rules of", f"s3://{bucket}", "s3:GetLifecycleConfiguration")):
        try:
            return client.get_bucket_lifecycle_configuration(Bucket=bucket)
        except ClientError as error:
            if code_of(error) == _NO_RULES:
                return None
            raise


def _put_rules(
    client: "S3Client",
    bucket: str,
    rules: list[Mapping[str, object]],
    found: "GetBucketLifecycleConfigurationOutputTypeDef | None",
) -> None:
    request: dict[str, object] = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": rules}}
    if found is not None and "TransitionDefaultMinimumObjectSize" in found:
        # left out, this setting of the whole bucket would fall back to its default
        request["TransitionDefaultMinimumObjectSize"] = found["TransitionDefaultMinimumObjectSize"]
    with Translated(Asked("put life-cycle rules on", f"s3://{bucket}", "s3:PutLifecycleConfiguration")):
        client.put_bucket_lifecycle_configuration(**cast("PutBucketLifecycleConfigurationRequestTypeDef", request))
