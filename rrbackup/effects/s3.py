"""The store on Amazon S3 and on what speaks its protocol.

An adapter without decisions: what a refusal means is `s3_errors`, what an answer says `s3_answers`, how an
object is sent `s3_upload`. Keys get the prefix here and lose it here.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rrbackup.effects import s3_answers
from rrbackup.effects.obstore_client import takes
from rrbackup.effects.s3_body import Download, read_whole
from rrbackup.effects.s3_client import Clients, S3Options
from rrbackup.effects.s3_delete import Deletion
from rrbackup.effects.s3_errors import Asked, Translated, code_of
from rrbackup.effects.s3_upload import Upload
from rrbackup.effects.store import Condition, Fetched, ObjectInfo, Stored, UnfinishedUpload
from rrbackup.effects.store_rules import ALWAYS, MIB, check_key, check_metadata, normal_prefix
from rrbackup.errors import StoreUnavailable, UsageError
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

__all__ = ["S3Options", "S3Store"]

T = TypeVar("T")

_PARTIAL = 206


class S3Store:
    """A bucket, or the part of it below a prefix; implements `Store`. Safe to use from several threads.

    Raises `UsageError` for an endpoint, region or profile that makes no sense; sends nothing yet.
    """

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._prefix = normal_prefix(options.prefix)
        self._clients = _connected(options)
        self._deletion = Deletion(self._clients.patient, self._bucket)

    def __repr__(self) -> str:
        return f"S3Store({self.describe()})"

    @property
    def client(self) -> "S3Client":
        """boto3's, for requests about the bucket itself."""
        return self._clients.patient

    def describe(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def prepare(self) -> tuple[str, ...]:
        before = self._versioning()
        if before == "Enabled":
            return ()
        with Translated(Asked("switch versioning on for", f"s3://{self._bucket}", "s3:PutBucketVersioning")):
            self._clients.patient.put_bucket_versioning(
                Bucket=self._bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        return (_switched_on(self._bucket, before),)

    def head(self, key: str) -> ObjectInfo:
        asked = self._asked("look at", key, "s3:GetObject")
        with Translated(asked):
            answer = self._clients.patient.head_object(Bucket=self._bucket, Key=self._prefix + key)
        return s3_answers.info(answer, asked.place)

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        asked = self._asked("read", key, _reading(version_id), version_id)
        request = partial(self._clients.patient.get_object, Bucket=self._bucket, Key=self._prefix + key)

        def fetch() -> Fetched:
            answer = request() if version_id is None else request(VersionId=version_id)
            with closing(answer["Body"]) as body:
                s3_answers.check_version(answer, version_id, asked.place)
                return Fetched(s3_answers.info(answer, asked.place), body.read())

        return read_whole(self._clients.back_off, asked, fetch)

    def read(self, key: str, version_id: VersionId, start: int = 0, length: int | None = None) -> Download:
        asked = self._asked("read", key, _reading(version_id), version_id)
        end = None if length is None else start + length

        def open_at(delivered: int) -> Iterator[bytes] | None:
            begin = start + delivered
            return None if begin == end else self._open(asked, key, version_id, begin, end)

        return Download(open_at, asked, self._clients.back_off)

    def put(
        self,
        key: str,
        body: bytes | Iterable[bytes],
        *,
        condition: Condition = ALWAYS,
        size_hint: int = 0,
        metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
    ) -> Stored:
        full = self._prefix + key
        check_key(full)
        kept = check_metadata(metadata)
        upload = Upload(self._clients, self._bucket, full, condition, kept, storage_class)
        return upload.send(body, size_hint)

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        pages = self._clients.patient.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        for page in _each(pages, self._asked("list the versions of", prefix, "s3:ListBucketVersions")):
            yield from s3_answers.rows(page, self._prefix)

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        self._deletion.run(VersionRef(self._prefix + ref.key, ref.version_id) for ref in refs)

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        pages = self._clients.patient.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        asked = self._asked("list the unfinished uploads of", prefix, "s3:ListBucketMultipartUploads")
        for page in _each(pages, asked):
            for upload in page.get("Uploads", ()):
                yield UnfinishedUpload(upload["Key"].removeprefix(self._prefix), upload["UploadId"])

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        from botocore.exceptions import ClientError

        full = self._prefix + upload.key
        with Translated(self._asked("give up the upload of", upload.key, "s3:AbortMultipartUpload")):
            try:
                self._clients.patient.abort_multipart_upload(Bucket=self._bucket, Key=full, UploadId=upload.upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

    def _versioning(self) -> str:
        with Translated(Asked("read the versioning of", f"s3://{self._bucket}", "s3:GetBucketVersioning")):
            answer = self._clients.patient.get_bucket_versioning(Bucket=self._bucket)
        return answer.get("Status", "")

    def _open(
        self, asked: Asked, key: str, version_id: VersionId, start: int, end: int | None
    ) -> Iterator[bytes] | None:
        """The body of a version, or None where the range begins behind its end."""
        full = self._prefix + key
        with Translated(asked):
            if takes(full):
                return self._clients.bodies.open(full, version_id, start, end, asked)
            return self._open_odd(asked, full, version_id, _range(start, end))

    def _open_odd(self, asked: Asked, full: str, version_id: VersionId, wanted: str) -> Iterator[bytes] | None:
        """For keys that only rrbackup 1.0 wrote."""
        from botocore.exceptions import ClientError

        request = partial(self._clients.patient.get_object, Bucket=self._bucket, Key=full, VersionId=version_id)
        try:
            answer = request(Range=wanted) if wanted else request()
        except ClientError as error:
            if code_of(error) == "InvalidRange":
                return None
            raise
        s3_answers.check_version(answer, version_id, asked.place)
        if wanted and answer["ResponseMetadata"]["HTTPStatusCode"] != _PARTIAL:
            raise StoreUnavailable(f"{asked.place}: the store ignored the range {wanted}")
        return answer["Body"].iter_chunks(MIB)

    def _asked(self, verb: str, key: str, action: str, version_id: VersionId | None = None) -> Asked:
        which = "" if version_id is None else f" version {version_id}"
        return Asked(verb, f"s3://{self._bucket}/{self._prefix}{key}{which}", action)


def _connected(options: S3Options) -> Clients:
    from botocore.exceptions import BotoCoreError

    try:
        return Clients(options)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"bucket {options.bucket}: {error}", hint="Correct endpoint, region or profile.") from error


def _each(pages: Iterable[T], asked: Asked) -> Iterator[T]:
    """The pages; what goes wrong in fetching one is translated, what goes wrong with the caller is not."""
    iterator = iter(pages)
    while True:
        with Translated(asked):
            page = next(iterator, None)
        if page is None:
            return
        yield page


def _range(start: int, end: int | None) -> str:
    if end is None:
        return f"bytes={start}-" if start else ""
    return f"bytes={start}-{end - 1}"


def _reading(version_id: VersionId | None) -> str:
    return "s3:GetObject" if version_id is None else "s3:GetObjectVersion"


def _switched_on(bucket: str, before: str) -> str:
    was = "was suspended" if before == "Suspended" else "was off"
    return (
        f"switched versioning on for bucket {bucket} (it {was}); "
        "on Amazon S3 wait up to 15 minutes until it holds everywhere"
    )
