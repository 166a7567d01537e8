"""Deleting exact versions: 1,000 a request, and one by one what a store does not delete that way.

boto3 sends a CRC checksum with DeleteObjects, while some stores insist on Content-MD5 or lack the request. And an
answer may name single versions that failed: SeaweedFS 4.48 cannot delete the last version of a key this way whose
last segment has more than 246 bytes, but can alone.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rrbackup.effects.s3_errors import Asked, Translated, code_of
from rrbackup.effects.store_rules import batches
from rrbackup.errors import ObjectMissing
from rrbackup.pure.model import VersionId, VersionRef

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import DeleteObjectsOutputTypeDef

_ACTION = "s3:DeleteObjectVersion"
_NOT_TAKEN = frozenset({"NotImplemented", "InvalidRequest", "MissingContentMD5", "InvalidDigest", "MethodNotAllowed"})
_NOTHING_THERE = frozenset({"NoSuchKey", "NoSuchVersion"})


class Deletion:
    """Deletes full keys from one bucket. Remembers when the store does not take many at once."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._one_by_one = False

    def run(self, refs: Iterable[VersionRef]) -> None:
        for batch in batches(refs):
            self._singly(batch if self._one_by_one else self._together(batch))

    def _together(self, batch: tuple[VersionRef, ...]) -> tuple[VersionRef, ...]:
        """Those that were not deleted."""
        from botocore.exceptions import ClientError

        with Translated(self._asked(f"{len(batch)} versions, the first", batch[0])):
            try:
                return _failed(self._request(batch))
            except ClientError as error:
                if code_of(error) not in _NOT_TAKEN:
                    raise
        self._one_by_one = True
        return batch

    def _request(self, batch: tuple[VersionRef, ...]) -> "DeleteObjectsOutputTypeDef":
        return self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Quiet": True, "Objects": [{"Key": r.key, "VersionId": r.version_id} for r in batch]},
        )

    def _singly(self, batch: tuple[VersionRef, ...]) -> None:
        for ref in batch:
            try:
                with Translated(self._asked("version", ref)):
                    self._client.delete_object(Bucket=self._bucket, Key=ref.key, VersionId=ref.version_id)
            except ObjectMissing:
                continue

    def _asked(self, what: str, ref: VersionRef) -> Asked:
        return Asked("delete", f"{what} s3://{self._bucket}/{ref.key} {ref.version_id}", _ACTION)


def _failed(answer: "DeleteObjectsOutputTypeDef") -> tuple[VersionRef, ...]:
    return tuple(
        VersionRef(error.get("Key", ""), VersionId(error.get("VersionId", "")))
        for error in answer.get("Errors", ())
        if error.get("Code") not in _NOTHING_THERE
    )
