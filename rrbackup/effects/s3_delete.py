"""Deleting exact versions: 1,000 a request, or one by one where a store does not take that request.

boto3 sends a CRC checksum with DeleteObjects, while some stores insist on Content-MD5 or lack the request.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rrbackup.effects.s3_errors import Asked, code_of, item_refusal, translated
from rrbackup.effects.store_rules import batches
from rrbackup.errors import ObjectMissing
from rrbackup.pure.model import VersionRef

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import DeleteObjectsOutputTypeDef, ErrorTypeDef

_ACTION = "s3:DeleteObjectVersion"
_NOT_TAKEN = frozenset({"NotImplemented", "InvalidRequest", "MissingContentMD5", "InvalidDigest", "MethodNotAllowed"})
_NOTHING_THERE = frozenset({"NoSuchKey", "NoSuchVersion"})


class Deletion:
    """Deletes full keys from one bucket. Remembers when a store does not take many at once."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._one_by_one = False

    def run(self, refs: Iterable[VersionRef]) -> None:
        for batch in batches(refs):
            if self._one_by_one or not self._together(batch):
                self._one_by_one = True
                self._singly(batch)

    def _together(self, batch: tuple[VersionRef, ...]) -> bool:
        """False where the store does not take the request; then nothing was deleted."""
        from botocore.exceptions import ClientError

        with translated(self._asked(f"{len(batch)} versions, the first", batch[0])):
            try:
                answer = self._request(batch)
            except ClientError as error:
                if code_of(error) in _NOT_TAKEN:
                    return False
                raise
        for failed in answer.get("Errors", ()):
            self._raise_unless_gone(failed)
        return True

    def _request(self, batch: tuple[VersionRef, ...]) -> "DeleteObjectsOutputTypeDef":
        return self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Quiet": True, "Objects": [{"Key": r.key, "VersionId": r.version_id} for r in batch]},
        )

    def _raise_unless_gone(self, failed: "ErrorTypeDef") -> None:
        code = failed.get("Code", "unknown error")
        if code in _NOTHING_THERE:
            return
        asked = Asked("delete", f"s3://{self._bucket}/{failed.get('Key')} version {failed.get('VersionId')}", _ACTION)
        raise item_refusal(code, failed.get("Message", "no message"), asked)

    def _singly(self, batch: tuple[VersionRef, ...]) -> None:
        for ref in batch:
            try:
                with translated(self._asked("version", ref)):
                    self._client.delete_object(Bucket=self._bucket, Key=ref.key, VersionId=ref.version_id)
            except ObjectMissing:
                continue

    def _asked(self, what: str, ref: VersionRef) -> Asked:
        return Asked("delete", f"{what} s3://{self._bucket}/{ref.key} {ref.version_id}", _ACTION)
