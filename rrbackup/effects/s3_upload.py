"""Writing one object to S3: a single request up to a threshold, a multipart upload above it.

The request that makes the version visible carries the condition. Conditional, it is sent once only; a repeated
completion that finds no upload any more has an unknown outcome, because its first sending may have succeeded.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypedDict, cast

from attrs import evolve, frozen

from rrbackup.effects import s3_answers
from rrbackup.effects.s3_client import Clients
from rrbackup.effects.s3_errors import Asked, Manner, Translated
from rrbackup.effects.spare import side_by_side_or_here
from rrbackup.effects.store import Always, Condition, IfAbsent, IfMatch, Stored
from rrbackup.effects.store_rules import Piece, part_size, pieces
from rrbackup.errors import NotVersioned, StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.literals import StorageClassType
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef


class _Conditions(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


class _Properties(TypedDict, total=False):
    Metadata: Mapping[str, str]
    StorageClass: "StorageClassType"


@frozen
class _SentPart:
    number: int
    etag: str
    size: int

    @property
    def as_request(self) -> "CompletedPartTypeDef":
        return {"PartNumber": self.number, "ETag": self.etag}


@frozen
class Upload:
    """One object to be written, under its full key."""

    clients: Clients
    bucket: str
    key: str
    condition: Condition
    metadata: Mapping[str, str]
    storage_class: str | None

    def send(self, body: bytes | Iterable[bytes], size_hint: int) -> Stored:
        parts = pieces(body, part_size(size_hint))
        first = next(parts)
        return self._whole(first.data) if first.last else self._in_parts(chain((first,), parts))

    def _whole(self, data: bytes) -> Stored:
        asked = self._asked
        with Translated(asked):
            if isinstance(self.condition, Always):
                return self.clients.bodies.put(self.key, data, self.metadata, self.storage_class, asked)
            answer = self._deciding.put_object(
                Bucket=self.bucket, Key=self.key, Body=data, **self._properties, **self._conditions
            )
        try:
            return s3_answers.stored(answer, asked.place, len(data))
        except NotVersioned:
            if isinstance(self.condition, IfAbsent) and self.clients.deletes:
                self._take_back()
            raise

    def _take_back(self) -> None:
        """Where no versions are kept, what was created would lie in the way once they are: it never gets an id."""
        asked = Asked("delete", f"s3://{self.bucket}/{self.key}", "s3:DeleteObjectVersion")
        with suppress(StoreError), Translated(asked):
            self.clients.once.delete_object(Bucket=self.bucket, Key=self.key, VersionId="null")

    def _in_parts(self, parts: Iterable[Piece]) -> Stored:
        upload_id, attempts = self._create()
        try:
            send = partial(self._send_part, upload_id)
            sent = side_by_side_or_here(self.clients.spare, _size, send, enumerate(parts, start=1))
            stored = self._complete(upload_id, sent)
            return evolve(stored, attempts=max(attempts, stored.attempts))
        except BaseException:
            self._abort(upload_id)
            raise

    def _create(self) -> tuple[str, int]:
        """The upload and how often it was asked for: a beginning whose answer was lost has left one more."""
        with Translated(self._preparing("begin the upload of")):
            answer = self.clients.patient.create_multipart_upload(Bucket=self.bucket, Key=self.key, **self._properties)
        return answer["UploadId"], s3_answers.attempts(answer)

    def _send_part(self, upload_id: str, numbered: tuple[int, Piece]) -> _SentPart:
        number, piece = numbered
        with Translated(self._preparing(f"upload part {number} of")):
            answer = self.clients.patient.upload_part(
                Bucket=self.bucket, Key=self.key, UploadId=upload_id, PartNumber=number, Body=piece.data
            )
        return _SentPart(number, answer["ETag"], len(piece.data))

    def _complete(self, upload_id: str, sent: list[_SentPart]) -> Stored:
        with Translated(self._asked):
            answer = self._deciding.complete_multipart_upload(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [part.as_request for part in sent]},
                **self._conditions,
            )
        return s3_answers.stored(answer, self._asked.place, sum(part.size for part in sent))

    def _abort(self, upload_id: str) -> None:
        """A failure here must not hide the failure that led here; recovery finds what is left."""
        asked = evolve(self._preparing("give up the upload of"), action="s3:AbortMultipartUpload")
        with suppress(StoreError), Translated(asked):
            self.clients.once.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload_id)

    @property
    def _asked(self) -> Asked:
        place = f"s3://{self.bucket}/{self.key}"
        match self.condition:
            case Always():
                return Asked("write", place, "s3:PutObject", Manner.WRITE)
            case IfAbsent():
                return Asked("create", place, "s3:PutObject", Manner.IF_ABSENT)
            case IfMatch():
                return Asked("replace", place, "s3:PutObject and s3:GetObject", Manner.IF_MATCH)

    def _preparing(self, verb: str) -> Asked:
        """A request that makes no version, so that its failure leaves nothing in doubt."""
        return evolve(self._asked, verb=verb, manner=Manner.READ)

    @property
    def _deciding(self) -> "S3Client":
        return self.clients.patient if isinstance(self.condition, Always) else self.clients.once

    @property
    def _conditions(self) -> _Conditions:
        match self.condition:
            case Always():
                return {}
            case IfAbsent():
                return {"IfNoneMatch": "*"}
            case IfMatch(etag=etag):
                return {"IfMatch": etag}

    @property
    def _properties(self) -> _Properties:
        if self.storage_class is None:
            return {"Metadata": self.metadata}
        return {"Metadata": self.metadata, "StorageClass": cast("StorageClassType", self.storage_class)}


def _size(numbered: tuple[int, Piece]) -> int:
    return len(numbered[1].data)
