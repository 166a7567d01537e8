"""The answers of an S3 store as our values. An answer without version id means an unversioned bucket."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import time_ns
from typing import TYPE_CHECKING

from rrbackup.effects.store import ObjectInfo, Stored
from rrbackup.errors import NotVersioned, ObjectMissing
from rrbackup.pure.model import ListedVersion, VersionId

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CompleteMultipartUploadOutputTypeDef,
        CreateMultipartUploadOutputTypeDef,
        DeleteMarkerEntryTypeDef,
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectVersionsOutputTypeDef,
        ObjectVersionTypeDef,
        PutObjectOutputTypeDef,
        ResponseMetadataTypeDef,
    )

    _Write = PutObjectOutputTypeDef | CompleteMultipartUploadOutputTypeDef | CreateMultipartUploadOutputTypeDef

_S = 1_000_000_000


def version_of(answer: Mapping[str, object], place: str) -> VersionId:
    """The version id in an answer. Raises `NotVersioned` for none and for "null"."""
    version_id = answer.get("VersionId")
    if not isinstance(version_id, str) or version_id in ("", "null"):
        raise NotVersioned(
            f"{place} has no version id: the bucket does not keep versions",
            hint="Run `rrbackup init`, or `aws s3api put-bucket-versioning --bucket BUCKET "
            "--versioning-configuration Status=Enabled`. If it does now, this object is from before: delete it, "
            "with --version-id null, or move it away.",
        )
    return VersionId(version_id)


def check_version(answer: Mapping[str, object], wanted: VersionId | None, place: str) -> None:
    """Raise `ObjectMissing` where another version was answered: some stores take an empty id for the current one."""
    if wanted is not None and answer.get("VersionId") != wanted:
        raise ObjectMissing(f"{place} is not there: the store answered with version {answer.get('VersionId')}")


def info(answer: "HeadObjectOutputTypeDef | GetObjectOutputTypeDef", place: str) -> ObjectInfo:
    return ObjectInfo(
        version_id=version_of(answer, place),
        etag=answer["ETag"],
        size=answer["ContentLength"],
        last_modified_ns=_ns(answer["LastModified"]),
        date_ns=date_ns(answer["ResponseMetadata"]),
        metadata=dict(answer.get("Metadata", {})),
    )


def stored(answer: "PutObjectOutputTypeDef | CompleteMultipartUploadOutputTypeDef", place: str, size: int) -> Stored:
    return Stored(version_of(answer, place), answer["ETag"], size, attempts(answer))


def attempts(answer: "_Write") -> int:
    """How often the request was sent."""
    return int(answer["ResponseMetadata"].get("RetryAttempts", 0)) + 1


def rows(page: "ListObjectVersionsOutputTypeDef", prefix: str) -> Iterator[ListedVersion]:
    """One page as rows in order: by key, and within a key a current delete marker first, other markers last."""
    versions = [(_order(row, 1), _version_row(row, prefix)) for row in page.get("Versions", ())]
    markers = [
        (_order(row, 0 if row.get("IsLatest") else 2), _marker_row(row, prefix))
        for row in page.get("DeleteMarkers", ())
    ]
    for _, row in sorted(versions + markers, key=lambda pair: pair[0]):
        yield row


def _order(row: "ObjectVersionTypeDef | DeleteMarkerEntryTypeDef", rank: int) -> tuple[bytes, int]:
    return row["Key"].encode(), rank


def _version_row(row: "ObjectVersionTypeDef", prefix: str) -> ListedVersion:
    key = row["Key"].removeprefix(prefix)
    return ListedVersion(key, version_of(row, key), row["Size"], row["ETag"])


def _marker_row(row: "DeleteMarkerEntryTypeDef", prefix: str) -> ListedVersion:
    key = row["Key"].removeprefix(prefix)
    return ListedVersion(key, version_of(row, key), 0, "", marker=True)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * _S + moment.microsecond * 1_000


def date_ns(metadata: "ResponseMetadataTypeDef") -> int:
    """The store's clock; a store that does not tell it is taken to share ours (courtesy only depends on it)."""
    date = metadata["HTTPHeaders"].get("date")
    return time_ns() if date is None else _ns(parsedate_to_datetime(date))
